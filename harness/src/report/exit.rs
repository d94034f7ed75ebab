//! Exit codes: what a script may rely on.

use crate::check::{Class, Finding, Verdict, class};
use crate::threshold::Judged;

/// How the process ends. The first that applies, in the order of this list, wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// The flags or the orders cannot be used.
    BadConfig,
    /// The shop could not be set up.
    SetUp,
    /// The harness itself is wrong: it crashed, or it did not object to a spoiled recording.
    Harness,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// A check found a violation.
    Invalid,
    /// A check was due, and there was no evidence.
    Unknown,
    /// The run is worth nothing: a fault or a story did not happen, or the generator was the bottleneck.
    RunInvalid,
    /// Telemetry does not say what happened.
    Telemetry,
    /// A threshold was missed.
    Threshold,
    /// All is well.
    Valid,
}

impl Exit {
    /// All of them, in the order in which they win.
    pub const ALL: [Self; 10] = [
        Self::BadConfig,
        Self::SetUp,
        Self::Harness,
        Self::Interrupted,
        Self::Invalid,
        Self::Unknown,
        Self::RunInvalid,
        Self::Telemetry,
        Self::Threshold,
        Self::Valid,
    ];

    /// What it says, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::BadConfig => "the flags or the orders cannot be used",
            Self::SetUp => "the shop could not be set up",
            Self::Harness => "a bug in crashcart itself",
            Self::Interrupted => "interrupted",
            Self::Invalid => "a check found a violation",
            Self::Unknown => "a check was due, and there was no evidence",
            Self::RunInvalid => {
                "the run is worth nothing: a fault or a story did not happen, or the generator was late"
            }
            Self::Telemetry => "telemetry does not say what happened",
            Self::Threshold => "every check is valid, and a threshold was missed",
            Self::Valid => "every check that was due looked at something and found no violation",
        }
    }

    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Threshold => 99,
            Self::SetUp => 100,
            Self::BadConfig => 104,
            Self::Interrupted => 105,
            Self::Harness => 109,
            Self::Invalid => 111,
            Self::Unknown => 112,
            Self::Telemetry => 113,
            Self::RunInvalid => 114,
        }
    }
}

/// How a run ends that came to findings.
pub fn exit(findings: &[Finding], thresholds: &[Judged]) -> Exit {
    let violated = |wanted| {
        findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Invalid && class(&finding.id) == wanted)
    };
    let none_due = findings
        .iter()
        .all(|finding| finding.verdict == Verdict::NotApplicable);
    if violated(Class::Harness) {
        Exit::Harness
    } else if violated(Class::Shop) {
        Exit::Invalid
    } else if none_due
        || findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Unknown)
    {
        Exit::Unknown
    } else if violated(Class::Run) {
        Exit::RunInvalid
    } else if violated(Class::Telemetry) {
        Exit::Telemetry
    } else if thresholds.iter().any(|threshold| !threshold.held) {
        Exit::Threshold
    } else {
        Exit::Valid
    }
}
