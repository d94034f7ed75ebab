//! Hands what is received on to a collector: all that is interesting, and a share of the rest.
//!
//! Which is which shows only in the end, so traces are held until they are quiet; that is tail sampling, and only who
//! sees everything can do it. A collector in trouble costs counted spans: nobody waits for it, and nothing is sent twice.

mod config;
mod deciding;
mod interest;
mod outgoing;
mod recent;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{KEEP, TeeConfig};

use super::Sink;
use crate::report::TeeFigures;
use deciding::{Bounds, Deciding};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use platform::telemetry::{Collector, TelemetryError};
use prost::Message;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two looks at what is quiet.
const LOOK: Duration = Duration::from_millis(200);
/// What is decided at the end is sent within this time, or dropped.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Why nothing can be handed on.
#[derive(Debug, thiserror::Error)]
pub enum TeeError {
    /// The collector cannot be spoken to like that.
    #[error(transparent)]
    Collector(#[from] TelemetryError),
    /// No thread, or no runtime.
    #[error("traces cannot be handed on: {0}")]
    System(#[from] std::io::Error),
}

/// Hands on what comes, on a thread of its own. Dropped before its end, it sends nothing more.
pub struct Tee {
    shared: Arc<Shared>,
    endpoint: String,
    phase: watch::Sender<Phase>,
    /// Its other side is gone when the thread is.
    ended: watch::Receiver<()>,
}

struct Shared {
    began: Instant,
    deciding: Mutex<Deciding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// More may come.
    On,
    /// Nothing more comes: what waits is sent.
    Closing,
    /// Nothing more is sent.
    Over,
}

impl Tee {
    /// Hands on as `config` says. Only `traced` of all orders come at all, by the same draw.
    ///
    /// # Errors
    /// When the collector has no address that could be used, or there is no thread.
    pub fn start(config: &TeeConfig, traced: f64) -> Result<Self, TeeError> {
        let collector = Collector::new(&config.collector)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            began: Instant::now(),
            deciding: Mutex::new(Deciding::new(Bounds::default(), config.keep * traced)),
        });
        let (phase, phases) = watch::channel(Phase::On);
        let (alive, ended) = watch::channel(());
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("tee".to_owned())
            .spawn(move || {
                let _alive = alive;
                runtime.block_on(hand_on(&of_thread, &collector, phases));
                // Somebody may still be looking for the collector's name.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            shared,
            endpoint: config.collector.endpoint.clone(),
            phase,
            ended,
        })
    }

    /// Metrics name these traces as examples.
    pub fn examples(&self, traces: &[u128]) {
        self.shared.deciding().examples(traces);
    }

    /// Decides on what is left, sends it within two seconds, and tells what has become of everything.
    pub async fn finish(&self) -> TeeFigures {
        self.shared.deciding().close();
        self.phase.send_replace(Phase::Closing);
        let mut ended = self.ended.clone();
        // Never changed, only closed; and whoever is late is told to stop.
        let _ = tokio::time::timeout(ENDS_WITHIN, ended.changed()).await;
        self.phase.send_replace(Phase::Over);
        let mut deciding = self.shared.deciding();
        deciding.outgoing.close();
        deciding.figures()
    }

    /// What there is to say about spans that the collector did not take, if there are any.
    pub fn complaint(&self) -> Option<String> {
        let deciding = self.shared.deciding();
        let outgoing = &deciding.outgoing;
        let why = outgoing.why.as_deref().unwrap_or("there was no room");
        let (endpoint, dropped) = (&self.endpoint, outgoing.dropped);
        (dropped > 0).then(|| {
            format!("{dropped} spans were not taken by the collector at {endpoint}: {why}")
        })
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Over);
    }
}

impl Sink for Tee {
    fn take(&self, request: &ExportTraceServiceRequest) -> bool {
        // It has told what became of everything.
        if *self.phase.borrow() == Phase::On {
            let now = self.shared.began.elapsed();
            self.shared.deciding().take(request, now);
        }
        true
    }
}

impl Shared {
    fn deciding(&self) -> MutexGuard<'_, Deciding> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what is decided, one request after the other, until it is told to end.
async fn hand_on(shared: &Shared, collector: &Collector, mut phase: watch::Receiver<Phase>) {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        let is_last = *phase.borrow_and_update() != Phase::On;
        if !is_last {
            shared.deciding().look(shared.began.elapsed());
        }
        loop {
            let Some(pieces) = shared.deciding().outgoing.next() else {
                break;
            };
            let body = wire::request(&pieces);
            drop(pieces);
            let answer = tokio::select! {
                biased;
                // Whoever is gone wants nothing sent either.
                _ = phase.wait_for(|phase| *phase == Phase::Over) => return,
                answer = collector.send(body) => answer,
            };
            let mut deciding = shared.deciding();
            match answer {
                Ok(answer) => deciding.outgoing.taken(rejected(&answer)),
                Err(why) => deciding.outgoing.not_taken(why.to_string()),
            }
        }
        if is_last {
            return;
        }
        tokio::select! {
            biased;
            _ = phase.changed() => {}
            _ = looks.tick() => {}
        }
    }
}

/// How many spans of a request the collector says that it did not want.
fn rejected(answer: &[u8]) -> u64 {
    let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
    let partly = answer.partial_success.unwrap_or_default();
    u64::try_from(partly.rejected_spans).unwrap_or(0)
}
