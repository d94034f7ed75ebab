//! What the checks look at: the clients' history, the tables at rest, the event logs, the tap, the ledger.
//!
//! Each is a [`Source`] of its own, written by somebody else; where two disagree, one of them lies. A source that
//! could not be read whole is missing, and every check that needs it knows nothing.

mod about;
mod gather;
mod lines;
mod names;
mod ours;
mod read;
mod rows;
mod scraped;
mod traced;
mod view;

pub use gather::{collect, gather_in_pieces};
pub use names::{Ids, KeyNo, Keys, MessageNo, Names, OrderNo, PaymentNo, ProductNo, TraceNo};
pub use ours::Ours;
pub use read::Reader;
pub use rows::*;
pub use scraped::{Answered, Scrape, ScrapeLine};
pub use view::{Rows, View};

use crate::faults::FaultRecord;
use crate::plan::Plan;
use crate::telemetry::Shape;
use contract::{OrderId, ProductId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A place that tells what happened, and the file that keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// What the clients did and saw.
    History,
    /// The table of orders.
    Orders,
    /// The table of products.
    Products,
    /// The table of reservation lines.
    Reservations,
    /// The table of payments.
    Payments,
    /// The provider's ledger.
    Charges,
    /// The event log of orders.
    LogOrders,
    /// The event log of products.
    LogProducts,
    /// The event log of payments.
    LogPayments,
    /// Everything that was on the exchange.
    Tap,
    /// What orders has applied.
    InboxOrders,
    /// What products has applied.
    InboxProducts,
    /// What payments has applied.
    InboxPayments,
    /// What was still to be done in the end.
    Queues,
    /// What was given up.
    DeadLetters,
    /// Which faults were asked for, fired and observed.
    Faults,
    /// What the services counted.
    Metrics,
    /// What the shop traced.
    Spans,
    /// Which forms the spans had.
    Shapes,
}

/// A shop's answers that make up a source: service and path of each.
pub type Exports = &'static [(&'static str, &'static str)];

impl Source {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::History,
        Self::Orders,
        Self::Products,
        Self::Reservations,
        Self::Payments,
        Self::Charges,
        Self::LogOrders,
        Self::LogProducts,
        Self::LogPayments,
        Self::Tap,
        Self::InboxOrders,
        Self::InboxProducts,
        Self::InboxPayments,
        Self::Queues,
        Self::DeadLetters,
        Self::Faults,
        // Before the spans: they are looked through for the examples.
        Self::Metrics,
        Self::Spans,
        Self::Shapes,
    ];

    /// Its file in a recording.
    pub const fn file(self) -> &'static str {
        match self {
            Self::History => "history.jsonl",
            Self::Orders => "orders.jsonl",
            Self::Products => "products.jsonl",
            Self::Reservations => "reservations.jsonl",
            Self::Payments => "payments.jsonl",
            Self::Charges => "charges.jsonl",
            Self::LogOrders => "events-orders.jsonl",
            Self::LogProducts => "events-products.jsonl",
            Self::LogPayments => "events-payments.jsonl",
            Self::Tap => "tap.jsonl",
            Self::InboxOrders => "inbox-orders.jsonl",
            Self::InboxProducts => "inbox-products.jsonl",
            Self::InboxPayments => "inbox-payments.jsonl",
            Self::Queues => "queues.jsonl",
            Self::DeadLetters => "dead-letters.jsonl",
            Self::Faults => "faults.jsonl",
            Self::Metrics => "metrics.jsonl",
            Self::Spans => "spans.jsonl",
            Self::Shapes => "shapes.jsonl",
        }
    }

    /// The exports of the shop that it is made of; none if the harness writes it itself.
    pub const fn exports(self) -> Exports {
        match self {
            Self::History | Self::Faults | Self::Metrics | Self::Spans | Self::Shapes => &[],
            Self::Orders => &[("orders", "/api/v1/orders")],
            Self::Products => &[("products", "/api/v1/products")],
            Self::Reservations => &[("products", "/api/v1/reservations")],
            Self::Payments => &[("payments", "/api/v1/payments")],
            Self::Charges => &[("provider", "/api/v1/charges")],
            Self::LogOrders => &[("orders", "/api/v1/events")],
            Self::LogProducts => &[("products", "/api/v1/events")],
            Self::LogPayments => &[("payments", "/api/v1/events")],
            Self::Tap => &[("orders", "/api/v1/tap")],
            Self::InboxOrders => &[("orders", "/api/v1/inbox")],
            Self::InboxProducts => &[("products", "/api/v1/inbox")],
            Self::InboxPayments => &[("payments", "/api/v1/inbox")],
            Self::Queues => &[
                ("orders", "/api/v1/queues"),
                ("products", "/api/v1/queues"),
                ("payments", "/api/v1/queues"),
            ],
            Self::DeadLetters => &[
                ("orders", "/api/v1/dead-letters"),
                ("products", "/api/v1/dead-letters"),
                ("payments", "/api/v1/dead-letters"),
            ],
        }
    }

    /// Whether it can only be compared with others when nothing moves any more. What the harness writes itself and
    /// what says how much still moves can always be looked at.
    pub const fn needs_rest(self) -> bool {
        !matches!(
            self,
            Self::History | Self::Faults | Self::Queues | Self::DeadLetters
        )
    }
}

