//! The ledger: one line of `faults.jsonl` for each fault that was asked for.

use super::{FaultKind, Planned};
use serde::{Deserialize, Serialize};

/// What came of one fault. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultRecord {
    /// Unique in its run.
    pub id: String,
    /// What was to go wrong.
    pub kind: FaultKind,
    /// Where; none when it is everywhere, or in the workload.
    pub service: Option<String>,
    /// When it was meant to begin.
    pub asked_us: i64,
    /// When it began; none when it could not be brought about.
    pub fired_us: Option<i64>,
    /// When it was over; none when it could not be ended. What is in the workload is never over.
    pub healed_us: Option<i64>,
    /// When every service was ready and orders were settled again; none when that was not seen.
    pub recovered_us: Option<i64>,
    /// How often it happened, as those say who made it happen.
    pub fired: u64,
    /// How often it was seen from elsewhere.
    pub observed: u64,
    /// What was seen, in one sentence.
    pub how: String,
}

/// What stands in a record of something that only the evidence of the whole run can tell.
const IN_EVIDENCE: &str = "in the evidence";

impl FaultRecord {
    /// The record of a fault that has not happened yet, in a load that begins at `began_us`.
    pub(super) fn asked(planned: &Planned, began_us: i64) -> Self {
        let after_us = i64::try_from(planned.at.as_micros()).unwrap_or(i64::MAX);
        Self {
            id: planned.id.clone(),
            kind: planned.kind,
            service: planned.service.clone(),
            asked_us: began_us.saturating_add(after_us),
            fired_us: None,
            healed_us: None,
            recovered_us: None,
            fired: 0,
            observed: 0,
            how: IN_EVIDENCE.to_owned(),
        }
    }

    /// From its end to the time when everything went on again: from the death of what was crashed or killed.
    pub fn recovery_ms(&self) -> Option<i64> {
        let from_us = match self.kind {
            FaultKind::Crash | FaultKind::Kill | FaultKind::KillReplica => self.fired_us?,
            _ => self.healed_us?,
        };
        Some(self.recovered_us?.saturating_sub(from_us) / 1_000)
    }
}
