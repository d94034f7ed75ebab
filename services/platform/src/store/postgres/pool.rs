//! A few connections that are kept open, and the door that they come through.
//!
//! While the server is down only one caller at a time knocks, less and less often; the others are told at once.

use super::link::{Link, silence};
use crate::backoff::Backoff;
use crate::store::{Connections, Result, StoreError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where connections are made.
pub(super) struct Door {
    pub(super) tls: Option<MakeRustlsConnect>,
    pub(super) connect_timeout: Duration,
    pub(super) patience: Duration,
    trouble: Mutex<Trouble>,
}

struct Trouble {
    backoff: Backoff,
    why: String,
}

impl Door {
    pub(super) fn new(
        tls: Option<MakeRustlsConnect>,
        connect_timeout: Duration,
        patience: Duration,
    ) -> Self {
        Self {
            tls,
            connect_timeout,
            patience,
            trouble: Mutex::new(Trouble {
                backoff: Backoff::new(),
                why: String::new(),
            }),
        }
    }

    async fn connect(&self, config: &Config) -> Result<Link> {
        {
            let mut trouble = self.trouble();
            if trouble.backoff.is_early() {
                return Err(StoreError::Engine(trouble.why.clone()));
            }
            if trouble.backoff.is_in_trouble() {
                // It is our turn; the others need not wait for what we find out.
                trouble.backoff.knocks(self.connect_timeout);
            }
        }
        let patience = self.patience;
        let opened = async {
            match &self.tls {
                Some(tls) => Link::open(config, tls.clone(), patience).await,
                None => Link::open(config, NoTls, patience).await,
            }
        };
        let opened = tokio::time::timeout(self.connect_timeout, opened).await;
        let opened = opened
            .unwrap_or_else(|_| Err(StoreError::Engine(silence(self.connect_timeout))))
            // Whatever it was: who cannot connect has no database.
            .map_err(|error| StoreError::Engine(format!("cannot connect: {error}")));
        let mut trouble = self.trouble();
        match &opened {
            Ok(_) => trouble.backoff.opened(),
            Err(error) => {
                trouble.backoff.failed();
                trouble.why = match error {
                    StoreError::Engine(why) => why.clone(),
                    other => other.to_string(),
                };
            }
        }
        opened
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many connections for one purpose, made when they are first needed.
pub(super) struct Pool {
    door: Arc<Door>,
    config: Config,
    slots: usize,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Link>>,
}

impl Pool {
    pub(super) fn new(door: Arc<Door>, config: Config, slots: usize) -> Arc<Self> {
        let slots = slots.max(1);
        Arc::new(Self {
            door,
            config,
            slots,
            permits: Arc::new(Semaphore::new(slots)),
            idle: Mutex::default(),
        })
    }

    /// A connection, in the order of asking; busy when there is none for `patience`.
    pub(super) async fn take(self: &Arc<Self>, patience: Option<Duration>) -> Result<Held> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = match patience {
            None => permit.await,
            Some(patience) => {
                let permit = tokio::time::timeout(patience, permit).await;
                permit.map_err(|_| StoreError::Busy)?
            }
        };
        let permit = permit.map_err(|closed| StoreError::Engine(closed.to_string()))?;
        let link = match self.idle_link() {
            Some(link) => link,
            None => self.door.connect(&self.config).await?,
        };
        Ok(Held {
            link: Some(link),
            pool: Arc::clone(self),
            _permit: permit,
        })
    }

    /// What it holds just now.
    pub(super) fn state(&self, pool: &'static str) -> Connections {
        let idle = self.idle().iter().filter(|link| link.is_open()).count();
        let used = self.slots.saturating_sub(self.permits.available_permits());
        Connections {
            pool,
            used,
            idle,
            free: self.slots.saturating_sub(used + idle),
        }
    }

    fn idle_link(&self) -> Option<Link> {
        let mut idle = self.idle();
        // The server may have closed some meanwhile.
        idle.retain(Link::is_open);
        idle.pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Link>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is somebody's until this is dropped.
pub(super) struct Held {
    link: Option<Link>,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Held {
    pub(super) fn link(&self) -> &Link {
        self.link.as_ref().expect("taken only when dropped")
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(link) = self.link.take().filter(Link::is_open) {
            self.pool.idle().push(link);
        }
    }
}
