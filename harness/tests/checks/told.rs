//! Evidence as plain lists of structs with their ids, for whoever has time.

use contract::EventType;
use contract::Reason;
use contract::http::{ChargeOutcome, OrderStatus, PaymentStatus, ReservationStatus};
use harness::evidence::{
    Act, DeadRow, End, Evidence, KeyNo, MessageNo, OrderNo, PaymentNo, ProductNo,
};
use harness::evidence::{QueueRow, Service, Span};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A product and how many units of it.
pub type Units = (Uuid, u32);

pub struct Asked {
    pub act: Act,
    pub end: End,
    pub seen: Option<OrderStatus>,
    pub version: u32,
    pub status: u16,
    pub key: Option<String>,
    pub order: Option<Uuid>,
    pub items: Vec<Units>,
    pub start_us: i64,
    pub end_us: i64,
}

pub struct Offered {
    pub product: Option<Uuid>,
    pub price: i64,
    pub stock: i64,
}

pub struct Order {
    pub id: Uuid,
    pub status: OrderStatus,
    pub reason: Option<Reason>,
    pub version: u32,
    pub items: Vec<Units>,
    pub key: Option<String>,
    pub amount: Option<i64>,
    pub created_us: i64,
}

pub struct Product {
    pub id: Uuid,
    pub version: u32,
    pub price: i64,
    pub available: i64,
    pub received: i64,
}

pub struct Reservation {
    pub order: Uuid,
    pub units: Units,
    pub status: ReservationStatus,
    pub version: u32,
    pub price: i64,
}

pub struct Payment {
    pub id: Uuid,
    pub order: Uuid,
    pub status: PaymentStatus,
    pub reason: Option<Reason>,
    pub version: u32,
    pub amount: i64,
}

pub struct Charge {
    pub payment: Uuid,
    pub order: Uuid,
    pub outcome: ChargeOutcome,
    pub amount: i64,
}

#[derive(Clone, Copy)]
pub struct Step {
    pub product: Uuid,
    pub quantity: u32,
    pub version: u32,
    pub price: i64,
    pub after: i64,
}

pub struct Event {
    pub id: Uuid,
    pub cause: Option<Uuid>,
    pub order: Option<Uuid>,
    pub payment: Option<Uuid>,
    pub version: u32,
    pub items: Vec<Units>,
    pub steps: Vec<Step>,
    pub digest: u32,
    pub kind: EventType,
    pub service: Service,
    pub reason: Option<Reason>,
    pub amount: i64,
    pub time_us: i64,
}

pub struct Carried {
    pub id: Uuid,
    pub digest: u32,
    pub kind: EventType,
    pub source: Option<Service>,
}

pub struct Heard {
    pub id: Uuid,
    pub seen: u16,
    pub service: Service,
}

/// All of it.
pub struct Told {
    pub began_us: i64,
    pub history: Vec<Asked>,
    pub offered: Vec<Offered>,
    pub orders: Vec<Order>,
    pub products: Vec<Product>,
    pub reservations: Vec<Reservation>,
    pub payments: Vec<Payment>,
    pub charges: Vec<Charge>,
    pub log: Vec<Event>,
    pub tap: Vec<Carried>,
    pub inbox: Vec<Heard>,
    pub queues: BTreeMap<Service, QueueRow>,
    pub dead: Vec<(Uuid, DeadRow)>,
}

/// Finds the ids behind the numbers.
struct Names<'e>(&'e Evidence);

impl Names<'_> {
    fn order(&self, number: OrderNo) -> Option<Uuid> {
        number.some().map(|number| self.0.order_id(number).0)
    }

    fn product(&self, number: ProductNo) -> Uuid {
        self.0.product_id(number).0
    }

    fn payment(&self, number: PaymentNo) -> Option<Uuid> {
        number
            .some()
            .map(|number| self.0.names.payments.id(number.index()))
    }

    fn message(&self, number: MessageNo) -> Option<Uuid> {
        number
            .some()
            .map(|number| self.0.names.messages.id(number.index()))
    }

    fn key(&self, number: KeyNo) -> Option<String> {
        number
            .some()
            .map(|number| self.0.names.keys.key(number).to_owned())
    }

    fn items(&self, span: Span) -> Vec<Units> {
        span.of(&self.0.items)
            .iter()
            .map(|item| (self.product(item.product), item.quantity))
            .collect()
    }

    fn steps(&self, span: Span) -> Vec<Step> {
        let steps = span.of(&self.0.steps).iter();
        steps
            .map(|step| Step {
                product: self.product(step.product),
                quantity: step.quantity,
                version: step.version,
                price: step.price,
                after: step.available_after,
            })
            .collect()
    }
}

