//! Who waits for something to come to its end: long polls are woken by the commit that ends it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use uuid::Uuid;

/// The waiters of one service, by what they wait for. Cheap to clone.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<Waiters>>);

/// How many wait for an id, and what wakes them.
type Waiters = BTreeMap<Uuid, (usize, Arc<Notify>)>;

impl Waiting {
    /// Begins to wait for `id`. Look at its state after this, not before: a wake in between would be lost.
    pub fn for_id(&self, id: Uuid) -> Waiter {
        let mut waiting = self.lock();
        let (count, notify) = waiting.entry(id).or_default();
        *count += 1;
        Waiter {
            id,
            notify: Arc::clone(notify),
            waiting: self.clone(),
        }
    }

    /// Wakes everybody who waits for `id`.
    pub fn wake(&self, id: Uuid) {
        if let Some((_, notify)) = self.lock().get(&id) {
            notify.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits. Dropping it ends the wait.
pub struct Waiter {
    id: Uuid,
    notify: Arc<Notify>,
    waiting: Waiting,
}

impl Waiter {
    /// Completes at the next wake after this call.
    pub fn woken(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        if let Some((count, _)) = waiting.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.id);
            }
        }
    }
}
