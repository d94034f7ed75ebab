//! The shop's side of a good run on paper: what each service stores, says, hears and is charged.

use crate::open::Open;
use crate::recorded::{Kind, REGULAR, Recipe, cents, json};
use crate::traced::traced;
use contract::events::{
    OrderCanceled, OrderCreated, OrderFinished, PaymentCreated, PaymentFailed, PaymentProcessed,
    ProductCreated, ProductRestocked, ReservationCanceled, ReservationConsumed, ReservationCreated,
    ReservationFailed,
};
use contract::http::{
    Charge, ChargeOutcome, Order, OrderStatus, Payment, PaymentStatus, Product, Reservation,
    ReservationStatus,
};
use contract::{Cents, Event, Line, Message, MessageId, Quantity, Reason, ReservedLine};
use harness::evidence::{Service, Source};
use std::collections::VecDeque;
use uuid::Uuid;

/// A product's stock.
#[derive(Debug, Clone, Copy)]
struct Stock {
    available: i64,
    received: i64,
    version: i64,
}

/// Writes one source down.
pub struct Paper<'a> {
    recipe: &'a Recipe,
    wanted: Source,
    line: &'a mut dyn FnMut(&str),
    stock: Vec<Stock>,
    said: u64,
    heard: u64,
    tapped: i64,
}

