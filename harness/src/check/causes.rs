//! D6: every event but the first of a saga has a cause: a message that exists, of the right type, about the same
//! order, said before its effect. So the events of each order are a tree with `order.created` as its root.

use super::{Tally, Violation};
use crate::evidence::{Said, View};
use contract::EventType;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for said in &view.said {
        tally.look(wrong(view, said).map(|what| {
            let about = match said.order.some() {
                Some(order) => format!(" of order {}", view.order_id(order)),
                None => String::new(),
            };
            let what = format!("{}{about} {what}", said.kind.as_str());
            Violation::order(view, said.order, what)
        }));
    }
    tally
}

/// The types that may bring an event about; none for those that a request brings about.
const fn causes(kind: EventType) -> &'static [EventType] {
    match kind {
        EventType::OrderCreated | EventType::ProductCreated | EventType::ProductRestocked => &[],
        EventType::ReservationCreated | EventType::ReservationFailed => &[EventType::OrderCreated],
        EventType::PaymentCreated => &[EventType::ReservationCreated],
        EventType::PaymentProcessed | EventType::PaymentFailed => &[EventType::PaymentCreated],
        EventType::ReservationConsumed => &[EventType::PaymentProcessed],
        EventType::ReservationCanceled => &[EventType::PaymentFailed],
        EventType::OrderFinished => &[EventType::ReservationConsumed],
        EventType::OrderCanceled => &[EventType::ReservationCanceled, EventType::ReservationFailed],
    }
}

fn wrong(view: &View<'_>, said: &Said) -> Option<String> {
    let allowed = causes(said.kind);
    let Some(cause) = said.cause.some() else {
        return (!allowed.is_empty()).then(|| "has no cause".to_owned());
    };
    let mut logged = view.logged(cause);
    let Some(cause) = logged.next() else {
        return Some(format!(
            "has a cause ({}) that is in no log",
            view.names.messages.id(cause.index())
        ));
    };
    let kind = cause.kind.as_str();
    if !allowed.contains(&cause.kind) {
        Some(format!("has {kind} as its cause"))
    } else if cause.order != said.order {
        Some(format!(
            "has {kind} of another order ({}) as its cause",
            view.order_id(cause.order)
        ))
    } else if cause.time_us > said.time_us {
        let early = cause.time_us - said.time_us;
        Some(format!(
            "was said {early} microseconds before its cause {kind}"
        ))
    } else {
        None
    }
}
