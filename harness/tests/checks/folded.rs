//! The slow checker on what the logs give when they are folded, and on messages.

use crate::reference::{Known, Wrong, orders, steps_of};
use crate::told::{Event, Told, Units};
use contract::http::{OrderStatus, PaymentStatus, ReservationStatus};
use contract::{EventType, Reason};
use harness::evidence::Service;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The checks of messages and of liveness.
pub const KNOWN: [Known; 9] = [
    ("D1", published),
    ("D2", committed),
    ("D3", none_lost),
    ("D4", absorbed),
    ("D5", drained),
    ("D6", causality),
    ("D8", compensation),
    ("L1", settled),
    ("L2", empty),
];

/// Status, version, reason and amount.
type Settled = (OrderStatus, u32, Option<Reason>, Option<i64>);

/// What an order, its reservation and its payment are when their events are played.
#[derive(Default, PartialEq, Debug)]
struct Played {
    order: Vec<(Settled, Vec<Units>)>,
    lines: Vec<(Uuid, u32, i64, ReservationStatus, u32)>,
    payment: Vec<(Uuid, PaymentStatus, u32, Option<Reason>, i64)>,
}

impl Played {
    fn play(&mut self, event: &Event) {
        let settle = |order: &mut Self, status| {
            for row in &mut order.order {
                row.0 = (status, event.version, event.reason, Some(event.amount));
            }
        };
        let end = |order: &mut Self, status| {
            for line in &mut order.lines {
                (line.3, line.4) = (status, event.version);
            }
        };
        let payment = |status| {
            let id = event.payment.unwrap_or_default();
            vec![(id, status, event.version, event.reason, event.amount)]
        };
        match event.kind {
            EventType::OrderCreated => {
                let created = (OrderStatus::Created, event.version, event.reason, None);
                let row = (created, event.items.clone());
                self.order = vec![row];
            }
            EventType::OrderFinished => settle(self, OrderStatus::Finished),
            EventType::OrderCanceled => settle(self, OrderStatus::Canceled),
            EventType::ReservationCreated => {
                let line = |step: &crate::told::Step| {
                    (
                        step.product,
                        step.quantity,
                        step.price,
                        ReservationStatus::Created,
                        event.version,
                    )
                };
                self.lines = event.steps.iter().map(line).collect();
            }
            EventType::ReservationConsumed => end(self, ReservationStatus::Consumed),
            EventType::ReservationCanceled => end(self, ReservationStatus::Canceled),
            EventType::PaymentCreated => self.payment = payment(PaymentStatus::Created),
            EventType::PaymentProcessed => self.payment = payment(PaymentStatus::Processed),
            EventType::PaymentFailed => self.payment = payment(PaymentStatus::Failed),
            EventType::ReservationFailed
            | EventType::ProductCreated
            | EventType::ProductRestocked => {}
        }
    }

    fn stored(told: &Told, id: Uuid) -> Self {
        let orders = told.orders.iter().filter(|row| row.id == id);
        let lines = told.reservations.iter().filter(|row| row.order == id);
        let payments = told.payments.iter().filter(|row| row.order == id);
        Self {
            order: orders
                .map(|row| {
                    (
                        (row.status, row.version, row.reason, row.amount),
                        row.items.clone(),
                    )
                })
                .collect(),
            lines: lines
                .map(|row| (row.units.0, row.units.1, row.price, row.status, row.version))
                .collect(),
            payment: payments
                .map(|row| (row.id, row.status, row.version, row.reason, row.amount))
                .collect(),
        }
    }
}

/// Folding L gives exactly D; versions of each entity are 1..n without a gap.
pub fn fold(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for id in orders(told) {
        let mut played = Played::default();
        // The order, its reservation and its payment have versions of their own.
        for owner in Service::ALL {
            let mut events: Vec<&Event> = (told.log.iter())
                .filter(|event| event.order == Some(id) && Service::author(event.kind) == owner)
                .filter(|event| event.kind != EventType::ReservationFailed)
                .collect();
            events.sort_by_key(|event| event.version);
            for (due, event) in (1..).zip(events) {
                if event.version != due {
                    wrong.push(format!(
                        "{id}: {} is version {}, not {due}",
                        event.kind.as_str(),
                        event.version
                    ));
                }
                played.play(event);
            }
        }
        let mut stored = Played::stored(told, id);
        stored.lines.sort_unstable();
        played.lines.sort_unstable();
        if played != stored {
            wrong.push(format!("{id}: {played:?} {stored:?}"));
        }
    }
    let stepped = told
        .log
        .iter()
        .flat_map(|event| &event.steps)
        .map(|step| step.product);
    let products: BTreeSet<Uuid> = told
        .products
        .iter()
        .map(|product| product.id)
        .chain(stepped)
        .collect();
    for id in products {
        let (mut played, mut due) = (None, 0);
        for (kind, step) in steps_of(told, id) {
            due += 1;
            if step.version != due {
                wrong.push(format!("{id} has version {} for {due}", step.version));
            }
            let (_, _, received, price) = played.unwrap_or((0, 0, 0, None));
            let more = i64::from(step.quantity);
            played = Some(match kind {
                EventType::ProductCreated => {
                    (step.version, step.after, received + more, Some(step.price))
                }
                EventType::ProductRestocked => (step.version, step.after, received + more, price),
                _ => (step.version, step.after, received, price),
            });
        }
        let stored = told.products.iter().filter(|product| product.id == id);
        let stored: Vec<_> = stored
            .map(|row| (row.version, row.available, row.received, Some(row.price)))
            .collect();
        if stored != played.into_iter().collect::<Vec<_>>() {
            wrong.push(format!("{id}: {played:?} {stored:?}"));
        }
    }
    wrong
}

