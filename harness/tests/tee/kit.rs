//! A collector like any other: our own, with a file of its own.

use harness::evidence::Source;
use harness::recording::Recorder;
use harness::telemetry::{Keeper, Receiver, SpanLine};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// The spans of each trace.
pub type Traces = BTreeMap<String, Vec<SpanLine<'static>>>;

/// A collector that writes down what it takes.
pub struct Collecting {
    dir: TempDir,
    recorder: Recorder,
    keeper: Arc<Keeper>,
    receiver: Receiver,
}

impl Collecting {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let recorder = Recorder::create(dir.path(), "collected").expect("a recording");
        let keeper = Keeper::new(recorder.file(Source::Spans).expect("a file"));
        let keeper = Arc::new(keeper);
        let sinks = vec![Arc::clone(&keeper) as _];
        let receiver = Receiver::start(Receiver::anywhere(), sinks).expect("a collector");
        Self {
            dir,
            recorder,
            keeper,
            receiver,
        }
    }

    /// Where it is.
    pub fn endpoint(&self) -> String {
        self.receiver.endpoint()
    }

    /// What it took.
    pub fn finish(mut self) -> Traces {
        let (file, _) = self.keeper.finish().expect("all written down");
        self.recorder.keep(file).expect("kept");
        let traces = traces(self.recorder.dir());
        drop(self.dir);
        traces
    }
}

/// The spans in a recording.
pub fn traces(recording: &Path) -> Traces {
    let text = std::fs::read_to_string(recording.join(Source::Spans.file())).expect("spans");
    let mut traces = Traces::new();
    for line in text.lines() {
        let span: SpanLine<'_> = serde_json::from_str(line).expect("a span");
        let span = span.into_owned();
        let trace = span.trace.clone().into_owned();
        traces.entry(trace).or_default().push(span);
    }
    traces
}

/// What a run says that it has handed on.
pub fn told(recording: &Path) -> Value {
    let summary = std::fs::read_to_string(recording.join("summary.json")).expect("a summary");
    let summary: Value = serde_json::from_str(&summary).expect("JSON");
    summary["tee"].clone()
}
