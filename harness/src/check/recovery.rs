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
        let Some(healed) = fault.healed_us else {
            continue;
        };
        let (name, at) = (
            fault.kind.as_str(),
            fault.service.as_deref().unwrap_or("the shop"),
        );
        tally.look(match fault.recovered_us {
            Some(recovered) => {
                let ms = fault
                    .recovery_ms()
                    .unwrap_or(recovered.saturating_sub(healed) / 1_000);
                took.entry(fault.kind).or_default().push(ms);
                None
            }
            None => Some(Violation::run(format!("{at} did not recover from {name}"))),
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
