//! Locks that nobody can spoil: a panic elsewhere is told elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What `mutex` guards.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
