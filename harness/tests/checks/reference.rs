//! A slow, literal checker: each function is a sentence of the list of checks, written with loops over everything
//! and without a look at how the fast ones do it.

use crate::told::{Asked, Event, Step, Told};
use contract::http::{OrderStatus, ReservationStatus};
use contract::{EventType, Reason};
use harness::evidence::{Act, End, Service};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What is wrong, one sentence each.
pub type Wrong = Vec<String>;

/// A check and its slow version.
pub type Known = (&'static str, fn(&Told) -> Wrong);

/// The checks that this one knows.
pub const KNOWN: [Known; 14] = [
    ("S1", agreement),
    ("S2", conserved),
    ("S3", oversold),
    ("S4", once),
    ("S5", crate::paid::price_rule),
    ("S6", origin),
    ("S7", steps),
    ("S8", crate::folded::fold),
    ("S9", crate::paid::money),
    ("S10", crate::paid::amounts),
    ("S11", keys),
    ("S12", durable),
    ("S13", session),
    ("S14", ids),
];

/// Every order that the tables or the logs name.
pub fn orders(told: &Told) -> BTreeSet<Uuid> {
    let rows = told.orders.iter().map(|row| row.id);
    let reserved = told.reservations.iter().map(|row| row.order);
    let paid = told.payments.iter().map(|row| row.order);
    let said = told.log.iter().filter_map(|event| event.order);
    rows.chain(reserved).chain(paid).chain(said).collect()
}

/// (O, R, P) is finished/consumed/processed, canceled/none/none or canceled/canceled/failed, for one reason.
fn agreement(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for id in orders(told) {
        let o: Vec<_> = told.orders.iter().filter(|row| row.id == id).collect();
        let p: Vec<_> = told.payments.iter().filter(|row| row.order == id).collect();
        let r: BTreeSet<&str> = (told.reservations.iter())
            .filter(|row| row.order == id)
            .map(|row| row.status.as_str())
            .collect();
        if o.is_empty() && r.is_empty() && p.is_empty() {
            continue;
        }
        let r: Vec<&str> = r.into_iter().collect();
        let statuses: Vec<&str> = p.iter().map(|row| row.status.as_str()).collect();
        let refused = ["out_of_stock", "unknown_product", "amount_too_large"];
        let is_one_of = |o: &&crate::told::Order| {
            let reason = o.reason.map(Reason::as_str);
            match o.status.as_str() {
                "finished" => r == ["consumed"] && statuses == ["processed"] && reason.is_none(),
                "canceled" if statuses.is_empty() => {
                    r.is_empty() && reason.is_some_and(|reason| refused.contains(&reason))
                }
                "canceled" => {
                    r == ["canceled"] && statuses == ["failed"] && o.reason == p[0].reason
                }
                _ => false,
            }
        };
        if o.is_empty() || !o.iter().all(is_one_of) {
            wrong.push(format!("{id}"));
        }
    }
    wrong
}

/// The steps of a product's stock, by version.
pub fn steps_of(told: &Told, product: Uuid) -> Vec<(EventType, Step)> {
    let mut steps = Vec::new();
    for event in &told.log {
        for step in event.steps.iter().filter(|step| step.product == product) {
            steps.push((event.kind, *step));
        }
    }
    steps.sort_by_key(|(_, step)| step.version);
    steps
}

/// Per product: available + Σq(created) + Σq(consumed) = initial + Σ restock, at the end and at every step of L.
fn conserved(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for product in &told.products {
        let mut held = 0;
        for row in told
            .reservations
            .iter()
            .filter(|row| row.units.0 == product.id)
        {
            if row.status != ReservationStatus::Canceled {
                held += i64::from(row.units.1);
            }
        }
        let asked = told
            .offered
            .iter()
            .rev()
            .find(|offered| offered.product == Some(product.id));
        let (mut initial, mut restocked, mut out) = (0, 0, 0);
        for (kind, step) in steps_of(told, product.id) {
            let quantity = i64::from(step.quantity);
            match kind {
                EventType::ProductCreated => initial += quantity,
                EventType::ProductRestocked => restocked += quantity,
                EventType::ReservationCreated => out += quantity,
                _ => out -= quantity,
            }
            if kind == EventType::ProductCreated
                && asked.is_some_and(|asked| asked.stock != step.after)
            {
                wrong.push(format!("{} did not begin as it was asked for", product.id));
            }
            if step.after + out != initial + restocked {
                wrong.push(format!("{} at version {}", product.id, step.version));
            }
        }
        if product.available + held != product.received || product.received != initial + restocked {
            wrong.push(format!("{} at the end", product.id));
        }
    }
    for row in &told.reservations {
        let is_held = row.status != ReservationStatus::Canceled && row.units.1 > 0;
        if is_held
            && !told
                .products
                .iter()
                .any(|product| product.id == row.units.0)
        {
            wrong.push(format!("{} is reserved and no product", row.units.0));
        }
    }
    wrong
}

/// 0 ≤ available at every step; never more given than came in.
fn oversold(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for product in &told.products {
        let (mut came, mut given) = (0, 0);
        for (kind, step) in steps_of(told, product.id) {
            let quantity = i64::from(step.quantity);
            match kind {
                EventType::ProductCreated | EventType::ProductRestocked => came += quantity,
                EventType::ReservationCreated => given += quantity,
                _ => given -= quantity,
            }
            if step.after < 0 || given > came {
                wrong.push(format!("{} at version {}", product.id, step.version));
            }
        }
        if product.available < 0 {
            wrong.push(format!("{} at the end", product.id));
        }
    }
    wrong
}

/// Per order each transition at most once; per message each consumer at most one effect.
fn once(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for (n, event) in told.log.iter().enumerate() {
        for other in told.log.iter().skip(n + 1) {
            if event.order.is_some() && event.order == other.order && event.kind == other.kind {
                wrong.push(format!("{} twice", event.kind.as_str()));
            }
            if event.cause.is_some() && event.cause == other.cause && event.service == other.service
            {
                wrong.push(format!(
                    "{} and {} have one cause",
                    event.kind.as_str(),
                    other.kind.as_str()
                ));
            }
        }
    }
    wrong
}

/// Each R and P has an O; each O was asked for by a client who was not refused, once; each acknowledged O exists.
fn origin(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    let exists = |id: Uuid| told.orders.iter().any(|order| order.id == id);
    for row in told.reservations.iter().filter(|row| !exists(row.order)) {
        wrong.push(format!("a reservation of {}", row.order));
    }
    for row in told.payments.iter().filter(|row| !exists(row.order)) {
        wrong.push(format!("a payment of {}", row.order));
    }
    for asked in told
        .history
        .iter()
        .filter(|asked| asked.act == Act::Place && asked.end == End::Ok)
    {
        if asked.order.is_some_and(|order| !exists(order)) {
            wrong.push(format!("{:?} was acknowledged", asked.order));
        }
    }
    for (n, order) in told.orders.iter().enumerate() {
        let asks = |asked: &Asked| {
            asked.act == Act::Place && asked.end != End::Refused && asked.key == order.key
        };
        let was_asked = order.key.is_some() && told.history.iter().any(asks);
        if order.created_us >= told.began_us && !was_asked {
            wrong.push(format!("{} was not asked for", order.id));
        }
        if order.key.is_some()
            && told
                .orders
                .iter()
                .skip(n + 1)
                .any(|other| other.key == order.key)
        {
            wrong.push(format!("{} is not the only one of its key", order.id));
        }
    }
    wrong
}

/// Every step of L is an edge of what it changes, in the log of whoever may say it; an end has no successor.
fn steps(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for order in orders(told) {
        for service in Service::ALL {
            let mut events: Vec<&Event> = told
                .log
                .iter()
                .filter(|event| event.order == Some(order) && event.service == service)
                .collect();
            events.sort_by_key(|event| (event.version, event.time_us));
            let mut before = "nothing";
            for event in events {
                let kind = event.kind.as_str();
                let is_edge = [
                    ("orders", "nothing", "order.created"),
                    ("orders", "order.created", "order.finished"),
                    ("orders", "order.created", "order.canceled"),
                    ("products", "nothing", "reservation.created"),
                    ("products", "nothing", "reservation.failed"),
                    ("products", "reservation.created", "reservation.consumed"),
                    ("products", "reservation.created", "reservation.canceled"),
                    ("payments", "nothing", "payment.created"),
                    ("payments", "payment.created", "payment.processed"),
                    ("payments", "payment.created", "payment.failed"),
                ]
                .contains(&(service.as_str(), before, kind));
                // Only a refusal changes nothing.
                if is_edge && (kind == "reservation.failed") == (event.version == 0) {
                    before = kind;
                } else {
                    wrong.push(format!(
                        "{kind} after {before} in the log of {}",
                        service.as_str()
                    ));
                }
            }
        }
    }
    wrong
}

/// Same key and body: same order; same key, other body: refused.
fn keys(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    let placed: Vec<&Asked> = told
        .history
        .iter()
        .filter(|asked| asked.act == Act::Place && asked.key.is_some())
        .collect();
    for one in placed.iter().filter(|asked| asked.end == End::Ok) {
        for other in placed.iter().filter(|other| other.key == one.key) {
            let is_same = other.items == one.items;
            let is_wrong = match other.end {
                End::Ok => !is_same || other.order != one.order,
                // 422 is the answer to another body.
                End::Refused => is_same && other.status == 422,
                End::Unknown => false,
            };
            if is_wrong {
                wrong.push(format!("{:?}", one.key));
            }
        }
    }
    wrong
}

/// A client got 201 ⇒ the order exists at the end, with what was asked for.
fn durable(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for asked in told
        .history
        .iter()
        .filter(|asked| asked.act == Act::Place && asked.end == End::Ok)
    {
        let order = told
            .orders
            .iter()
            .find(|order| Some(order.id) == asked.order);
        if order.is_none_or(|order| order.items != asked.items) {
            wrong.push(format!("{:?}", asked.order));
        }
    }
    wrong
}

/// No client sees a settled order change, or a version go back; not even in the table at the end.
fn session(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    let answers: Vec<&Asked> = told
        .history
        .iter()
        .filter(|asked| asked.end == End::Ok && asked.order.is_some())
        .collect();
    let is_back = |one: &Asked, version: u32, status: Option<OrderStatus>| {
        one.version > version
            || (one.seen.is_some_and(OrderStatus::is_settled) && one.seen != status)
    };
    for one in &answers {
        let same = |other: &&&Asked| other.order == one.order && other.act == Act::Read;
        for read in answers
            .iter()
            .filter(same)
            .filter(|read| one.end_us <= read.start_us)
        {
            if is_back(one, read.version, read.seen) {
                wrong.push(format!("{:?} went back", one.order));
            }
        }
        let was_read = answers.iter().any(|other| same(&other));
        let row = told
            .orders
            .iter()
            .find(|order| Some(order.id) == one.order && was_read);
        if row.is_some_and(|row| is_back(one, row.version, Some(row.status))) {
            wrong.push(format!("{:?} is not what was seen", one.order));
        }
    }
    wrong
}

/// Event, order and payment ids are unique; equal id ⇒ equal payload.
fn ids(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    let mut payloads: BTreeMap<Uuid, (EventType, u32)> = BTreeMap::new();
    let mut events = BTreeSet::new();
    for event in &told.log {
        if !events.insert(event.id) {
            wrong.push(format!("event {}", event.id));
        }
        payloads.insert(event.id, (event.kind, event.digest));
    }
    for carried in &told.tap {
        let payload = (carried.kind, carried.digest);
        if *payloads.entry(carried.id).or_insert(payload) != payload {
            wrong.push(format!("message {}", carried.id));
        }
    }
    let orders: BTreeSet<Uuid> = told.orders.iter().map(|order| order.id).collect();
    let payments: BTreeSet<Uuid> = told.payments.iter().map(|payment| payment.id).collect();
    if orders.len() < told.orders.len() || payments.len() < told.payments.len() {
        wrong.push("an order or a payment".to_owned());
    }
    // Whoever uses a key of his own asks for an order of his own.
    let mut told_for: BTreeMap<Uuid, &String> = BTreeMap::new();
    for asked in told
        .history
        .iter()
        .filter(|asked| asked.act == Act::Place && asked.end == End::Ok)
    {
        if let (Some(order), Some(key)) = (asked.order, &asked.key)
            && *told_for.entry(order).or_insert(key) != key
        {
            wrong.push(format!("order {order} under two keys"));
        }
    }
    wrong
}
