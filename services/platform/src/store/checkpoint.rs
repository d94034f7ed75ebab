//! Brings what is in SQLite's log into the database, on a thread of its own.
//!
//! SQLite would do that inside of a commit, every few thousand pages, and wait for the disk meanwhile: one request
//! in a hundred waited with it. A passive checkpoint holds up no writer.

use super::sqlite::{connect, engine};
use super::{Result, Synchronous};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How often to look at the size of the log.
const LOOK: Duration = Duration::from_millis(200);
/// A log of this size is worth the way to the disk.
const LOG_BYTES: u64 = 8 << 20;

/// The thread; it ends when this is dropped.
pub(crate) struct Checkpointer {
    _stop: mpsc::Sender<()>,
}

impl Checkpointer {
    /// Begins to look after the database in the file `path`.
    #[expect(
        clippy::disallowed_methods,
        reason = "an engine's own housekeeping: no service knows of it"
    )]
    pub(crate) fn start(path: &Path) -> Result<Self> {
        let connection = connect(path, Synchronous::Normal)?;
        connection
            .execute_batch("pragma cache_size = -100;")
            .map_err(engine)?;
        let mut log: PathBuf = path.to_owned();
        log.as_mut_os_string().push("-wal");
        let (stop, stopped) = mpsc::channel::<()>();
        let look_after = move || {
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let size = std::fs::metadata(&log).map_or(0, |log| log.len());
                if size > LOG_BYTES {
                    // Should it fail, the writer does it itself when its log is too long.
                    let _ = connection.execute_batch("pragma wal_checkpoint(passive);");
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpointer".to_owned());
        thread
            .spawn(look_after)
            .map_err(|error| super::StoreError::Engine(error.to_string()))?;
        Ok(Self { _stop: stop })
    }
}
