//! Writes down what everybody has to say: each source into its file, piece by piece.

use super::RunError;
use super::exposed::Figures;
use super::tap::{self, Listening};
use crate::client::{Call, NDJSON};
use crate::evidence::{Ours, Source, gather_in_pieces};
use crate::history::Operation;
use crate::recording::{Recorded, Recorder, RecordingError};
use crate::target::Target;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Operations that may wait to be written down.
const HISTORY_MAX: usize = 10_000;
/// Where a service says how full its queue is.
const QUEUES: &str = "/api/v1/queues";

/// What is to be recorded besides what the shop exports.
pub(super) struct Besides {
    /// Somebody who listened on the exchange, or why nobody did; none when the shop tells what was there.
    pub(super) tap: Option<Result<Listening, String>>,
    /// Whose lines to keep, if there are others.
    pub(super) ours: Option<Ours>,
}

/// Asks the shop for everything that it tells, and ends the tap.
pub(super) async fn record(
    recorder: &mut Recorder,
    target: &Target,
    besides: Besides,
) -> Result<(), RunError> {
    let read = async |service, path: String, piece: &mut dyn FnMut(&str)| {
        if path == QUEUES {
            piece(&target.queues(service).await?);
            return Ok(());
        }
        let call = Call {
            accept: Some(NDJSON),
            ..Call::get(&path)
        };
        let lines = target.client(service).lines(call, piece).await;
        lines.map_err(|error| error.to_string())
    };
    let Besides { tap, ours } = besides;
    let told = |source: &Source| *source != Source::Tap || tap.is_none();
    let mut writing = Writing {
        recorder,
        open: None,
        ours,
        logged: 0,
    };
    let mut failed = None;
    gather_in_pieces(
        Source::ALL.into_iter().filter(told),
        read,
        |source, text| {
            let step = writing.take(source, text);
            failed = failed.take().or(step.err());
        },
    )
    .await;
    writing.done()?;
    if let Some(tap) = tap {
        writing.tapped(tap).await?;
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

struct Writing<'a> {
    recorder: &'a mut Recorder,
    open: Option<(Source, Recorded)>,
    ours: Option<Ours>,
    /// Events in the logs that are ours; as many messages must have been on the exchange.
    logged: u64,
}

impl Writing<'_> {
    /// Adds a piece of a source to its file; the file of the source before it is done.
    fn take(&mut self, source: Source, text: Result<&str, String>) -> Result<(), RecordingError> {
        let is_new = self.open.as_ref().is_none_or(|(open, _)| *open != source);
        if is_new {
            let next = self.recorder.file(source)?;
            self.done()?;
            self.open = Some((source, next));
        }
        let text = match text {
            Ok(text) => text,
            Err(why) => {
                self.recorder.miss(source, why);
                return Ok(());
            }
        };
        let Some((_, file)) = &mut self.open else {
            return Ok(());
        };
        let is_log = matches!(
            source,
            Source::LogOrders | Source::LogProducts | Source::LogPayments
        );
        if self.ours.is_none() && !is_log {
            return file.lines(text.as_bytes());
        }
        for line in text.lines().filter(|line| !line.is_empty()) {
            let ours = self.ours.as_mut();
            if ours.is_none_or(|ours| ours.is_ours(source, line)) {
                self.logged += u64::from(is_log);
                file.line(line.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Ends the file that is open.
    fn done(&mut self) -> Result<(), RecordingError> {
        let open = self.open.take();
        open.map_or(Ok(()), |(_, file)| self.recorder.keep(file))
    }

    /// Ends the tap.
    async fn tapped(&mut self, tap: Result<Listening, String>) -> Result<(), RecordingError> {
        let heard = match tap {
            Ok(listening) => listening.finish(self.logged).await,
            Err(why) => Err(why),
        };
        match heard {
            Ok(file) => self.recorder.keep(file)?,
            Err(why) => {
                self.recorder.miss(Source::Tap, why);
                return Ok(());
            }
        }
        match &mut self.ours {
            Some(ours) => tap::keep_ours(self.recorder, ours),
            None => Ok(()),
        }
    }
}

type Written = tokio::task::JoinHandle<Result<Recorded, RecordingError>>;

/// Writes operations down as they end, on a thread where the disk holds nobody up.
pub(super) fn write_down(
    mut file: Recorded,
    figures: Arc<Figures>,
) -> (mpsc::Sender<Operation>, Written) {
    let (sender, mut operations) = mpsc::channel::<Operation>(HISTORY_MAX);
    let written = tokio::task::spawn_blocking(move || {
        while let Some(operation) = operations.blocking_recv() {
            figures.did(&operation);
            file.row(&operation)?;
        }
        Ok(file)
    });
    (sender, written)
}
