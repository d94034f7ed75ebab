//! D5: in the end nothing is unpublished, no queue holds anything, and what was given up says why.
//! L2: no message and no order is on its way any more.

use super::{Tally, Violation};
use crate::evidence::{QueueRow, View};
use contract::http::OrderStatus;

/// D5
pub(super) fn drained(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for (service, queue) in &view.queues {
        let QueueRow {
            ready,
            unacked,
            retrying,
            unpublished,
            ..
        } = *queue;
        let wrong = [
            (unpublished, "events are said and not published"),
            (ready, "messages wait in its queue"),
            (unacked, "messages are with its consumer"),
            (retrying, "messages are put off"),
        ];
        for (count, what) in wrong {
            tally.weigh((count > 0).then(|| {
                (
                    count,
                    Violation::run(format!("{}: {count} {what}", service.as_str())),
                )
            }));
        }
        let explained = view
            .dead
            .iter()
            .filter(|dead| dead.service == *service && !dead.reason.is_empty())
            .count() as u64;
        let missing = queue.dead.saturating_sub(explained);
        tally.look((missing > 0).then(|| {
            Violation::run(format!(
                "{}: {missing} messages were given up without a reason",
                service.as_str()
            ))
        }));
    }
    for dead in view.dead.iter().filter(|dead| dead.reason.is_empty()) {
        let service = dead.service.as_str();
        tally.look(Some(Violation::run(format!(
            "{service} gave a message up without a reason"
        ))));
    }
    tally
}

/// L2
pub(super) fn empty(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for (service, queue) in &view.queues {
        let waiting = queue.waiting();
        tally.weigh((waiting > 0).then(|| {
            (
                waiting,
                Violation::run(format!(
                    "{waiting} messages are still on their way to {}",
                    service.as_str()
                )),
            )
        }));
    }
    let open = view
        .orders
        .iter()
        .filter(|row| row.status == OrderStatus::Created)
        .count();
    if !view.orders.is_empty() {
        tally.look((open > 0).then(|| Violation::run(format!("{open} orders are still open"))));
    }
    tally
}
