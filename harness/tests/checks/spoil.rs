//! Spoils evidence as chance has it: with the known corruptions, or by changing one field of one row.

use contract::http::{ChargeOutcome, OrderStatus, PaymentStatus, ReservationStatus};
use contract::{EventType, Reason};
use harness::corrupt;
use harness::evidence::{Act, DeadRow, End, Evidence, MessageNo, Service, Span};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Spoils evidence in one to three ways and tells which.
pub fn spoil(evidence: &mut Evidence, seed: u64) -> Vec<String> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let operators: Vec<_> = corrupt::all().collect();
    let mut done = Vec::new();
    for _ in 0..chance.random_range(1..=3) {
        if chance.random_bool(0.4) {
            let operator = operators[chance.random_range(0..operators.len())];
            if (operator.apply)(evidence, chance.random_range(0..1_000)) {
                done.push(operator.name.to_owned());
            }
        } else {
            let (name, apply) = CHANGES[chance.random_range(0..CHANGES.len())];
            apply(evidence, &mut chance);
            done.push(name.to_owned());
        }
    }
    done
}

type Change = fn(&mut Evidence, &mut ChaCha8Rng);

const CHANGES: [(&str, Change); 14] = [
    ("order", order),
    ("reservation", reservation),
    ("payment", payment),
    ("charge", charge),
    ("product", product),
    ("event", event),
    ("event again", event),
    ("step", step),
    ("item", item),
    ("tapped", tapped),
    ("applied", applied),
    ("operation", operation),
    ("rows", rows),
    ("queue", queue),
];

/// One of `list`.
fn one<T: Copy>(list: &[T], chance: &mut ChaCha8Rng) -> T {
    list[chance.random_range(0..list.len())]
}

/// A row that is changed, if there is any.
fn row<'r, T>(rows: &'r mut [T], chance: &mut ChaCha8Rng) -> Option<&'r mut T> {
    let count = rows.len();
    if count == 0 {
        None
    } else {
        rows.get_mut(chance.random_range(0..count))
    }
}

fn near(number: i64, chance: &mut ChaCha8Rng) -> i64 {
    match chance.random_range(0..5) {
        0 => number + 1,
        1 => number - 1,
        2 => 0,
        3 => one(&[1, 99, 100, 101], chance),
        _ => number,
    }
}

fn count(number: u32, chance: &mut ChaCha8Rng) -> u32 {
    u32::try_from(near(number.into(), chance)).unwrap_or(0)
}

fn reason(chance: &mut ChaCha8Rng) -> Option<Reason> {
    one(
        &[
            None,
            Some(Reason::UnderMinimum),
            Some(Reason::Declined),
            Some(Reason::OutOfStock),
        ],
        chance,
    )
}

fn order(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let keys: Vec<_> = evidence.orders.iter().map(|row| row.key).collect();
    let Some(row) = row(&mut evidence.orders, chance) else {
        return;
    };
    match chance.random_range(0..6) {
        0 => row.status = one(OrderStatus::ALL, chance),
        1 => row.version = count(row.version, chance),
        2 => row.reason = reason(chance),
        3 => row.amount = row.amount.map(|amount| near(amount, chance)),
        4 => row.key = one(&keys, chance),
        _ => row.created_us -= 10_000_000,
    }
}

fn reservation(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let orders: Vec<_> = evidence.reservations.iter().map(|row| row.order).collect();
    let Some(row) = row(&mut evidence.reservations, chance) else {
        return;
    };
    match chance.random_range(0..5) {
        0 => row.status = one(ReservationStatus::ALL, chance),
        1 => row.version = count(row.version, chance),
        2 => row.price = near(row.price, chance),
        3 => row.item.quantity = count(row.item.quantity, chance),
        _ => row.order = one(&orders, chance),
    }
}

fn payment(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let orders: Vec<_> = evidence.payments.iter().map(|row| row.order).collect();
    let Some(row) = row(&mut evidence.payments, chance) else {
        return;
    };
    match chance.random_range(0..5) {
        0 => row.status = one(PaymentStatus::ALL, chance),
        1 => row.version = count(row.version, chance),
        2 => row.reason = reason(chance),
        3 => row.amount = near(row.amount, chance),
        _ => row.order = one(&orders, chance),
    }
}

fn charge(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let others: Vec<_> = evidence
        .charges
        .iter()
        .map(|row| (row.order, row.payment))
        .collect();
    let Some(row) = row(&mut evidence.charges, chance) else {
        return;
    };
    match chance.random_range(0..4) {
        0 => row.outcome = one(ChargeOutcome::ALL, chance),
        1 => row.amount = near(row.amount, chance),
        2 => row.order = one(&others, chance).0,
        _ => row.payment = one(&others, chance).1,
    }
}

fn product(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    if chance.random_bool(0.2) {
        if let Some(row) = row(&mut evidence.created, chance) {
            if chance.random_bool(0.5) {
                row.price = near(row.price, chance);
            } else {
                row.stock = near(row.stock, chance);
            }
        }
        return;
    }
    let Some(row) = row(&mut evidence.products, chance) else {
        return;
    };
    match chance.random_range(0..4) {
        0 => row.available = one(&[row.available + 1, row.available - 1, 0, -1], chance),
        1 => row.received = near(row.received, chance),
        2 => row.price = near(row.price, chance),
        _ => row.version = count(row.version, chance),
    }
}

/// An event that cannot carry lines does not.
fn carries_steps(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::ReservationCreated | EventType::ReservationCanceled
    )
}