/// Each committed event was on the exchange at least once.
fn published(told: &Told) -> Wrong {
    let never = told
        .log
        .iter()
        .filter(|event| !told.tap.iter().any(|carried| carried.id == event.id));
    never
        .map(|event| format!("{} {}", event.kind.as_str(), event.id))
        .collect()
}

/// Each message on the exchange is in its author's log, same payload.
fn committed(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for carried in &told.tap {
        let is_logged = told.log.iter().any(|event| {
            event.id == carried.id
                && Some(event.service) == carried.source
                && event.kind == carried.kind
                && event.digest == carried.digest
        });
        if !is_logged {
            wrong.push(format!("{} {}", carried.kind.as_str(), carried.id));
        }
    }
    wrong
}

/// Published ⇒ in the inbox of each service that hears it, or still queued, or dead-lettered with a reason.
fn none_lost(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for service in Service::ALL {
        let mut lost = Vec::new();
        for carried in told
            .tap
            .iter()
            .filter(|carried| Service::hearer(carried.kind) == Some(service))
        {
            let is_applied = told
                .inbox
                .iter()
                .any(|heard| heard.id == carried.id && heard.service == service);
            let is_dead = told.dead.iter().any(|(id, dead)| {
                *id == carried.id && dead.service == service && !dead.reason.is_empty()
            });
            if !is_applied && !is_dead && !lost.contains(&carried.id) {
                lost.push(carried.id);
            }
        }
        let queued = told
            .queues
            .get(&service)
            .map_or(0, |queue| queue.ready + queue.unacked + queue.retrying);
        if lost.len() as u64 > queued {
            wrong.push(format!("{} never got {lost:?}", service.as_str()));
        }
    }
    wrong
}

/// Deliveries ≥ 1, effects = 1.
fn absorbed(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for heard in &told.inbox {
        let effects = told
            .log
            .iter()
            .filter(|e| e.cause == Some(heard.id) && e.service == heard.service)
            .count();
        if heard.seen < 1 || effects != 1 {
            wrong.push(format!("{} {effects} {}", heard.id, heard.seen));
        }
    }
    wrong
}

/// At rest: nothing unpublished, queues empty, dead queue empty or each entry explained.
fn drained(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for (service, queue) in &told.queues {
        let explained = told
            .dead
            .iter()
            .filter(|(_, dead)| dead.service == *service && !dead.reason.is_empty());
        let is_explained = explained.count() as u64 >= queue.dead;
        if queue.unpublished + queue.ready + queue.unacked + queue.retrying > 0 || !is_explained {
            wrong.push(service.as_str().to_owned());
        }
    }
    let silent = told.dead.iter().filter(|(_, dead)| dead.reason.is_empty());
    wrong.extend(silent.map(|(id, _)| id.to_string()));
    wrong
}

/// The cause exists, has the right type, is about the same order, and was committed before its effect; each tree has
/// order.created as its root.
fn causality(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for event in &told.log {
        let right: &[&str] = match event.kind.as_str() {
            "reservation.created" | "reservation.failed" => &["order.created"],
            "payment.created" => &["reservation.created"],
            "payment.processed" | "payment.failed" => &["payment.created"],
            "reservation.consumed" => &["payment.processed"],
            "reservation.canceled" => &["payment.failed"],
            "order.finished" => &["reservation.consumed"],
            "order.canceled" => &["reservation.canceled", "reservation.failed"],
            _ => &[],
        };
        let is_right = match event.cause {
            None => right.is_empty(),
            Some(cause) => told
                .log
                .iter()
                .find(|other| other.id == cause)
                .is_some_and(|cause| {
                    right.contains(&cause.kind.as_str())
                        && cause.order == event.order
                        && cause.time_us <= event.time_us
                }),
        };
        if !is_right {
            wrong.push(format!("{} {}", event.kind.as_str(), event.id));
        }
    }
    wrong
}

/// reservation.canceled ⇔ a reservation was created and its payment failed; never twice; after what it undoes.
fn compensation(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for id in orders(told) {
        let all = |kind: EventType| {
            let events = told
                .log
                .iter()
                .filter(move |event| event.order == Some(id) && event.kind == kind);
            events.map(|event| event.time_us).collect::<Vec<i64>>()
        };
        let made = all(EventType::ReservationCreated);
        let failed = all(EventType::PaymentFailed);
        let canceled = all(EventType::ReservationCanceled);
        let is_due = !made.is_empty() && !failed.is_empty();
        let is_after = |canceled: &i64| {
            made.iter().any(|made| made <= canceled)
                && failed.iter().any(|failed| failed <= canceled)
        };
        if canceled.len() != usize::from(is_due) || !canceled.iter().all(is_after) {
            wrong.push(format!("{id}: {made:?} {failed:?} {canceled:?}"));
        }
    }
    wrong
}

/// Every order settles.
fn settled(told: &Told) -> Wrong {
    let open = told
        .orders
        .iter()
        .filter(|order| order.status == OrderStatus::Created);
    open.map(|order| order.id.to_string()).collect()
}

/// Queues and in-flight empty.
fn empty(told: &Told) -> Wrong {
    let mut wrong = settled(told);
    let full = told
        .queues
        .iter()
        .filter(|(_, queue)| queue.ready + queue.unacked + queue.retrying > 0);
    wrong.extend(full.map(|(service, _)| service.as_str().to_owned()));
    wrong
}
