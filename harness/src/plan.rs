//! What a run was meant to do: written down before it begins, so that nothing can be left out in silence.

use crate::history::Story;
use crate::report::LoadFigures;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

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
    /// Why the tables were not at rest when they were read, if they were not.
    pub restless: Option<String>,
}