fn event(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let others: Vec<_> = evidence
        .said
        .iter()
        .filter(|said| said.order.is_some())
        .map(|said| (said.order, said.id))
        .collect();
    let kinds: Vec<_> = EventType::ALL
        .iter()
        .copied()
        .filter(|kind| {
            Service::hearer(*kind).is_some()
                || matches!(kind, EventType::OrderFinished | EventType::OrderCanceled)
        })
        .filter(|kind| *kind != EventType::OrderCreated)
        .collect();
    let Some(said) = row(&mut evidence.said, chance) else {
        return;
    };
    let is_about_order = said.order.is_some();
    match chance.random_range(0..9) {
        0 if is_about_order && said.kind != EventType::OrderCreated => {
            let kind = one(&kinds, chance);
            if !carries_steps(kind) || !carries_steps(said.kind) {
                said.lines = Span::default();
            }
            said.kind = kind;
        }
        1 => said.version = count(said.version, chance),
        2 => said.amount = near(said.amount, chance),
        3 => said.time_us += one(&[-20_000_000, -400, 400, 20_000_000], chance),
        4 if is_about_order => {
            said.cause = one(&[one(&others, chance).1, MessageNo::NONE, said.id], chance);
        }
        5 if is_about_order => said.order = one(&others, chance).0,
        6 => said.reason = reason(chance),
        7 => said.id = one(&others, chance).1,
        _ => said.service = one(&Service::ALL, chance),
    }
}

fn step(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let Some(row) = row(&mut evidence.steps, chance) else {
        return;
    };
    match chance.random_range(0..4) {
        0 => row.quantity = count(row.quantity, chance),
        1 => row.version = count(row.version, chance),
        2 => row.price = near(row.price, chance),
        _ => row.available_after = one(&[row.available_after + 1, -1, 0], chance),
    }
}

fn item(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let products: Vec<_> = evidence.products.iter().map(|row| row.product).collect();
    let Some(row) = row(&mut evidence.items, chance) else {
        return;
    };
    if chance.random_bool(0.5) {
        row.quantity = count(row.quantity, chance);
    } else {
        row.product = one(&products, chance);
    }
}

fn tapped(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let ids: Vec<_> = evidence.tap.iter().map(|row| row.id).collect();
    let Some(row) = row(&mut evidence.tap, chance) else {
        return;
    };
    match chance.random_range(0..4) {
        0 => row.digest ^= 1,
        1 => row.kind = Some(one(EventType::ALL, chance)),
        2 => {
            row.source = one(
                &[None, Some(Service::Orders), Some(Service::Payments)],
                chance,
            );
        }
        _ => row.id = one(&ids, chance),
    }
}

fn applied(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let ids: Vec<_> = evidence.applied.iter().map(|row| row.id).collect();
    let Some(row) = row(&mut evidence.applied, chance) else {
        return;
    };
    match chance.random_range(0..3) {
        0 => row.seen = one(&[0, 1, 5], chance),
        1 => row.service = one(&Service::ALL, chance),
        _ => row.id = one(&ids, chance),
    }
}

fn operation(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let orders: Vec<_> = evidence
        .orders
        .iter()
        .map(|row| (row.order, row.key))
        .collect();
    let Some(row) = row(&mut evidence.history, chance) else {
        return;
    };
    let is_order = row.act == Act::Place || row.act == Act::Read;
    match chance.random_range(0..7) {
        0 => row.end = one(&[End::Ok, End::Refused, End::Unknown], chance),
        1 if is_order => {
            row.seen = one(
                &[
                    None,
                    Some(OrderStatus::Created),
                    Some(OrderStatus::Canceled),
                ],
                chance,
            );
        }
        2 => row.version = count(row.version, chance),
        3 if is_order => row.order = one(&orders, chance).0,
        4 if row.act == Act::Place => row.key = one(&orders, chance).1,
        5 => row.status = one(&[0, 422, 503], chance),
        _ => (row.start_us, row.end_us) = (row.start_us + 5_000, row.end_us + 5_000),
    }
}

/// Drops or repeats a row.
fn rows(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    fn spoil<T: Clone>(rows: &mut Vec<T>, chance: &mut ChaCha8Rng) {
        if rows.is_empty() {
            return;
        }
        let at = chance.random_range(0..rows.len());
        if chance.random_bool(0.5) {
            rows.remove(at);
        } else {
            let to = chance.random_range(0..=rows.len());
            rows.insert(to, rows[at].clone());
        }
    }
    match chance.random_range(0..10) {
        0 => spoil(&mut evidence.history, chance),
        1 => spoil(&mut evidence.orders, chance),
        2 => spoil(&mut evidence.products, chance),
        3 => spoil(&mut evidence.reservations, chance),
        4 => spoil(&mut evidence.payments, chance),
        5 => spoil(&mut evidence.charges, chance),
        6 => spoil(&mut evidence.tap, chance),
        7 => spoil(&mut evidence.applied, chance),
        _ => spoil(&mut evidence.said, chance),
    }
}

fn queue(evidence: &mut Evidence, chance: &mut ChaCha8Rng) {
    let service = one(&Service::ALL, chance);
    if chance.random_bool(0.3) {
        let reason = one(&["", "it could not be read"], chance).to_owned();
        let id = evidence.tap.first().map(|row| row.id);
        evidence.dead.extend(id.map(|id| DeadRow {
            id,
            service,
            attempts: 1,
            reason,
        }));
        return;
    }
    let Some(queue) = evidence.queues.get_mut(&service) else {
        return;
    };
    let field = one(&[0, 1, 2, 3, 4], chance);
    let counts = [
        &mut queue.ready,
        &mut queue.unacked,
        &mut queue.retrying,
        &mut queue.dead,
        &mut queue.unpublished,
    ];
    *counts.into_iter().nth(field).expect("five counts") += 1;
}
