//! L1: every order that exists settles. One that does not is stuck: with the last thing that was said about it, and
//! who should have acted then.

use super::{Tally, Violation};
use crate::evidence::{OrderRow, Said, Service, View};
use contract::EventType;
use contract::http::OrderStatus;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut applied = vec![false; view.names.messages.len()];
    for message in &view.applied {
        applied[message.id.index()] = true;
    }
    let mut tally = Tally::default();
    for row in &view.orders {
        let waited_us = view.plan.rest_us - row.created_us;
        let is_stuck = row.status == OrderStatus::Created;
        tally.weigh(is_stuck.then(|| {
            (
                waited_us.unsigned_abs(),
                stuck(view, row, waited_us, &applied),
            )
        }));
    }
    tally
}

fn stuck(view: &View<'_>, row: &OrderRow, waited_us: i64, applied: &[bool]) -> Violation {
    let last = view.said_of(row.order).max_by_key(|said| said.time_us);
    let (id, seconds) = (view.order_id(row.order), waited_us / 1_000_000);
    let next = last.map_or("nobody ever said anything about it".to_owned(), |said| {
        next(said, applied[said.id.index()])
    });
    Violation::order(
        view,
        row.order,
        format!("order {id} has been open for {seconds} s: {next}"),
    )
}

fn next(said: &Said, applied: bool) -> String {
    let kind = said.kind.as_str();
    if !said.is_published {
        return format!(
            "{} said {kind} and never published it",
            said.service.as_str()
        );
    }
    match Service::hearer(said.kind) {
        None => format!("the last event is {kind}"),
        Some(hearer) if !applied => format!(
            "{kind} waits for {}, which did not apply it",
            hearer.as_str()
        ),
        Some(_) if said.kind == EventType::PaymentCreated => {
            "payment.created was applied and the provider's answer never settled it".to_owned()
        }
        Some(hearer) => format!("{} applied {kind} and nothing came of it", hearer.as_str()),
    }
}
