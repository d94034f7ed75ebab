//! The harness's own queue on the exchange of a shop: what comes there is written down in the order of its arrival.

use crate::evidence::{Ours, Source};
use crate::recording::{Recorded, Recorder, RecordingError};
use platform::broker::{RabbitSettings, RabbitTap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The name of the tap of a shop that is ours alone.
pub(super) const NAME: &str = "tap";
/// The most messages that are taken at a time.
const MESSAGES: usize = 512;
/// When nothing has come for so long, nothing more will.
const QUIET: Duration = Duration::from_secs(1);
/// How long messages that are known of are waited for.
const COMES_WITHIN: Duration = Duration::from_secs(20);
/// Products were created, and something of it must have come within so long.
const HEARS_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at whether something came.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until `count` has not grown for so long, or it grows for ever.
pub(super) async fn quiet(count: impl Fn() -> u64, for_so_long: Duration) {
    let began = Instant::now();
    let (mut last, mut since) = (count(), Instant::now());
    while since.elapsed() < for_so_long && began.elapsed() < COMES_WITHIN {
        tokio::time::sleep(LOOK).await;
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

/// Somebody who listens on the exchange.
pub(super) struct Listening {
    heard: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<(RabbitTap, Result<Recorded, String>)>,
}

impl Listening {
    /// Listens from now on, on a queue with this name.
    pub(super) async fn start(
        settings: &RabbitSettings,
        name: &str,
        file: Recorded,
    ) -> Result<Self, String> {
        let tap = RabbitTap::open(settings, name).await;
        let tap = tap.map_err(|error| format!("the exchange cannot be tapped: {error}"))?;
        let heard = Arc::new(AtomicU64::new(0));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(listen(tap, file, Arc::clone(&heard), stopped));
        Ok(Self { heard, stop, task })
    }

    /// Waits until something has come. False: nothing does.
    pub(super) async fn hears(&self) -> bool {
        let began = Instant::now();
        while self.heard() == 0 && began.elapsed() < HEARS_WITHIN {
            tokio::time::sleep(LOOK).await;
        }
        self.heard() > 0
    }

    /// Waits until nothing comes any more.
    pub(super) async fn quiet(&self) {
        quiet(|| self.heard(), QUIET).await;
    }

    /// Stops listening, when at least so many messages have come, or no more of them come.
    pub(super) async fn finish(self, at_least: u64) -> Result<Recorded, String> {
        let began = Instant::now();
        while self.heard() < at_least && began.elapsed() < COMES_WITHIN {
            tokio::time::sleep(LOOK).await;
        }
        self.stop.send_replace(true);
        let (tap, file) = self.task.await.map_err(|error| error.to_string())?;
        if let Err(error) = tap.delete().await {
            eprintln!("crashcart: the queue of the tap could not be removed: {error}");
        }
        file
    }

    fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

async fn listen(
    mut tap: RabbitTap,
    mut file: Recorded,
    heard: Arc<AtomicU64>,
    mut stopped: watch::Receiver<bool>,
) -> (RabbitTap, Result<Recorded, String>) {
    let mut seq = 0_u64;
    loop {
        let messages = tokio::select! {
            biased;
            // A sender that is gone wants nothing more either.
            _ = stopped.wait_for(|stopped| *stopped) => return (tap, Ok(file)),
            messages = tap.next(MESSAGES) => messages,
        };
        let messages = match messages {
            Ok(messages) => messages,
            Err(error) => return (tap, Err(error.to_string())),
        };
        for message in messages {
            seq += 1;
            if let Err(error) = file.line(line(seq, &message).as_bytes()) {
                return (tap, Err(error.to_string()));
            }
        }
        heard.store(seq, Ordering::Relaxed);
    }
}

fn line(seq: u64, message: &str) -> String {
    format!(r#"{{"seq":{seq},"message":{}}}"#, message.trim())
}

/// Writes the source again with what is ours only; places are counted anew.
pub(super) fn keep_ours(recorder: &mut Recorder, ours: &mut Ours) -> Result<(), RecordingError> {
    let whole = recorder.dir().join(Source::Tap.file());
    let part = whole.with_extension("part");
    let failed = |path: &Path, source| RecordingError::File {
        path: path.to_owned(),
        source,
    };
    std::fs::rename(&whole, &part).map_err(|error| failed(&whole, error))?;
    let read = BufReader::new(File::open(&part).map_err(|error| failed(&part, error))?);
    let mut file = recorder.file(Source::Tap)?;
    let mut seq = 0;
    for text in read.lines() {
        let text = text.map_err(|error| failed(&part, error))?;
        let message = text
            .split_once(r#""message":"#)
            .map_or("", |(_, rest)| rest);
        let message = message.strip_suffix('}').unwrap_or(message);
        if ours.is_ours(Source::Tap, message) {
            seq += 1;
            file.line(line(seq, message).as_bytes())?;
        }
    }
    std::fs::remove_file(&part).map_err(|error| failed(&part, error))?;
    recorder.keep(file)
}
