//! What can be wrong with the event logs, the tap and the inboxes.

use super::{Corruption, choose, drop_one, index, is};
use crate::evidence::{DeadRow, Evidence, Said, Service, Span, Tapped};
use contract::EventType;

/// In the order of the checks.
pub(super) const ALL: &[Corruption] = &[
    Corruption {
        name: "a transition twice",
        check: "S4",
        apply: twice,
    },
    Corruption {
        name: "a message with two kinds of effects",
        check: "S4",
        apply: two_kinds,
    },
    Corruption {
        name: "two steps in the wrong order",
        check: "S7",
        apply: reorder,
    },
    Corruption {
        name: "an event is not in the log",
        check: "S8",
        apply: drop_event,
    },
    Corruption {
        name: "processed is told as failed",
        check: "S8",
        apply: retype,
    },
    Corruption {
        name: "a cent more in an event",
        check: "S10",
        apply: cent_more,
    },
    Corruption {
        name: "a unit less in an event",
        check: "S10",
        apply: unit_less,
    },
    Corruption {
        name: "two events with one id",
        check: "S14",
        apply: same_id,
    },
    Corruption {
        name: "a message with two payloads",
        check: "S14",
        apply: other_payload,
    },
    Corruption {
        name: "a message was never on the exchange",
        check: "D1",
        apply: drop_tapped,
    },
    Corruption {
        name: "a message in no log",
        check: "D2",
        apply: drop_event,
    },
    Corruption {
        name: "another payload on the exchange",
        check: "D2",
        apply: other_payload,
    },
    Corruption {
        name: "a message of another type on the exchange",
        check: "D2",
        apply: other_type,
    },
    Corruption {
        name: "a log that is empty",
        check: "D2",
        apply: hide_log,
    },
    Corruption {
        name: "a delivery is lost",
        check: "D3",
        apply: drop_applied,
    },
    Corruption {
        name: "a service that applied nothing",
        check: "D3",
        apply: hide_inbox,
    },
    Corruption {
        name: "a message had two effects",
        check: "D4",
        apply: two_effects,
    },
    Corruption {
        name: "a message had no effect",
        check: "D4",
        apply: no_effect,
    },
    Corruption {
        name: "an effect of no delivery",
        check: "D4",
        apply: no_delivery,
    },
    Corruption {
        name: "an event without a cause",
        check: "D6",
        apply: no_cause,
    },
    Corruption {
        name: "a cause of another order",
        check: "D6",
        apply: other_cause,
    },
    Corruption {
        name: "an effect before its cause",
        check: "D6",
        apply: early,
    },
    Corruption {
        name: "more tries than allowed",
        check: "D7",
        apply: too_many_tries,
    },
    Corruption {
        name: "given up without a reason",
        check: "D7",
        apply: no_reason,
    },
    Corruption {
        name: "nothing is given back",
        check: "D8",
        apply: no_return,
    },
    Corruption {
        name: "given back twice",
        check: "D8",
        apply: back_twice,
    },
    Corruption {
        name: "given back without a failure",
        check: "D8",
        apply: no_failure,
    },
];

fn about_order(said: &Said) -> bool {
    said.order.is_some()
}

fn twice(evidence: &mut Evidence, place: usize) -> bool {
    let found = index(&evidence.said, place, about_order).map(|index| evidence.said[index]);
    evidence.said.extend(found);
    found.is_some()
}

/// Exchanges the versions of the first and the last event of an order in one log.
fn reorder(evidence: &mut Evidence, place: usize) -> bool {
    let Some(last) = index(&evidence.said, place, |said| {
        about_order(said) && said.version == 2
    }) else {
        return false;
    };
    let Said { order, service, .. } = evidence.said[last];
    let first = evidence
        .said
        .iter()
        .position(|said| said.order == order && said.service == service && said.version == 1);
    let Some(first) = first else {
        return false;
    };
    (evidence.said[first].version, evidence.said[last].version) = (2, 1);
    true
}

fn drop_event(evidence: &mut Evidence, place: usize) -> bool {
    drop_one(&mut evidence.said, place, |said| {
        about_order(said) && said.kind != EventType::ReservationFailed
    })
}

fn retype(evidence: &mut Evidence, place: usize) -> bool {
    let found = choose(&mut evidence.said, place, is(EventType::PaymentProcessed));
    found
        .map(|said| said.kind = EventType::PaymentFailed)
        .is_some()
}

fn cent_more(evidence: &mut Evidence, place: usize) -> bool {
    let found = choose(&mut evidence.said, place, |said| said.amount > 0);
    found.map(|said| said.amount += 1).is_some()
}

fn unit_less(evidence: &mut Evidence, place: usize) -> bool {
    let lines =
        choose(&mut evidence.said, place, is(EventType::ReservationCreated)).map(|said| said.lines);
    let step = lines.and_then(|lines| evidence.steps.get_mut(lines.range().start));
    step.filter(|step| step.quantity > 0)
        .map(|step| step.quantity -= 1)
        .is_some()
}

fn same_id(evidence: &mut Evidence, place: usize) -> bool {
    let id = evidence.said.first().map(|said| said.id);
    let found = choose(&mut evidence.said, place, |said| Some(said.id) != id);
    found.zip(id).map(|(said, id)| said.id = id).is_some()
}

