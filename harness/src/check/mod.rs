//! The checks: pure functions from evidence to findings, each in a file of its own, listed in one table.
//!
//! Each answers valid, invalid or unknown, and with how many items it looked at. A check that was due and saw
//! nothing is unknown, and so is every check that needs a source which could not be read. Whether a check is due is
//! decided from the plan alone, never from what happened.

mod agreement;
mod amounts;
mod carried;
mod causes;
mod compensation;
mod delivered;
mod drained;
mod durable;
mod fold;
mod generator;
mod happened;
mod ids;
mod keys;
mod meta;
mod metrics;
mod money;
mod once;
mod origin;
mod poison;
mod price;
mod progress;
mod recovery;
mod registry;
mod session;
mod settled;
mod steps;
mod stock;
mod table;
mod tally;
mod traces;

pub use happened::seen;
pub use meta::about_the_run;
pub use table::CHECKS;
pub use tally::{About, Tally, Violation};

use crate::evidence::{Evidence, Source, View};
use crate::plan::Plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a check, or all of them together, say.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Not due in this run, which was known before it began.
    NotApplicable,
    /// Looked at something and found no violation.
    Valid,
    /// Was due, but there was no evidence.
    Unknown,
    /// Found a violation.
    Invalid,
}

impl Verdict {
    /// Its name in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotApplicable => "not applicable",
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        }
    }
}

/// What a violation of a check means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The shop is wrong: exit code 111.
    Shop,
    /// The run is worth nothing: exit code 114.
    Run,
    /// Telemetry does not say what happened: exit code 113.
    Telemetry,
    /// The harness itself is wrong: exit code 109.
    Harness,
}

/// Says from the plan whether a check is due; if not, why not.
pub type Rule = fn(&Plan) -> Result<(), &'static str>;

type Judge = fn(&View<'_>) -> Tally;

/// A check with its promise and its function.
pub struct Check {
    /// Its short name: `S1`.
    pub id: &'static str,
    /// Its name: `agreement`.
    pub name: &'static str,
    /// What must hold, in one sentence.
    pub promise: &'static str,
    /// What a violation means.
    pub class: Class,
    /// The sources without which it knows nothing.
    pub needs: &'static [Source],
    /// Whether it is due, from the plan; if not, why not.
    pub due: Rule,
    judge: Judge,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Its short name: `S1`.
    pub id: String,
    /// Its name: `agreement`.
    pub name: String,
    /// What it says.
    pub verdict: Verdict,
    /// How many items it looked at.
    pub evaluated: usize,
    /// How many of them violate it.
    pub violations: usize,
    /// The first violations, up to eight.
    pub sample: Vec<Violation>,
    /// The worst violation, where there is a measure for that.
    pub worst: Option<Violation>,
    /// The last violation, if there are more than in the sample.
    pub last: Option<Violation>,
    /// Why nothing is known, or why it was not due.
    pub why: Option<String>,
    /// What is worth knowing besides.
    pub notes: Vec<String>,
}

/// Runs every check.
pub fn judge(evidence: &Evidence) -> Vec<Finding> {
    judge_joined(&View::new(evidence))
}

/// Runs every check on evidence that is joined already.
pub fn judge_joined(view: &View<'_>) -> Vec<Finding> {
    CHECKS.iter().map(|check| check.find(view)).collect()
}

/// Runs the check with this short name.
pub fn judge_one(evidence: &Evidence, id: &str) -> Option<Finding> {
    let check = CHECKS.iter().find(|check| check.id == id)?;
    Some(check.find(&View::new(evidence)))
}

impl Check {
    fn find(&self, view: &View<'_>) -> Finding {
        if let Err(why) = (self.due)(&view.plan) {
            return self.without_evidence(Verdict::NotApplicable, why.to_owned());
        }
        let untapped = view.plan.untapped.as_ref();
        if let Some(why) = untapped.filter(|_| self.needs.contains(&Source::Tap)) {
            return self.without_evidence(Verdict::NotApplicable, why.clone());
        }
        if let Some(why) = self
            .needs
            .iter()
            .find_map(|source| view.missing.get(source))
        {
            return self.without_evidence(Verdict::Unknown, why.clone());
        }
        let tally = (self.judge)(view);
        let verdict = match (tally.violations, tally.evaluated) {
            (0, 0) => {
                return self
                    .without_evidence(Verdict::Unknown, "there was nothing to look at".to_owned());
            }
            (0, _) => Verdict::Valid,
            _ => Verdict::Invalid,
        };
        let last = tally.last.filter(|_| tally.violations > tally.sample.len());
        Finding {
            id: self.id.to_owned(),
            name: self.name.to_owned(),
            verdict,
            evaluated: tally.evaluated,
            violations: tally.violations,
            sample: tally.sample,
            worst: tally.worst.map(|(_, worst)| worst),
            last,
            why: None,
            notes: tally.notes,
        }
    }

    fn without_evidence(&self, verdict: Verdict, why: String) -> Finding {
        Finding {
            id: self.id.to_owned(),
            name: self.name.to_owned(),
            verdict,
            evaluated: 0,
            violations: 0,
            sample: Vec::new(),
            worst: None,
            last: None,
            why: Some(why),
            notes: Vec::new(),
        }
    }
}

/// The verdict over all findings: invalid before unknown before valid. Only a violation about the shop makes it
/// invalid; a run that is worth nothing, and a harness that is wrong, know nothing. So do findings of which none was
/// due.
pub fn overall(findings: &[Finding]) -> Verdict {
    let said = findings
        .iter()
        .map(|finding| match (finding.verdict, class(&finding.id)) {
            (Verdict::Invalid, Class::Run | Class::Harness) => Verdict::Unknown,
            (verdict, _) => verdict,
        });
    said.max()
        .filter(|verdict| *verdict != Verdict::NotApplicable)
        .unwrap_or(Verdict::Unknown)
}

/// What a violation of this check means. Those that are not in the table are about the checks themselves.
pub fn class(id: &str) -> Class {
    CHECKS
        .iter()
        .find(|check| check.id == id)
        .map_or(Class::Harness, |check| check.class)
}
