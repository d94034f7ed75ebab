//! The checks: pure functions from evidence to findings, each in a file of its own, listed in one table.
//!
//! Each answers valid, invalid or unknown, and with how many items it looked at. A check that was due and saw
//! nothing is unknown, and so is every check that needs a source which could not be read.

mod agreement;
mod durable;
mod money;
mod stock;

use crate::evidence::{Evidence, Source, Unreadable};

/// The most violations that a finding quotes.
const SAMPLE: usize = 8;

/// What a check, or all of them together, say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Looked at something and found no violation.
    Valid,
    /// Was due, but there was no evidence.
    Unknown,
    /// Found a violation.
    Invalid,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Its id and name: `S1 agreement`.
    pub check: &'static str,
    /// What it says.
    pub verdict: Verdict,
    /// How many items it looked at.
    pub evaluated: usize,
    /// How many of them violate it.
    pub violations: usize,
    /// Up to eight violations in words, or why nothing is known.
    pub sample: Vec<String>,
}

/// A check with its id, its promise and its function.
pub struct Check {
    /// `S1 agreement`
    pub name: &'static str,
    /// What must hold, in one sentence.
    pub promise: &'static str,
    judge: fn(&Evidence) -> Result<Tally, Unreadable>,
}

/// All checks, in the order of the report.
pub const CHECKS: [Check; 4] = [
    Check {
        name: "S1 agreement",
        promise: "order, reservation and payment of each order tell the same story",
        judge: agreement::judge,
    },
    Check {
        name: "S2 stock conserved",
        promise: "per product: available + reserved + sold = received",
        judge: stock::judge,
    },
    Check {
        name: "S9 money",
        promise: "one charge per processed payment and none for a failed one, of the same amount",
        judge: money::judge,
    },
    Check {
        name: "S12 acknowledged is durable",
        promise: "an order that a client was told of exists",
        judge: durable::judge,
    },
];

/// Counts items and keeps the first violations.
#[derive(Debug, Default)]
struct Tally {
    evaluated: usize,
    violations: usize,
    sample: Vec<String>,
}

impl Tally {
    /// Looks at one item; `violation` is what is wrong with it, if anything.
    fn look(&mut self, violation: Option<String>) {
        self.evaluated += 1;
        if let Some(violation) = violation {
            self.violations += 1;
            if self.sample.len() < SAMPLE {
                self.sample.push(violation);
            }
        }
    }
}

/// Runs every check.
pub fn judge(evidence: &Evidence) -> Vec<Finding> {
    CHECKS
        .iter()
        .map(|check| finding(check, (check.judge)(evidence)))
        .collect()
}

fn finding(check: &Check, outcome: Result<Tally, Unreadable>) -> Finding {
    let (verdict, tally) = match outcome {
        Err(Unreadable(why)) => (
            Verdict::Unknown,
            Tally {
                sample: vec![why],
                ..Tally::default()
            },
        ),
        Ok(tally) if tally.violations > 0 => (Verdict::Invalid, tally),
        Ok(tally) if tally.evaluated == 0 => (
            Verdict::Unknown,
            Tally {
                sample: vec!["there was nothing to look at".to_owned()],
                ..tally
            },
        ),
        Ok(tally) => (Verdict::Valid, tally),
    };
    let Tally {
        evaluated,
        violations,
        sample,
    } = tally;
    Finding {
        check: check.name,
        verdict,
        evaluated,
        violations,
        sample,
    }
}

/// The verdict over all findings: invalid before unknown before valid. No findings are unknown.
pub fn overall(findings: &[Finding]) -> Verdict {
    findings
        .iter()
        .map(|finding| finding.verdict)
        .max()
        .unwrap_or(Verdict::Unknown)
}

/// The rows of a source, or the reason why the check cannot know.
fn rows<T>(source: &Source<T>) -> Result<&[T], Unreadable> {
    source.as_deref().map_err(Clone::clone)
}
