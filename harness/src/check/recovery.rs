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
                took.entry(fault.kind)
                    .or_default()
                    .push((recovered - healed) / 1_000);
                None
            }
            None => Some(Violation::run(format!("{at} did not recover from {name}"))),
        });
    }
    for (kind, mut took) in took {
        took.sort_unstable();
        let (median, most) = (took[took.len() / 2], took.last().copied().unwrap_or(0));
        tally.note(format!(
            "{}: recovered in {median} ms (median of {}), at most {most} ms",
            kind.as_str(),
            took.len()
        ));
    }
    tally
}
