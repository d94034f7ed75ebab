//! S7: each step in the logs is one that the saga has, and nothing changes after its end.

use super::{Tally, Violation};
use crate::evidence::{Said, Service, View};
use contract::EventType;

/// Where an order, a reservation or a payment stands.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Nothing,
    Open,
    Ended,
}

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let mut events: Vec<&Said> = Vec::new();
    for order in view.every_order() {
        events.clear();
        events.extend(view.said_of(order));
        // A refused reservation has version 0 and must be the only one.
        events.sort_by_key(|said| (said.service, said.version, said.time_us));
        for steps in events.chunk_by(|a, b| a.service == b.service) {
            let mut state = State::Nothing;
            let mut before = "nothing";
            for said in steps {
                let is_refusal = said.kind == EventType::ReservationFailed;
                let is_its_own =
                    Service::author(said.kind) == said.service && is_refusal == (said.version == 0);
                let next = next(state, said.kind).filter(|_| is_its_own);
                let kind = said.kind.as_str();
                tally.look(next.is_none().then(|| {
                    let id = view.order_id(order);
                    let what = format!(
                        "order {id}: {kind} (version {}) came after {before}",
                        said.version
                    );
                    Violation::order(view, order, what)
                }));
                state = next.unwrap_or(state);
                before = kind;
            }
        }
    }
    tally
}

fn next(state: State, kind: EventType) -> Option<State> {
    let begins = matches!(
        kind,
        EventType::OrderCreated | EventType::ReservationCreated | EventType::PaymentCreated
    );
    match state {
        State::Nothing if begins => Some(State::Open),
        State::Nothing if kind == EventType::ReservationFailed => Some(State::Ended),
        State::Open if !begins && kind != EventType::ReservationFailed => Some(State::Ended),
        State::Nothing | State::Open | State::Ended => None,
    }
}