impl Told {
    pub fn of(evidence: &Evidence) -> Self {
        let names = Names(evidence);
        let some = |id: Option<Uuid>| id.expect("every row has an id");
        Self {
            began_us: evidence.plan.began_us,
            history: history(&names),
            log: log(&names),
            offered: (evidence.created.iter())
                .map(|row| Offered {
                    product: row.product.some().map(|product| names.product(product)),
                    price: row.price,
                    stock: row.stock,
                })
                .collect(),
            orders: orders(&names),
            products: (evidence.products.iter())
                .map(|row| Product {
                    id: names.product(row.product),
                    version: row.version,
                    price: row.price,
                    available: row.available,
                    received: row.received,
                })
                .collect(),
            reservations: reservations(&names),
            payments: payments(&names),
            charges: (evidence.charges.iter())
                .map(|row| Charge {
                    payment: some(names.payment(row.payment)),
                    order: some(names.order(row.order)),
                    outcome: row.outcome,
                    amount: row.amount,
                })
                .collect(),
            tap: (evidence.tap.iter())
                .map(|row| Carried {
                    id: some(names.message(row.id)),
                    digest: row.digest,
                    kind: row.kind.expect("a type that we know"),
                    source: row.source,
                })
                .collect(),
            inbox: (evidence.applied.iter())
                .map(|row| Heard {
                    id: some(names.message(row.id)),
                    seen: row.seen,
                    service: row.service,
                })
                .collect(),
            queues: evidence.queues.clone(),
            dead: evidence
                .dead
                .iter()
                .map(|row| (some(names.message(row.id)), row.clone()))
                .collect(),
        }
    }
}

fn history(names: &Names<'_>) -> Vec<Asked> {
    let rows = names.0.history.iter();
    rows.map(|did| Asked {
        act: did.act,
        end: did.end,
        seen: did.seen,
        version: did.version,
        status: did.status,
        key: names.key(did.key),
        order: names.order(did.order),
        items: names.items(did.items),
        start_us: did.start_us,
        end_us: did.end_us,
    })
    .collect()
}

fn orders(names: &Names<'_>) -> Vec<Order> {
    let rows = names.0.orders.iter();
    rows.map(|row| Order {
        id: names.0.order_id(row.order).0,
        status: row.status,
        reason: row.reason,
        version: row.version,
        items: names.items(row.items),
        key: names.key(row.key),
        amount: row.amount,
        created_us: row.created_us,
    })
    .collect()
}

fn reservations(names: &Names<'_>) -> Vec<Reservation> {
    let rows = names.0.reservations.iter();
    rows.map(|row| Reservation {
        order: names.0.order_id(row.order).0,
        units: (names.product(row.item.product), row.item.quantity),
        status: row.status,
        version: row.version,
        price: row.price,
    })
    .collect()
}

fn payments(names: &Names<'_>) -> Vec<Payment> {
    let rows = names.0.payments.iter();
    rows.map(|row| Payment {
        id: names.0.names.payments.id(row.payment.index()),
        order: names.0.order_id(row.order).0,
        status: row.status,
        reason: row.reason,
        version: row.version,
        amount: row.amount,
    })
    .collect()
}

fn log(names: &Names<'_>) -> Vec<Event> {
    let rows = names.0.said.iter();
    rows.map(|said| {
        let is_order = said.kind == EventType::OrderCreated;
        Event {
            id: names.message(said.id).expect("an event has an id"),
            cause: names.message(said.cause),
            order: names.order(said.order),
            payment: names.payment(said.payment),
            version: said.version,
            items: if is_order {
                names.items(said.lines)
            } else {
                Vec::new()
            },
            steps: if is_order {
                Vec::new()
            } else {
                names.steps(said.lines)
            },
            digest: said.digest,
            kind: said.kind,
            service: said.service,
            reason: said.reason,
            amount: said.amount,
            time_us: said.time_us,
        }
    })
    .collect()
}
