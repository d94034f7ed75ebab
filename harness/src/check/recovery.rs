//! L4: after each fault the shop comes back, within a bound; how long it took, by kind of fault.

use super::{Tally, Violation};
use crate::evidence::View;
use crate::faults::FaultKind;
use std::collections::BTreeMap;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let mut took: BTreeMap<FaultKind, Vec<i64>> = BTreeMap::new();
    for fault in &view.faults {
        // What is part of the workload has no end that one could recover from.
        if !fault.kind.has_window() || fault.fired_us.is_none() {
            continue;
        }
        let (name, at) = (
            fault.kind.as_str(),
            fault.service.as_deref().unwrap_or("the shop"),
        );
        let bound_ms = view.plan.settle_bound_us / 1_000;
        tally.look(match (fault.healed_us, fault.recovery_ms()) {
            (None, _) => Some(Violation::run(format!("{name} at {at} was never ended"))),
            (Some(_), None) => Some(Violation::run(format!("{at} did not recover from {name}"))),
            (Some(_), Some(ms)) if ms > bound_ms => {
                let what = format!(
                    "{at} recovered from {name} after {ms} ms, at most {bound_ms} are allowed"
                );
                Some(Violation::run(what))
            }
            (Some(_), Some(ms)) => {
                took.entry(fault.kind).or_default().push(ms);
                None
            }
        });
    }
    let parts = took.into_iter().map(|(kind, mut took)| {
        took.sort_unstable();
        let (median, most) = (took[took.len() / 2], took.last().copied().unwrap_or(0));
        match took.len() {
            1 => format!("{kind} {most}"),
            n => format!("{kind} {median} (at most {most}, {n} times)"),
        }
    });
    let parts: Vec<String> = parts.collect();
    if !parts.is_empty() {
        tally.note(format!("milliseconds: {}", parts.join(", ")));
    }
    tally
}
