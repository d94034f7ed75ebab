//! A collector that remembers which traces it was sent.

use harness::telemetry::{Receiver, Sink, spans};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use platform::telemetry::{Protocol, Settings};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The collector, as long as it is there, and what it got.
pub struct Collector {
    receiver: Option<Receiver>,
    traces: Arc<Traces>,
    endpoint: String,
}

#[derive(Default)]
struct Traces(Mutex<BTreeSet<String>>);

impl Sink for Traces {
    fn take(&self, request: &ExportTraceServiceRequest) -> bool {
        let mut traces = self.0.lock().expect("nobody panics here");
        traces.extend(spans(request).map(|span| span.trace.into_owned()));
        true
    }
}

impl Collector {
    pub fn start() -> Self {
        let traces = Arc::new(Traces::default());
        let sinks: Vec<Arc<dyn Sink>> = vec![Arc::clone(&traces) as _];
        let receiver = Receiver::start(Receiver::anywhere(), sinks).expect("a port");
        Self {
            endpoint: receiver.endpoint(),
            receiver: Some(receiver),
            traces,
        }
    }

    /// Where it listens, without the path of the signal.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// What a shop is told of it.
    pub fn settings(&self) -> Settings {
        Settings::to(format!("{}/v1/traces", self.endpoint), Protocol::Http)
    }

    /// Whether a span of this trace has come.
    pub fn knows(&self, trace: &str) -> bool {
        let traces = self.traces.0.lock().expect("nobody panics here");
        traces.contains(trace)
    }

    /// Nobody listens any more.
    pub fn goes_away(&mut self) {
        self.receiver = None;
    }
}
