//! Who waits for something to come to its end: long polls are told by the commit that ends it.

use crate::lock::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use uuid::Uuid;

/// The waiters of one service, by what they wait for, and told an end `T` of it. Cheap to clone.
pub struct Waiting<T>(Arc<Mutex<Waiters<T>>>);

/// How many wait for an id, and how they are told.
type Waiters<T> = BTreeMap<Uuid, (usize, watch::Sender<Option<T>>)>;

impl<T> Clone for Waiting<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Waiting<T> {
    /// Begins to wait for the end of `id`. Look at its state after this, not before: an end in between would be lost.
    pub fn for_id(&self, id: Uuid) -> Waiter<T> {
        let mut waiting = lock(&self.0);
        let (count, end) = waiting
            .entry(id)
            .or_insert_with(|| (0, watch::Sender::new(None)));
        *count += 1;
        Waiter {
            id,
            end: end.subscribe(),
            waiting: self.clone(),
        }
    }

    /// Tells everybody who waits for `id` how it ended.
    pub fn tell(&self, id: Uuid, ended: T) {
        if let Some((_, end)) = lock(&self.0).get(&id) {
            end.send_replace(Some(ended));
        }
    }
}

/// One who waits. Dropping it ends the wait.
pub struct Waiter<T> {
    id: Uuid,
    end: watch::Receiver<Option<T>>,
    waiting: Waiting<T>,
}

impl<T: Clone> Waiter<T> {
    /// Waits for the end, if it did not come since [`Waiting::for_id`].
    pub async fn ended(&mut self) -> T {
        let told = self.end.wait_for(Option::is_some).await;
        let ended = told.ok().and_then(|told| told.clone());
        match ended {
            Some(ended) => ended,
            // The sender stays as long as anybody waits.
            None => std::future::pending().await,
        }
    }
}

impl<T> Drop for Waiter<T> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting.0);
        if let Some((count, _)) = waiting.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.id);
            }
        }
    }
}