/// A source that could not be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// Everything that a run leaves for the checks.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// What was meant to happen.
    pub plan: Plan,
    /// The sources that could not be read, and why.
    pub missing: BTreeMap<Source, String>,
    /// The ids behind the numbers; shared by copies.
    pub names: Arc<Names>,
    /// Lines of orders.
    pub items: Vec<Item>,
    /// Steps of stocks.
    pub steps: Vec<Step>,
    /// What the clients did, in the order of the intended starts.
    pub history: Vec<Did>,
    /// The products that clients asked for.
    pub created: Vec<Created>,
    /// The table of orders.
    pub orders: Vec<OrderRow>,
    /// The table of products.
    pub products: Vec<ProductRow>,
    /// The table of reservation lines.
    pub reservations: Vec<ReservationRow>,
    /// The table of payments.
    pub payments: Vec<PaymentRow>,
    /// The provider's ledger.
    pub charges: Vec<ChargeRow>,
    /// The event logs of all services.
    pub said: Vec<Said>,
    /// Everything that was on the exchange, in its order.
    pub tap: Vec<Tapped>,
    /// What was applied, by all services.
    pub applied: Vec<Applied>,
    /// What each service still had to do in the end.
    pub queues: BTreeMap<Service, QueueRow>,
    /// What was given up.
    pub dead: Vec<DeadRow>,
    /// The faults.
    pub faults: Vec<FaultRecord>,
    /// What was traced.
    pub spans: Vec<SpanRow>,
    /// What was counted: the first and the last of each life of a replica.
    pub scrapes: Vec<Scrape>,
    /// The traces that stand as examples in the metrics, and whether anything of them was traced.
    pub examples: BTreeMap<u128, bool>,
    /// The requests to place an order that were traced, by the status of the answer.
    pub asked: BTreeMap<u16, Vec<Answered>>,
    /// The forms of spans.
    pub shapes: Vec<Shape>,
}

impl Evidence {
    /// The id of an order.
    pub fn order_id(&self, order: OrderNo) -> OrderId {
        OrderId(self.names.orders.id(order.index()))
    }

    /// The id of a product.
    pub fn product_id(&self, product: ProductNo) -> ProductId {
        ProductId(self.names.products.id(product.index()))
    }

    /// Adds lines of an order and returns where they are.
    ///
    /// # Errors
    /// When there are more than can be counted.
    pub fn add_items(&mut self, items: impl IntoIterator<Item = Item>) -> Result<Span, Unreadable> {
        add(&mut self.items, items)
    }

    /// Adds steps of stocks and returns where they are.
    ///
    /// # Errors
    /// When there are more than can be counted.
    pub fn add_steps(&mut self, steps: impl IntoIterator<Item = Step>) -> Result<Span, Unreadable> {
        add(&mut self.steps, steps)
    }
}

fn add<T>(list: &mut Vec<T>, entries: impl IntoIterator<Item = T>) -> Result<Span, Unreadable> {
    let start = list.len();
    list.extend(entries);
    let span = Span::new(start, list.len() - start);
    span.ok_or_else(|| Unreadable("more lines than the checks can count".to_owned()))
}
