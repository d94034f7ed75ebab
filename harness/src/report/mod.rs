//! What a run says in the end: as text for people, as `summary.json` for programs, as JUnit for CI.
//!
//! Everything in it comes from the recording, so that `crashcart check` says the same at any later time.

mod exit;
mod figures;
mod junit;
mod number;
mod text;
mod timeline;
mod times;
mod tree;

pub use crate::load::histogram;
pub use exit::{Exit, exit};
pub use figures::{EngineFigures, FaultFigures, Figures, Latency, LoadFigures, TeeFigures};
pub use junit::junit;
pub use timeline::timeline;
pub use times::Times;
pub use tree::{NoTree, tree};
pub(crate) use tree::{arranged, home, read};

use crate::check::{self, About, Finding, Verdict};
use crate::evidence::{Evidence, View};
use crate::threshold::{Judged, Threshold};
use contract::OrderId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of `summary.json`; one more whenever a field is taken away or means something else.
const SCHEMA: u32 = 1;
/// Orders that are told in full.
const TIMELINES: usize = 3;

/// What a run came to: `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The version of this schema.
    pub schema: u32,
    /// The version of crashcart.
    pub version: String,
    /// The run's name.
    pub run: String,
    /// Where chance came from.
    pub seed: u64,
    /// The command that does it again.
    pub replay: String,
    /// What all of it comes to.
    pub verdict: Verdict,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// Orders a second, on average, as asked for.
    pub rate: f64,
    /// From the first start to the last answer, milliseconds.
    pub load_ms: i64,
    /// From the beginning until nothing moved any more, milliseconds.
    pub took_ms: i64,
    /// What the shop ran on.
    pub engine: EngineFigures,
    /// How much memory the shop's process had in use at most, bytes, or its processes together; in one process that
    /// is the harness too. 0 where the system does not tell.
    pub memory_bytes: u64,
    /// The processor time that each group of processes took from the first start until nothing moved any more,
    /// milliseconds. Empty where it was not measured.
    pub cpu_ms: BTreeMap<String, u64>,
    /// The same for one settled order, and for all groups together.
    pub cpu_ms_per_saga: BTreeMap<String, f64>,
    /// What the load did.
    pub load: LoadFigures,
    /// Orders that any source names; each is judged.
    pub orders: u64,
    /// Orders by how they ended: `finished`, `canceled under_minimum`, …
    pub outcomes: BTreeMap<String, u64>,
    /// From the intended start to the 201.
    pub accept: Latency,
    /// From the actual start to the 201: what a generator says that waits for the shop.
    pub accept_raw: Latency,
    /// From the intended start to the end of the order.
    pub settle: Latency,
    /// Where the time of an order goes, by story; empty where not all of it was traced.
    pub times: BTreeMap<String, Times>,
    /// What was handed on to a collector; left out where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tee: Option<TeeFigures>,
    /// What became of each fault.
    pub faults: Vec<FaultFigures>,
    /// Thresholds and whether they held.
    pub thresholds: Vec<Judged>,
    /// What each check found.
    pub checks: Vec<Finding>,
}

/// A summary with what only people want to see.
#[derive(Debug, Clone)]
pub struct Report {
    /// The figures and findings.
    pub summary: Summary,
    /// The story of an order that violates a check, by check.
    pub told: BTreeMap<String, Told>,
    /// Where the recording is.
    pub recording: Option<String>,
    /// The page that shows some of its orders, where there is one.
    pub traces: Option<String>,
}

/// Where the story of an order is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Here: lines of a [`timeline`].
    Here(String),
    /// At this check, which the same order violates.
    At(String),
}

/// Judges `evidence` and says what it comes to. `trace` finds the trace of an order.
pub fn report(
    evidence: &Evidence,
    thresholds: &[Threshold],
    trace: impl Fn(OrderId) -> Option<String>,
) -> Report {
    let view = View::new(evidence);
    let mut checks = check::judge_joined(&view);
    checks.extend(check::about_the_run(evidence, &checks));
    Report {
        told: tell(&view, &checks, trace),
        summary: summary(&view, checks, thresholds),
        recording: None,
        traces: None,
    }
}

/// Tells an order for each check that one violates, each order once, and not too many.
fn tell(
    view: &View<'_>,
    checks: &[Finding],
    trace: impl Fn(OrderId) -> Option<String>,
) -> BTreeMap<String, Told> {
    let mut told = BTreeMap::new();
    let mut at: BTreeMap<OrderId, &str> = BTreeMap::new();
    for finding in checks {
        let quoted = finding.worst.iter().chain(&finding.sample);
        let orders = quoted.filter_map(|violation| match violation.about {
            About::Order(id) => Some(id),
            About::Product(_) | About::Run => None,
        });
        let orders: Vec<OrderId> = orders.collect();
        let before = orders.iter().find_map(|id| at.get(id));
        let story = match (before, orders.first()) {
            (Some(check), _) => Told::At((*check).to_owned()),
            (None, Some(id)) if at.len() < TIMELINES => {
                at.insert(*id, &finding.id);
                Told::Here(timeline(view, *id, trace(*id).as_deref()))
            }
            _ => continue,
        };
        told.insert(finding.id.clone(), story);
    }
    told
}

fn summary(view: &View<'_>, checks: Vec<Finding>, thresholds: &[Threshold]) -> Summary {
    let plan = &view.plan;
    let figures = figures::Figures::of(view);
    let thresholds: Vec<Judged> = thresholds
        .iter()
        .map(|threshold| threshold.judge(&figures))
        .collect();
    let exit = exit(&checks, &thresholds);
    let outcomes = figures::outcomes(view);
    Summary {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        run: plan.run.clone(),
        seed: plan.seed,
        replay: plan.replay.clone(),
        verdict: check::overall(&checks),
        exit_code: exit.code(),
        rate: plan.rate,
        load_ms: plan.load_to_us.saturating_sub(plan.load_from_us) / 1_000,
        took_ms: plan.rest_us.saturating_sub(plan.began_us) / 1_000,
        engine: plan.engine.clone(),
        memory_bytes: plan.memory_bytes.unwrap_or(0),
        cpu_ms: plan.cpu_ms.clone(),
        cpu_ms_per_saga: figures::cpu_ms_per_saga(&plan.cpu_ms, figures::settled(&outcomes)),
        load: plan.load.clone(),
        orders: view.names.orders.len() as u64,
        outcomes,
        accept: Latency::of(&figures.accept_us),
        accept_raw: Latency::of(&figures.accept_raw_us),
        settle: Latency::of(&figures.settle_us),
        times: if plan.traced {
            times::times(view)
        } else {
            BTreeMap::new()
        },
        tee: plan.tee.clone(),
        faults: figures::faults(view),
        thresholds,
        checks,
    }
}
