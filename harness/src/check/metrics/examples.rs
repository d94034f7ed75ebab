//! M5: a trace that stands as an example is there.

use super::Lives;
use crate::check::{Tally, Violation};
use crate::evidence::View;

/// A crash explains what is missing of the time before it, as for traces themselves.
const GRACE_US: i64 = 1_000_000;

/// M5
pub(in crate::check) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let wait_us = view.plan.export_us + GRACE_US;
    for service in ["orders", "products", "payments", "provider"] {
        let lost = view.plan.spans_lost.get(service).copied().unwrap_or(0);
        let mut left = lost;
        for life in Lives::of(view, service).lives {
            for (name, example) in life.last.examples() {
                let died = life
                    .next_us
                    .is_some_and(|next| example.at_us + wait_us >= next);
                let is_there = view.examples.get(&example.trace) == Some(&true);
                if !is_there && !died && left > 0 {
                    left -= 1;
                    continue;
                }
                tally.look((!is_there && !died).then(|| {
                    let trace = example.trace;
                    Violation::run(format!(
                        "{name} of {service} names trace {trace:032x} as an example, and nothing of it was traced"
                    ))
                }));
            }
        }
    }
    tally
}
