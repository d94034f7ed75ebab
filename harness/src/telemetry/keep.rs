//! Writes down what comes, a line a span.

use super::{Shapes, Sink, spans};
use crate::recording::{Recorded, RecordingError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Why spans were not written down.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The file.
    #[error("traces were not written down: {0}")]
    Recording(#[from] RecordingError),
    /// The file was given away before.
    #[error("traces were written down before")]
    Done,
}

/// A file of spans that is being written.
pub struct Keeper {
    spans: AtomicU64,
    file: Mutex<Keeping>,
}

/// What becomes of spans.
enum Keeping {
    Open(Recorded, Shapes),
    Failed(RecordingError),
    Done,
}

impl Keeper {
    /// Writes into `file`.
    pub fn new(file: Recorded) -> Self {
        Self {
            spans: AtomicU64::new(0),
            file: Mutex::new(Keeping::Open(file, Shapes::default())),
        }
    }

    /// How many spans have come.
    pub fn received(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }

    /// The file, which is whole now, and the forms that the spans in it have. What comes later is taken and not kept, so that nobody complains of a collector
    /// that is gone before him.
    ///
    /// # Errors
    /// When something could not be written down.
    pub fn finish(&self) -> Result<(Recorded, Shapes), NotKept> {
        let file = std::mem::replace(&mut *self.file(), Keeping::Done);
        match file {
            Keeping::Open(file, shapes) => Ok((file, shapes)),
            Keeping::Failed(error) => Err(error.into()),
            Keeping::Done => Err(NotKept::Done),
        }
    }

    fn file(&self) -> MutexGuard<'_, Keeping> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Keeper {
    fn take(&self, request: &ExportTraceServiceRequest) -> bool {
        let mut file = self.file();
        let (open, shapes) = match &mut *file {
            Keeping::Open(open, shapes) => (open, shapes),
            Keeping::Failed(_) => return false,
            Keeping::Done => return true,
        };
        shapes.take(request);
        let mut n = 0;
        for span in spans(request) {
            if let Err(error) = open.row(&span) {
                *file = Keeping::Failed(error);
                return false;
            }
            n += 1;
        }
        self.spans.fetch_add(n, Ordering::Relaxed);
        true
    }
}
