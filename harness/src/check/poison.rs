//! D7: a message that cannot be applied gets its chances, then it is given up; it does not hold up the others for
//! ever.

use super::{Tally, Violation};
use crate::evidence::{OrderNo, Said, Service, View};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for dead in &view.dead {
        let (service, most) = (dead.service.as_str(), view.plan.attempts_max);
        let order = view
            .logged(dead.id)
            .next()
            .map_or(OrderNo::NONE, |said| said.order);
        let what = if dead.attempts > most {
            Some(format!(
                "{service} put a message off {} times, at most {most} are allowed",
                dead.attempts
            ))
        } else {
            dead.reason
                .is_empty()
                .then(|| format!("{service} gave a message up without a reason"))
        };
        tally.look(what.map(|what| Violation::order(view, order, what)));
    }
    let mut done = vec![false; view.names.messages.len()];
    for id in view
        .applied
        .iter()
        .map(|applied| applied.id)
        .chain(view.dead.iter().map(|dead| dead.id))
    {
        done[id.index()] = true;
    }
    for said in &view.said {
        let Some(hearer) = Service::hearer(said.kind) else {
            continue;
        };
        let waits = view
            .queues
            .get(&hearer)
            .is_some_and(|queue| queue.waiting() > 0);
        let for_us = view.plan.rest_us - said.time_us;
        let is_overdue =
            !done[said.id.index()] && waits && said.is_published && for_us > view.plan.attempts_us;
        tally.look(is_overdue.then(|| overdue(view, said, hearer, for_us)));
    }
    tally
}

fn overdue(view: &View<'_>, said: &Said, hearer: Service, for_us: i64) -> Violation {
    let (hearer, kind) = (hearer.as_str(), said.kind.as_str());
    let (seconds, all) = (for_us / 1_000_000, view.plan.attempts_us / 1_000_000);
    let what = format!(
        "{kind} waits for {hearer} since {seconds} s; all its chances together take {all} s"
    );
    Violation::order(view, said.order, what)
}
