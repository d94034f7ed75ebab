//! The traces of a run: who takes them, and what the services say they have lost.

use super::{RunConfig, RunError};
use crate::evidence::Source;
use crate::recording::Recorder;
use crate::report::TeeFigures;
use crate::target::{Metrics, Place, Target, Traces};
use crate::telemetry::{Keeper, Receiver, Shapes, Sink, Tee, TeeError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// When nothing has come for so long, nothing more will.
pub(super) const QUIET: Duration = Duration::from_millis(1_200);
/// What services say of their spans.
const SPANS: &str = "crashcart_telemetry_spans_total";

/// Takes what the shop of a run traces.
pub(super) struct Receiving {
    receiver: Receiver,
    pub(super) keeper: Arc<Keeper>,
    pub(super) tee: Option<Arc<Tee>>,
}

impl Receiving {
    /// Sends the last of what is handed on, and says what the collector did not take.
    pub(super) async fn handed_on(&self) -> Option<TeeFigures> {
        let tee = self.tee.as_ref()?;
        let figures = tee.finish().await;
        if let Some(complaint) = tee.complaint() {
            eprintln!("crashcart: {complaint}");
        }
        Some(figures)
    }
}

/// Takes what the shop of a run traces; none when that is nothing, or goes to somebody else.
pub(super) fn receive(
    config: &RunConfig,
    recorder: &Recorder,
) -> Result<Option<Receiving>, RunError> {
    if config.traces <= 0.0 || matches!(config.place, Place::Running(_)) {
        return Ok(None);
    }
    let keeper = Arc::new(Keeper::new(recorder.file(Source::Spans)?));
    let tee = config.tee.as_ref();
    let tee = tee.map(|tee| Tee::start(tee, config.traces).map(Arc::new));
    let tee = tee.transpose();
    let tee = tee.map_err(|error| match error {
        TeeError::Collector(error) => RunError::Config(error.to_string()),
        TeeError::System(_) => RunError::SetUp(error.to_string()),
    })?;
    let mut sinks: Vec<Arc<dyn Sink>> = vec![Arc::clone(&keeper) as _];
    sinks.extend(tee.clone().map(|tee| tee as _));
    let receiver = Receiver::start(Receiver::anywhere(), sinks);
    let receiver = receiver.map_err(|error| RunError::SetUp(error.to_string()))?;
    Ok(Some(Receiving {
        receiver,
        keeper,
        tee,
    }))
}

/// Writes down which forms the spans had.
pub(super) fn keep_shapes(recorder: &mut Recorder, shapes: Shapes) -> Result<(), RunError> {
    if shapes.beyond > 0 {
        let why = format!(
            "{} spans have more forms than anybody can look at",
            shapes.beyond
        );
        recorder.miss(Source::Shapes, why);
    }
    let mut file = recorder.file(Source::Shapes)?;
    for shape in shapes.finish() {
        file.row(&shape)?;
    }
    Ok(recorder.keep(file)?)
}

/// What the shop is told.
pub(super) fn to(config: &RunConfig, receiving: &Receiving) -> Traces {
    Traces {
        endpoint: receiving.receiver.endpoint(),
        share: config.traces,
    }
}

/// How long a span may wait before it is sent.
pub(super) fn export_us(traces: &Traces) -> i64 {
    i64::try_from(traces.settings().delay.as_micros()).unwrap_or(i64::MAX)
}

/// How many spans each service had no room for, or could not get rid of.
pub(super) async fn lost(target: &Target) -> BTreeMap<String, u64> {
    let mut lost = BTreeMap::new();
    for service in shop::SERVICES {
        let metrics = Metrics::read_all(target.clients(service)).await;
        let n = metrics.map_or(0, |metrics| {
            let of = |result| metrics.sum_where(SPANS, "result", result);
            of("dropped") + of("failed")
        });
        lost.insert(service.to_owned(), n);
    }
    lost
}
