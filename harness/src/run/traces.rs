//! The traces of a run: who takes them, and what the services say they have lost.

use super::{RunConfig, RunError};
use crate::evidence::Source;
use crate::recording::Recorder;
use crate::target::{Metrics, Place, Target, Traces};
use crate::telemetry::Receiver;
use std::collections::BTreeMap;
use std::time::Duration;

/// When nothing has come for so long, nothing more will.
pub(super) const QUIET: Duration = Duration::from_millis(1_200);
/// What services say of their spans.
const SPANS: &str = "crashcart_telemetry_spans_total";

/// Takes what the shop of a run traces; none when that is nothing, or goes to somebody else.
pub(super) fn receive(
    config: &RunConfig,
    recorder: &Recorder,
) -> Result<Option<Receiver>, RunError> {
    if config.traces <= 0.0 || matches!(config.place, Place::Running(_)) {
        return Ok(None);
    }
    let receiver = Receiver::start(recorder.file(Source::Spans)?);
    receiver
        .map(Some)
        .map_err(|error| RunError::SetUp(error.to_string()))
}

/// What the shop is told.
pub(super) fn to(config: &RunConfig, receiver: &Receiver) -> Traces {
    Traces {
        endpoint: receiver.endpoint(),
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
