//! Single rows that many want to see at the same time: one statement for all who came while the last was under way.

use super::pool::Pool;
use super::statement::{by_key, search};
use super::together::Together;
use super::tx::{Access, PgTx};
use crate::store::{Find, Result, Row};
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
            let (looks, find) = (self.clone(), *find);
            tokio::spawn(async move { looks.look(find).await });
        }
        answers.get_one().await
    }

    /// Looks for everybody who waits by then.
    async fn look(&self, find: Find) {
        let Inner {
            readers,
            patience,
            together,
            looking,
        } = &*self.0;
        let _one_at_a_time = looking.lock().await;
        let held = readers.take(Some(*patience)).await;
        let Some(group) = together.take(&find) else {
            return;
        };
        let outcome = async {
            let tx = PgTx::begin(held?, Access::Read);
            let (sql, params) = search(&find, &group.questions);
            let found = by_key(tx.rows(&sql, &params).await?)?;
            let row = |key: &String| found.get(key)?.first().cloned();
            Ok(group.questions.iter().map(row).collect())
        };
        let outcome = outcome.await;
        group.tell(outcome);
    }
}