fn drop_tapped(evidence: &mut Evidence, place: usize) -> bool {
    let id = index(&evidence.tap, place, |_| true).map(|index| evidence.tap[index].id);
    evidence.tap.retain(|tapped| Some(tapped.id) != id);
    id.is_some()
}

fn other_payload(evidence: &mut Evidence, place: usize) -> bool {
    choose(&mut evidence.tap, place, |_| true)
        .map(|tapped| tapped.digest ^= 1)
        .is_some()
}

fn drop_applied(evidence: &mut Evidence, place: usize) -> bool {
    drop_one(&mut evidence.applied, place, |_| true)
}

fn two_effects(evidence: &mut Evidence, place: usize) -> bool {
    let found =
        index(&evidence.said, place, |said| said.cause.is_some()).map(|index| evidence.said[index]);
    evidence.said.extend(found);
    found.is_some()
}

fn no_effect(evidence: &mut Evidence, place: usize) -> bool {
    drop_one(&mut evidence.said, place, |said| said.cause.is_some())
}

fn no_cause(evidence: &mut Evidence, place: usize) -> bool {
    let found = choose(&mut evidence.said, place, |said| said.cause.is_some());
    found
        .map(|said| said.cause = crate::evidence::MessageNo::NONE)
        .is_some()
}

fn other_cause(evidence: &mut Evidence, place: usize) -> bool {
    let Some(at) = index(&evidence.said, place, |said| said.cause.is_some()) else {
        return false;
    };
    let Said { order, kind, .. } = evidence.said[at];
    let other = evidence
        .said
        .iter()
        .find(|said| said.kind == kind && said.order != order)
        .map(|said| said.cause);
    other.map(|other| evidence.said[at].cause = other).is_some()
}

fn too_many_tries(evidence: &mut Evidence, place: usize) -> bool {
    let found = index(&evidence.said, place, about_order).map(|index| evidence.said[index].id);
    let dead = found.map(|id| DeadRow {
        id,
        service: Service::Orders,
        attempts: evidence.plan.attempts_max + 1,
        reason: "for the test".to_owned(),
    });
    evidence.dead.extend(dead);
    found.is_some()
}

fn no_return(evidence: &mut Evidence, place: usize) -> bool {
    drop_one(
        &mut evidence.said,
        place,
        is(EventType::ReservationCanceled),
    )
}

/// Another event of the same message at the same service, about the same order.
fn two_kinds(evidence: &mut Evidence, place: usize) -> bool {
    let reserved =
        index(&evidence.said, place, is(EventType::ReservationCreated)).map(|at| evidence.said[at]);
    let failed = reserved.map(|said| Said {
        kind: EventType::ReservationFailed,
        lines: Span::default(),
        version: 0,
        ..said
    });
    evidence.said.extend(failed);
    failed.is_some()
}

fn other_type(evidence: &mut Evidence, place: usize) -> bool {
    let processed = |tapped: &Tapped| tapped.kind == Some(EventType::PaymentProcessed);
    choose(&mut evidence.tap, place, processed)
        .map(|tapped| tapped.kind = Some(EventType::PaymentFailed))
        .is_some()
}

/// Whose turn it is.
fn service(place: usize) -> Service {
    Service::ALL[place % Service::ALL.len()]
}

fn hide_log(evidence: &mut Evidence, place: usize) -> bool {
    let before = evidence.said.len();
    evidence.said.retain(|said| said.service != service(place));
    evidence.said.len() < before
}

fn hide_inbox(evidence: &mut Evidence, place: usize) -> bool {
    let before = evidence.applied.len();
    evidence
        .applied
        .retain(|applied| applied.service != service(place));
    evidence.applied.len() < before
}

fn no_delivery(evidence: &mut Evidence, place: usize) -> bool {
    choose(&mut evidence.applied, place, |_| true)
        .map(|applied| applied.seen = 0)
        .is_some()
}

/// Says an event a microsecond before its cause.
fn early(evidence: &mut Evidence, place: usize) -> bool {
    let Some(at) = index(&evidence.said, place, |said| said.cause.is_some()) else {
        return false;
    };
    let cause = evidence.said[at].cause;
    let time_us = evidence
        .said
        .iter()
        .find(|said| said.id == cause)
        .map(|said| said.time_us);
    time_us
        .map(|time_us| evidence.said[at].time_us = time_us - 1)
        .is_some()
}

fn no_reason(evidence: &mut Evidence, place: usize) -> bool {
    let found = index(&evidence.said, place, about_order).map(|index| evidence.said[index].id);
    evidence.dead.extend(found.map(|id| DeadRow {
        id,
        service: service(place),
        attempts: 1,
        reason: String::new(),
    }));
    found.is_some()
}

fn back_twice(evidence: &mut Evidence, place: usize) -> bool {
    let found = index(&evidence.said, place, is(EventType::ReservationCanceled))
        .map(|at| evidence.said[at]);
    evidence.said.extend(found);
    found.is_some()
}

fn no_failure(evidence: &mut Evidence, place: usize) -> bool {
    let canceled = index(&evidence.said, place, is(EventType::ReservationCanceled));
    let order = canceled.map(|at| evidence.said[at].order);
    evidence
        .said
        .retain(|said| said.kind != EventType::PaymentFailed || Some(said.order) != order);
    order.is_some()
}
