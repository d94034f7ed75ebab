//! V7: the figures are the shop's, not the generator's. A generator that is late by more than a quarter of what it
//! measures, or that leaves starts out, was the bottleneck.

use super::{Tally, Violation};
use crate::evidence::{Act, End, View};

/// Being late by less is never held against the generator.
const LATE_MS: f64 = 10.0;
/// Of a thousand starts, so many may be dropped.
const DROPPED_PER_THOUSAND: u64 = 1;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let load = &view.plan.load;
    let mut accept_us = crate::report::histogram();
    for did in view
        .history
        .iter()
        .filter(|did| did.act == Act::Place && did.end == End::Ok)
    {
        accept_us.saturating_record(u64::try_from(did.end_us - did.due_us).unwrap_or(0));
    }
    let accept_ms_p99 = crate::report::Latency::of(&accept_us).ms_p99;
    let bound = (accept_ms_p99 / 4.0).max(LATE_MS);
    let late = load.late.ms_p99;
    let mut tally = Tally::default();
    tally.look((late > bound).then(|| {
        Violation::run(format!(
            "the generator was {late:.1} ms late (p99), at most {bound:.1} are allowed: a lower -r says more"
        ))
    }));
    let planned = view.plan.starts;
    tally.look(
        (load.offered < planned)
            .then(|| Violation::run(format!("{} of {planned} starts came", load.offered))),
    );
    let too_many = load.dropped * 1_000 > load.offered * DROPPED_PER_THOUSAND;
    tally.look(too_many.then(|| {
        Violation::run(format!(
            "{} of {} starts were dropped: a lower -r says more",
            load.dropped, load.offered
        ))
    }));
    tally
}
