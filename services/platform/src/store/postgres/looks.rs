//! Single rows that many want to see at the same time: one statement for all who came while the last was under way.

use super::pool::Pool;
use super::together::Together;
use super::tx::{Access, PgTx};
use crate::store::{Find, Result, Row, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// Who looks, and through which connections.
#[derive(Clone)]
pub(super) struct Looks(Arc<Inner>);

struct Inner {
    readers: Arc<Pool>,
    patience: Duration,
    together: Together<Find, String, Option<Row>>,
    /// Held while somebody looks.
    looking: tokio::sync::Mutex<()>,
}

impl Looks {
    pub(super) fn new(readers: Arc<Pool>, patience: Duration) -> Self {
        Self(Arc::new(Inner {
            readers,
            patience,
            together: Together::default(),
            looking: tokio::sync::Mutex::default(),
        }))
    }

    /// The row with this key.
    #[expect(
        clippy::disallowed_methods,
        reason = "an engine's own housekeeping: who came first may go away, and others wait for the same look"
    )]
    pub(super) async fn find(&self, find: &Find, key: &str) -> Result<Option<Row>> {
        let (answers, first) = self.0.together.add(find, [key.to_owned()]);
        if let Some(first) = first {
            first.leave();
            let mut leader = Leader {
                looks: self.clone(),
                find: *find,
                has_taken: false,
            };
            tokio::spawn(async move { leader.look().await });
        }
        // Nobody runs a look again as a batch, and nothing was done.
        answers.get_one().await.map_err(|error| match error {
            StoreError::Conflict(why) => StoreError::Engine(why),
            other => other,
        })
    }
}

/// Looks for all who wait by then. However it ends, nobody waits for it any longer.
struct Leader {
    looks: Looks,
    find: Find,
    has_taken: bool,
}

impl Leader {
    async fn look(&mut self) {
        let Inner {
            readers,
            patience,
            together,
            looking,
        } = &*self.looks.0;
        let _one_at_a_time = looking.lock().await;
        let held = readers.take(Some(*patience)).await;
        self.has_taken = true;
        let Some(group) = together.take(&self.find) else {
            return;
        };
        let outcome = async {
            let tx = PgTx::begin(held?, Access::Read);
            tx.find_now(&self.find, &group.questions).await
        };
        let outcome = outcome.await;
        group.tell(outcome);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if !self.has_taken {
            drop(self.looks.0.together.take(&self.find));
        }
    }
}
