//! What a run was meant to do: written down before it begins, so that nothing can be left out in silence.

use crate::history::Story;
use crate::report::{EngineFigures, LoadFigures, TeeFigures};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a run was meant to do, and when it did. The first file of a recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// The run's name: the folder of its recording.
    pub run: String,
    /// Where chance comes from.
    pub seed: u64,
    /// The command that does it again.
    pub replay: String,
    /// Orders a second, on average.
    pub rate: f64,
    /// How many orders were to be sent.
    pub starts: u64,
    /// The stories of which at least one must happen.
    pub stories: BTreeSet<Story>,
    /// The kinds of faults that must fire and be seen, by name.
    pub faults: Vec<String>,
    /// The thresholds that were asked for.
    #[serde(default)]
    pub thresholds: Vec<String>,
    /// When the run began, microseconds since 1970. What is older was there before and is not the clients' doing.
    pub began_us: i64,
    /// When the first order was due.
    pub load_from_us: i64,
    /// When the last answer came.
    pub load_to_us: i64,
    /// When nothing moved any more, or nobody waited any longer.
    pub rest_us: i64,
    /// How long an order may take to settle once the faults are over.
    pub settle_bound_us: i64,
    /// How often a message may be put off before it is given up.
    pub attempts_max: u32,
    /// How long all the chances of a message take together, at most.
    pub attempts_us: i64,
    /// What the generator did.
    pub load: LoadFigures,
    /// How much memory the shop's process had in use at most, bytes; in this process that is the harness too. None
    /// where the system does not tell.
    pub memory_bytes: Option<u64>,
    /// What the shop ran on.
    #[serde(default)]
    pub engine: EngineFigures,
    /// Why nobody listened on the exchange, if that was known before the run: the checks that need it are not due.
    #[serde(default)]
    pub untapped: Option<String>,
    /// Whether every trace of the shop came to us; if not, the checks of traces are not due.
    #[serde(default)]
    pub traced: bool,
    /// Whether the shop is ours alone, so that what it counts is what we see of it; if not, the checks of metrics are
    /// not due.
    #[serde(default)]
    pub metered: bool,
    /// How long a span may wait before it is sent, microseconds: a service that dies loses what waits.
    #[serde(default)]
    pub export_us: i64,
    /// Spans for which a service had no room, or which were not taken in time.
    #[serde(default)]
    pub spans_lost: BTreeMap<String, u64>,
    /// What was handed on to a collector; none where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tee: Option<TeeFigures>,
    /// The processor time that each group of processes took from the first start until nothing moved any more,
    /// milliseconds. Empty where it was not measured.
    #[serde(default)]
    pub cpu_ms: BTreeMap<String, u64>,
    /// Why the tables were not at rest when they were read, if they were not.
    pub restless: Option<String>,
}

/// The longest that a run may take, and so the furthest that its times lie apart: a year.
const LONGEST_US: i64 = 366 * 24 * 3_600 * 1_000_000;
/// More starts than any run has.
const STARTS_MAX: u64 = 1_000_000_000_000;

impl Plan {
    /// What is wrong with it, if anything: its times must be those of one run, its counts such that a run can have
    /// them. Whoever judges may rely on that, and need not fear a window without end.
    pub fn problem(&self) -> Option<&'static str> {
        let times = [
            self.began_us,
            self.load_from_us,
            self.load_to_us,
            self.rest_us,
        ];
        let apart = self.rest_us.checked_sub(self.began_us);
        let spans = [self.settle_bound_us, self.attempts_us];
        let LoadFigures {
            offered,
            accepted,
            refused,
            unknown,
            dropped,
            ..
        } = self.load;
        let counts = [self.starts, offered, accepted, refused, unknown, dropped];
        if !times.is_sorted() || times[0] < 0 {
            Some("its times are not in order")
        } else if apart.is_none_or(|apart| apart > LONGEST_US) {
            Some("its times are too far apart")
        } else if spans.iter().any(|span| !(0..=LONGEST_US).contains(span)) {
            Some("a time in it is too long")
        } else if counts.iter().any(|count| *count > STARTS_MAX) {
            Some("a count in it is too large")
        } else {
            None
        }
    }
}
