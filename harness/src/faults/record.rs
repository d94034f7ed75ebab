//! The ledger: one line of `faults.jsonl` for each fault that was asked for.

use super::{FaultKind, Planned};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

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

/// A fault that begins later than this after its time is late.
const LATE_US: i64 = 500_000;

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

    /// Faults come one after another; who gave two of them times that overlap reads here what became of the second.
    pub(super) fn say_if_late(&mut self) {
        let late_us = self.fired_us.unwrap_or(self.asked_us) - self.asked_us;
        if late_us > LATE_US {
            let (seconds, tenth) = (late_us / 1_000_000, late_us / 100_000 % 10);
            let how = &mut self.how;
            // Writing into a string cannot fail.
            let _ = write!(
                how,
                "; began {seconds}.{tenth} s late, after the fault before it"
            );
        }
    }

    /// From its end to the time when everything went on again: from the death of what was crashed or killed.
    pub fn recovery_ms(&self) -> Option<i64> {
        let from_us = match self.kind {
            kind if kind.kills() => self.fired_us?,
            _ => self.healed_us?,
        };
        Some(self.recovered_us?.saturating_sub(from_us) / 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_fault_that_had_to_wait_for_another_says_so() {
        let planned = Planned {
            id: "crash-1".to_owned(),
            kind: FaultKind::Crash,
            service: None,
            side: None,
            at: Duration::from_secs(2),
            lasts: Duration::ZERO,
        };
        let mut record = FaultRecord::asked(&planned, 1_000_000);
        record.fired_us = Some(3_400_000);
        record.say_if_late();
        assert_eq!(record.how, IN_EVIDENCE);
        record.fired_us = Some(4_350_000);
        record.say_if_late();
        assert!(
            record
                .how
                .ends_with("; began 1.3 s late, after the fault before it"),
            "{}",
            record.how
        );
    }
}
