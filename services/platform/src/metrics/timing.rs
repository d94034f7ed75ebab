//! Durations, each bucket with an example: which step of which trace was so fast, or so slow.

use super::seconds;
use crate::Trace;
use crate::lock::lock;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramOpts, HistogramVec};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Upper bounds. The lowest are for steps that take fractions of a millisecond.
pub(super) const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0,
];

/// A family of histograms, in seconds. Cheap to clone.
#[derive(Clone)]
pub struct Timing {
    name: &'static str,
    labels: &'static [&'static str],
    family: HistogramVec,
    /// By the values of the labels: the latest of each bucket, the last without a bound. As many as there are series,
    /// and those are few.
    examples: Arc<Mutex<BTreeMap<String, Vec<Option<Example>>>>>,
}

/// Something that took so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Example {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) seconds: f64,
    pub(super) at_us: i64,
}

impl Timing {
    pub(super) fn new(name: &'static str, help: &str, labels: &'static [&'static str]) -> Self {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        Self {
            name,
            labels,
            family: HistogramVec::new(options, labels).expect("a valid name"),
            examples: Arc::default(),
        }
    }

    /// Something took `took_us`, until `at_us`; `step` is where to find it, if it is traced.
    pub fn observe(&self, values: &[&str], took_us: i64, (step, at_us): (Option<&Trace>, i64)) {
        let seconds = seconds(took_us);
        self.family.with_label_values(values).observe(seconds);
        let Some(step) = step.filter(|step| step.is_sampled()) else {
            return;
        };
        let bucket = SECONDS.partition_point(|bound| *bound < seconds);
        let mut examples = lock(&self.examples);
        let of_series = examples
            .entry(values.join("\n"))
            .or_insert_with(|| vec![None; SECONDS.len() + 1]);
        of_series[bucket] = Some(Example {
            trace: step.trace_id(),
            span: step.span_id(),
            seconds,
            at_us,
        });
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// The examples of the series whose labels have these values, by bucket.
    pub(super) fn examples(&self, value: impl Fn(&str) -> String) -> Vec<Option<Example>> {
        let values = self.labels.iter().map(|label| value(label));
        let key = values.collect::<Vec<_>>().join("\n");
        lock(&self.examples).get(&key).cloned().unwrap_or_default()
    }
}

impl Collector for Timing {
    fn desc(&self) -> Vec<&Desc> {
        self.family.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.family.collect()
    }
}
