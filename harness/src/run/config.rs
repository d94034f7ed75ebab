//! What to run.

use super::RunError;
use crate::faults::{FaultKind, Wanted};
use crate::history::Story;
use crate::target::Place;
use crate::telemetry::TeeConfig;
use crate::threshold::Threshold;
use crate::workload::Workload;
use contract::Bug;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The most orders of a run: its plan is made before it begins, and kept in memory.
const STARTS_MAX: f64 = 2_000_000.0;
/// A fault takes this much of a load at least, with the quiet time after it.
const SLOT: Duration = Duration::from_millis(1_500);
/// And so many orders.
const SLOT_ORDERS: f64 = 75.0;

/// What to run.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// A CSV file of orders; the real orders that come with crashcart if not given.
    pub orders: Option<PathBuf>,
    /// Orders a second, on average.
    pub rate: f64,
    /// How long to send; until each order was sent once if not given.
    pub duration: Option<Duration>,
    /// The stories to tell beside the real orders.
    pub stories: BTreeSet<Story>,
    /// What goes wrong; none: everything that can.
    pub faults: Option<Vec<Wanted>>,
    /// How much of what the real orders need is in stock, in percent.
    pub stock_percent: u32,
    /// Where ids and chance come from.
    pub seed: u64,
    /// Where the shop runs.
    pub place: Place,
    /// How long services of their own may take until all are ready.
    pub ready_within: Duration,
    /// Where the databases are, to be kept; a temporary directory if not given.
    pub data: Option<PathBuf>,
    /// Where recordings go.
    pub runs: PathBuf,
    /// What the run must reach besides being right.
    pub thresholds: Vec<Threshold>,
    /// The share of the traces that is recorded, from 0 to 1; their checks are due if it is all of them.
    pub traces: f64,
    /// Where the interesting ones of them, and some others, are handed on to.
    pub tee: Option<TeeConfig>,
    /// Where Prometheus may ask for the figures of the run while it is on.
    pub metrics: Option<SocketAddr>,
    /// A bug to switch on; of no effect in a build without the feature `planted`.
    pub planted: Option<Bug>,
    /// Which log lines are written, in the syntax of `RUST_LOG`.
    pub log_filter: String,
    /// Whether to show nothing but the report.
    pub quiet: bool,
    /// The command that does it again.
    pub replay: String,
}

/// All stories beside the real orders.
pub fn default_stories() -> BTreeSet<Story> {
    let own = [Story::Catalogue, Story::Real];
    Story::ALL
        .into_iter()
        .filter(|story| !own.contains(story))
        .collect()
}

/// Everything that can go wrong where the shop runs, with the stories that bring it.
pub fn default_faults(stories: &BTreeSet<Story>, place: &Place) -> Vec<FaultKind> {
    let possible = |kind: &FaultKind| {
        !kind.is_long()
            && place.suffers(*kind).is_ok()
            && story(*kind).is_none_or(|story| stories.contains(&story))
    };
    FaultKind::ALL.into_iter().filter(possible).collect()
}

/// The story that brings a fault about.
const fn story(kind: FaultKind) -> Option<Story> {
    match kind {
        FaultKind::UnderMinimum => Some(Story::UnderMinimum),
        FaultKind::Declines => Some(Story::Declined),
        FaultKind::OutOfStock => Some(Story::OutOfStock),
        _ => None,
    }
}

impl RunConfig {
    /// What the shop runs on, in a word.
    pub(super) const fn engine(&self) -> &'static str {
        match self.place {
            Place::Here | Place::Child { .. } => "embedded",
            Place::Distributed(_) => "distributed",
            Place::Running(_) => "target",
        }
    }

    /// # Errors
    /// [`RunError::Config`] for faults that this run cannot bring about.
    pub(super) fn check(&self) -> Result<(), RunError> {
        if let Some(duration) = self.duration
            && duration.as_secs_f64() * self.rate > STARTS_MAX
        {
            let (rate, seconds) = (self.rate, duration.as_secs_f64());
            let what = format!(
                "{rate} orders a second for {seconds} seconds: a run has at most {STARTS_MAX} orders; lower -r or -d"
            );
            return Err(RunError::Config(what));
        }
        for wanted in self.faults.iter().flatten() {
            let kind = wanted.kind;
            if let Err(why) = self.place.suffers(kind) {
                return Err(RunError::Config(format!("--faults {kind}: {why}")));
            }
            if let Some(story) = story(kind).filter(|story| !self.stories.contains(story)) {
                let name = story.as_str();
                let what = format!(
                    "--faults {kind}: the workload brings it about; add {name} to --stories"
                );
                return Err(RunError::Config(what));
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`RunError::Config`] when the load is too short to tell each story once, or for a fault that begins later.
    pub(super) fn check_told(&self, workload: &Workload) -> Result<(), RunError> {
        let length = workload.starts.last().map(|start| start.at);
        let length = self.duration.or(length).unwrap_or_default();
        for wanted in self.faults.iter().flatten() {
            if wanted.ends().is_some_and(|ends| ends > length) {
                let what = format!(
                    "--faults {wanted}: the load ends after {length:?}; an earlier @ or a longer -d"
                );
                return Err(RunError::Config(what));
            }
        }
        let told = workload.told();
        let untold: Vec<&str> = self
            .stories
            .iter()
            .filter(|story| !told.contains_key(story))
            .map(|story| story.as_str())
            .collect();
        if untold.is_empty() {
            return Ok(());
        }
        let (starts, untold) = (workload.starts.len(), untold.join(" "));
        let what = format!(
            "{starts} orders are too few to tell every story, left out: {untold}; a longer -d, a higher -r, or fewer --stories"
        );
        Err(RunError::Config(what))
    }

    /// What goes wrong in a load of this length. Everything is what fits: a fault needs some time, and some orders,
    /// to be seen, and the shop some time after it.
    pub(super) fn wanted(&self, length: Duration) -> Vec<Wanted> {
        let Some(wanted) = &self.faults else {
            let all = default_faults(&self.stories, &self.place);
            let (mut windows, mut kinds): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|kind| kind.has_window());
            windows.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
            let slot = SLOT.as_secs_f64().max(SLOT_ORDERS / self.rate);
            let fit = (1..=windows.len())
                .rev()
                .find(|n| f64::from(u32::try_from(*n).unwrap_or(0)) * slot <= length.as_secs_f64());
            kinds.extend(windows.into_iter().take(fit.unwrap_or(0)));
            return kinds.into_iter().map(Wanted::from).collect();
        };
        wanted.clone()
    }
}