impl<'a> Paper<'a> {
    pub fn new(recipe: &'a Recipe, wanted: Source, line: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            recipe,
            wanted,
            line,
            stock: Vec::new(),
            said: 0,
            heard: 0,
            tapped: 0,
        }
    }

    /// The whole run. Orders end some orders after they began, so that the steps of a stock are mixed.
    pub fn write(mut self) {
        for index in 0..self.recipe.products() {
            self.create(index);
        }
        let mut open: VecDeque<Open> = VecDeque::new();
        for n in 0..self.recipe.orders {
            if n % 10 == 3 {
                self.restock(
                    REGULAR + usize::try_from(n / 10).unwrap_or(0) % self.recipe.regular(),
                );
            }
            if let Some(mut order) = self.recipe.open(n) {
                self.begin(&mut order);
                open.push_back(order);
            }
            let left = usize::try_from(self.recipe.chance(n, 7) % 4).unwrap_or(0);
            while open.len() > left {
                let order = if self.recipe.chance(n, 8).is_multiple_of(2) {
                    open.pop_front()
                } else {
                    open.pop_back()
                };
                if let Some(order) = order {
                    self.end(&order);
                }
            }
        }
        for order in &open {
            self.end(order);
        }
        for index in 0..self.recipe.products() {
            let Stock {
                available,
                received,
                version,
            } = self.stock[index];
            let price_cents = cents(Recipe::product(index).0);
            let id = self.recipe.product_id(index);
            self.row(Source::Products, || {
                json(&Product {
                    id,
                    name: "a record".to_owned(),
                    price_cents,
                    available,
                    received,
                    version,
                })
            });
        }
    }

    fn create(&mut self, index: usize) {
        let (price, stock) = Recipe::product(index);
        self.stock.push(Stock {
            available: stock,
            received: stock,
            version: 1,
        });
        let event = ProductCreated {
            product_id: self.recipe.product_id(index),
            name: "a record".to_owned(),
            price_cents: cents(price),
            stock,
            version: 1,
        };
        self.say(event, None, self.recipe.due_us(0) - 900_000);
    }

    fn restock(&mut self, index: usize) {
        let stock = &mut self.stock[index];
        stock.available += 5;
        stock.received += 5;
        stock.version += 1;
        let event = ProductRestocked {
            product_id: self.recipe.product_id(index),
            quantity: 5,
            available_after: stock.available,
            version: stock.version,
        };
        self.say(event, None, self.recipe.due_us(0));
    }

    /// Takes or gives back the units of an order.
    fn step(&mut self, order: &Open, sign: i64) -> Vec<ReservedLine> {
        let mut lines = Vec::with_capacity(order.lines.len());
        for (product, units) in &order.lines {
            let stock = &mut self.stock[*product];
            stock.available += sign * units;
            stock.version += 1;
            lines.push(ReservedLine {
                product_id: self.recipe.product_id(*product),
                quantity: Quantity::try_from(*units).expect("few units"),
                unit_price_cents: cents(Recipe::product(*product).0),
                available_after: stock.available,
                product_version: stock.version,
            });
        }
        lines
    }

    fn items(&self, order: &Open) -> Vec<Line> {
        order
            .lines
            .iter()
            .map(|line| self.recipe.line(*line))
            .collect()
    }

    /// From the acceptance to the answer of the provider.
    fn begin(&mut self, order: &mut Open) {
        let (order_id, due_us, amount_cents) = (order.id, order.due_us, cents(order.amount));
        let items = self.items(order);
        let created = self.say(
            OrderCreated {
                order_id,
                items,
                version: 1,
            },
            None,
            due_us + 500,
        );
        if let Some(reason) = order.refused {
            let failed = ReservationFailed {
                order_id,
                reason,
                version: 0,
            };
            order.cause = Some(self.say(failed, Some(created), due_us + 1_000));
            return;
        }
        let lines = self.step(order, -1);
        let event = ReservationCreated {
            order_id,
            lines,
            amount_cents,
            version: 1,
        };
        let reserved = self.say(event, Some(created), due_us + 1_000);
        order.cause = Some(self.pay(order, reserved));
    }

    /// Asks the provider, unless the amount is too small.
    fn pay(&mut self, order: &Open, reserved: Uuid) -> Uuid {
        let (order_id, payment_id, due_us) = (order.id, order.payment, order.due_us);
        let amount_cents = cents(order.amount);
        let event = PaymentCreated {
            order_id,
            payment_id,
            amount_cents,
            version: 1,
        };
        let created = self.say(event, Some(reserved), due_us + 1_500);
        if order.unpaid != Some(Reason::UnderMinimum) {
            let outcome = if order.unpaid.is_some() {
                ChargeOutcome::Declined
            } else {
                ChargeOutcome::Charged
            };
            let (key, at_us) = (payment_id.to_string(), due_us + 4_000);
            self.row(Source::Charges, || {
                json(&Charge {
                    key,
                    payment_id,
                    order_id,
                    amount_cents,
                    outcome,
                    at_us,
                })
            });
        }
        match order.unpaid {
            None => {
                let event = PaymentProcessed {
                    order_id,
                    payment_id,
                    amount_cents,
                    version: 2,
                };
                self.say(event, Some(created), due_us + 5_000)
            }
            Some(reason) => {
                let event = PaymentFailed {
                    order_id,
                    payment_id,
                    amount_cents,
                    reason,
                    version: 2,
                };
                self.say(event, Some(created), due_us + 5_000)
            }
        }
    }

    /// From the answer of the provider to the end, and the rows that are left.
    fn end(&mut self, order: &Open) {
        let (order_id, due_us, amount_cents) = (order.id, order.due_us, cents(order.amount));
        let paid = if order.refused.is_some() {
            cents(0)
        } else {
            amount_cents
        };
        match (order.refused, order.unpaid) {
            (Some(reason), _) => {
                let event = OrderCanceled {
                    order_id,
                    amount_cents: paid,
                    reason,
                    version: 2,
                };
                self.say(event, order.cause, due_us + 7_000);
            }
            (None, Some(reason)) => {
                let lines = self.step(order, 1);
                let event = ReservationCanceled {
                    order_id,
                    lines,
                    amount_cents,
                    reason,
                    version: 2,
                };
                let cause = self.say(event, order.cause, due_us + 6_000);
                let event = OrderCanceled {
                    order_id,
                    amount_cents,
                    reason,
                    version: 2,
                };
                self.say(event, Some(cause), due_us + 7_000);
            }
            (None, None) => {
                let event = ReservationConsumed {
                    order_id,
                    amount_cents,
                    version: 2,
                };
                let cause = self.say(event, order.cause, due_us + 6_000);
                self.say(
                    OrderFinished {
                        order_id,
                        amount_cents,
                        version: 2,
                    },
                    Some(cause),
                    due_us + 7_000,
                );
            }
        }
        self.stored(order, paid);
    }

    /// The rows that are left of an order.
    fn stored(&mut self, order: &Open, paid: Cents) {
        let reason = order.refused.or(order.unpaid);
        let status = if reason.is_none() {
            OrderStatus::Finished
        } else {
            OrderStatus::Canceled
        };
        let (items, key) = (self.items(order), self.recipe.key(order.n));
        self.row(Source::Orders, || {
            json(&Order {
                id: order.id,
                status,
                version: 2,
                items,
                amount_cents: Some(paid),
                reason,
                created_at_us: order.due_us + 500,
                settled_at_us: Some(order.due_us + 7_000),
                trace_id: order.id.0.simple().to_string(),
                idempotency_key: Some(key),
            })
        });
        if order.refused.is_none() {
            self.reserved(order);
        }
    }

    fn reserved(&mut self, order: &Open) {
        let status = if order.unpaid.is_none() {
            ReservationStatus::Consumed
        } else {
            ReservationStatus::Canceled
        };
        for line in &order.lines {
            let Line {
                product_id,
                quantity,
            } = self.recipe.line(*line);
            let unit_price_cents = cents(Recipe::product(line.0).0);
            self.row(Source::Reservations, || {
                json(&Reservation {
                    order_id: order.id,
                    product_id,
                    quantity,
                    unit_price_cents,
                    status,
                    version: 2,
                })
            });
        }
        let status = if order.unpaid.is_none() {
            PaymentStatus::Processed
        } else {
            PaymentStatus::Failed
        };
        self.row(Source::Payments, || {
            json(&Payment {
                id: order.payment,
                order_id: order.id,
                amount_cents: cents(order.amount),
                status,
                reason: order.unpaid,
                version: 2,
            })
        });
    }

    fn row(&mut self, source: Source, row: impl FnOnce() -> String) {
        if self.wanted == source {
            (self.line)(&row());
        }
    }

    /// An event: logged, on the exchange, and applied where it is heard; now and then delivered twice.
    fn say(&mut self, event: impl Into<Event>, cause: Option<Uuid>, time_us: i64) -> Uuid {
        let event: Event = event.into();
        let kind = event.kind();
        let id = self.recipe.id(Kind::Message, self.said);
        self.said += 1;
        let author = Service::author(kind);
        let mut times = 1;
        if let Some(hearer) = Service::hearer(kind) {
            let every = if self.recipe.orders > 1_000 { 100 } else { 7 };
            times += u32::from(self.heard.is_multiple_of(every));
            self.heard += 1;
            self.row(inbox(hearer), || {
                format!(
                    r#"{{"messageId":"{id}","seen":{times},"appliedAtUs":{}}}"#,
                    time_us + 100
                )
            });
        }
        if self.wanted == Source::Spans {
            traced(&event, id, cause, time_us, self.line);
        }
        self.row(log(author), || {
            let cause = cause.map_or("null".to_owned(), |cause| format!("\"{cause}\""));
            let (kind, entity, subject, data) = (kind.as_str(), event.entity(), event.subject(), event.data());
            format!(
                r#"{{"id":"{id}","type":"{kind}","entity":"{}","entityId":"{}","version":{},"subject":"{subject}","cause":{cause},"data":{data},"traceparent":null,"timeUs":{time_us},"publishedAtUs":{}}}"#,
                entity.kind,
                entity.id,
                entity.version,
                time_us + 50,
            )
        });
        if self.wanted == Source::Tap {
            self.publish(
                &event,
                author,
                MessageId(id),
                cause.map(MessageId),
                time_us,
                times,
            );
        }
        id
    }

    fn publish(
        &mut self,
        event: &Event,
        author: Service,
        id: MessageId,
        cause: Option<MessageId>,
        time_us: i64,
        times: u32,
    ) {
        let message = Message {
            id,
            source: author.as_str().to_owned(),
            kind: event.kind().as_str().to_owned(),
            subject: event.subject(),
            time_us,
            cause,
            traceparent: None,
            tracestate: None,
            data: event.data(),
        };
        let message = message.to_json().expect("a message is JSON");
        for _ in 0..times {
            self.tapped += 1;
            (self.line)(&format!(r#"{{"seq":{},"message":{message}}}"#, self.tapped));
        }
    }
}

const fn log(service: Service) -> Source {
    match service {
        Service::Orders => Source::LogOrders,
        Service::Products => Source::LogProducts,
        Service::Payments => Source::LogPayments,
    }
}

const fn inbox(service: Service) -> Source {
    match service {
        Service::Orders => Source::InboxOrders,
        Service::Products => Source::InboxProducts,
        Service::Payments => Source::InboxPayments,
    }
}
