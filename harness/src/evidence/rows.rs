//! The rows that the checks look at: a million orders leave seventeen million of them, so they are small.

use super::names::{KeyNo, MessageNo, OrderNo, PaymentNo, ProductNo, TraceNo};
use crate::history::Story;
use contract::http::{ChargeOutcome, OrderStatus, PaymentStatus, ReservationStatus};
use contract::{EventType, Reason};

/// A service that keeps an event log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Orders.
    Orders,
    /// Products and reservations.
    Products,
    /// Payments.
    Payments,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Orders, Self::Products, Self::Payments];

    /// Its name in messages and paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Products => "products",
            Self::Payments => "payments",
        }
    }

    /// The service with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|service| service.as_str() == name)
    }

    /// The only service that says events of this type.
    pub const fn author(kind: EventType) -> Self {
        match kind {
            EventType::OrderCreated | EventType::OrderFinished | EventType::OrderCanceled => {
                Self::Orders
            }
            EventType::PaymentCreated | EventType::PaymentProcessed | EventType::PaymentFailed => {
                Self::Payments
            }
            EventType::ReservationCreated
            | EventType::ReservationFailed
            | EventType::ReservationConsumed
            | EventType::ReservationCanceled
            | EventType::ProductCreated
            | EventType::ProductRestocked => Self::Products,
        }
    }

    /// The service that reacts to events of this type, if one does.
    pub const fn hearer(kind: EventType) -> Option<Self> {
        match kind {
            EventType::OrderCreated | EventType::PaymentProcessed | EventType::PaymentFailed => {
                Some(Self::Products)
            }
            EventType::ReservationCreated | EventType::PaymentCreated => Some(Self::Payments),
            EventType::ReservationFailed
            | EventType::ReservationConsumed
            | EventType::ReservationCanceled => Some(Self::Orders),
            EventType::OrderFinished
            | EventType::OrderCanceled
            | EventType::ProductCreated
            | EventType::ProductRestocked => None,
        }
    }
}

/// Whether it is how a payment ends.
pub const fn ends_a_payment(kind: EventType) -> bool {
    matches!(kind, EventType::PaymentProcessed | EventType::PaymentFailed)
}

/// A run of entries in one of the two lists of lines: 26 bits of start, 6 of length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span(u32);

impl Span {
    const LENGTH_BITS: u32 = 6;

    /// `length` entries from `start`. None when there are too many to be counted.
    pub fn new(start: usize, length: usize) -> Option<Self> {
        let start = u32::try_from(start)
            .ok()
            .filter(|start| start >> (32 - Self::LENGTH_BITS) == 0)?;
        let length = u32::try_from(length)
            .ok()
            .filter(|length| length >> Self::LENGTH_BITS == 0)?;
        Some(Self(start << Self::LENGTH_BITS | length))
    }

    /// The entries of `list` that it stands for.
    pub fn of<T>(self, list: &[T]) -> &[T] {
        list.get(self.range()).unwrap_or_default()
    }

    /// The indices that it stands for.
    pub const fn range(self) -> std::ops::Range<usize> {
        let start = (self.0 >> Self::LENGTH_BITS) as usize;
        start..start + (self.0 & ((1 << Self::LENGTH_BITS) - 1)) as usize
    }
}

/// One line of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// The product.
    pub product: ProductNo,
    /// How many units.
    pub quantity: u32,
}

/// What an event did to the stock of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The product.
    pub product: ProductNo,
    /// How many units were taken, given back, or came in.
    pub quantity: u32,
    /// The product's version after the step.
    pub version: u32,
    /// The price of one unit.
    pub price: i64,
    /// The product's stock after the step.
    pub available_after: i64,
}

/// What a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A product.
    CreateProduct,
    /// An order.
    Place,
    /// An order that must be refused.
    PlaceBadly,
    /// A look at an order.
    Read,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was answered.
    Ok,
    /// It certainly did not happen.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One client action.
#[derive(Debug, Clone, Copy)]
pub struct Did {
    /// The story that it is part of.
    pub story: Story,
    /// What was asked for.
    pub act: Act,
    /// How it ended.
    pub end: End,
    /// Where the order stood in the answer.
    pub seen: Option<OrderStatus>,
    /// The version in the answer.
    pub version: u32,
    /// The HTTP status of a refusal.
    pub status: u16,
    /// The Idempotency-Key.
    pub key: KeyNo,
    /// The order that was named in the answer, or that was read.
    pub order: OrderNo,
    /// What was ordered.
    pub items: Span,
    /// The intended start, microseconds since 1970.
    pub due_us: i64,
    /// The start.
    pub start_us: i64,
    /// The end.
    pub end_us: i64,
}

/// A product as a client asked for it.
#[derive(Debug, Clone, Copy)]
pub struct Created {
    /// Which; none if nobody knows whether it came to be.
    pub product: ProductNo,
    /// The price of one unit.
    pub price: i64,
    /// How many units there were to begin with.
    pub stock: i64,
}

/// A row of orders.
#[derive(Debug, Clone, Copy)]
pub struct OrderRow {
    /// Which.
    pub order: OrderNo,
    /// Where it stands.
    pub status: OrderStatus,
    /// Why it was canceled.
    pub reason: Option<Reason>,
    /// Counts the changes.
    pub version: u32,
    /// What was ordered.
    pub items: Span,
    /// The client's key.
    pub key: KeyNo,
    /// The trace that the client was told of.
    pub trace: TraceNo,
    /// What it came to; none until it settles.
    pub amount: Option<i64>,
    /// When it was accepted.
    pub created_us: i64,
    /// When it settled; 0 if it did not.
    pub settled_us: i64,
}

/// A row of products.
#[derive(Debug, Clone, Copy)]
pub struct ProductRow {
    /// Which.
    pub product: ProductNo,
    /// Counts the changes.
    pub version: u32,
    /// The price of one unit.
    pub price: i64,
    /// How many units can be reserved.
    pub available: i64,
    /// How many units ever came in.
    pub received: i64,
}

/// A row of reservation lines.
#[derive(Debug, Clone, Copy)]
pub struct ReservationRow {
    /// The order.
    pub order: OrderNo,
    /// What was reserved.
    pub item: Item,
    /// Where it stands.
    pub status: ReservationStatus,
    /// Counts the changes.
    pub version: u32,
    /// The price of one unit.
    pub price: i64,
}

/// A row of payments.
#[derive(Debug, Clone, Copy)]
pub struct PaymentRow {
    /// Which.
    pub payment: PaymentNo,
    /// The order.
    pub order: OrderNo,
    /// Where it stands.
    pub status: PaymentStatus,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// Counts the changes.
    pub version: u32,
    /// How much.
    pub amount: i64,
}

/// A line of the provider's ledger.
#[derive(Debug, Clone, Copy)]
pub struct ChargeRow {
    /// The payment.
    pub payment: PaymentNo,
    /// The order.
    pub order: OrderNo,
    /// What was answered.
    pub outcome: ChargeOutcome,
    /// How much.
    pub amount: i64,
    /// When.
    pub at_us: i64,
}

/// A row of an event log.
#[derive(Debug, Clone, Copy)]
pub struct Said {
    /// The event's id.
    pub id: MessageNo,
    /// The message that it answers.
    pub cause: MessageNo,
    /// The order that it is about; none for events about products.
    pub order: OrderNo,
    /// The payment that it is about, in events of payments.
    pub payment: PaymentNo,
    /// The version of what it changed: 1 for the first, 0 for a refusal.
    pub version: u32,
    /// In `order.created`: entries of the items. In all others: of the steps.
    pub lines: Span,
    /// Stands for type, subject, cause and data.
    pub digest: u32,
    /// Its type.
    pub kind: EventType,
    /// Whose log it is in.
    pub service: Service,
    /// Why something failed.
    pub reason: Option<Reason>,
    /// Whether the log says that it was published.
    pub is_published: bool,
    /// The amount in it; 0 if there is none.
    pub amount: i64,
    /// When it was said.
    pub time_us: i64,
}

/// A message as it was on the exchange.
#[derive(Debug, Clone, Copy)]
pub struct Tapped {
    /// Its id.
    pub id: MessageNo,
    /// Stands for type, subject, cause and data.
    pub digest: u32,
    /// Its type; none for one that we do not know.
    pub kind: Option<EventType>,
    /// Who is said to have said it.
    pub source: Option<Service>,
}

/// A message that a service has applied.
#[derive(Debug, Clone, Copy)]
pub struct Applied {
    /// Which.
    pub id: MessageNo,
    /// How often it was delivered; 65 535 stands for more.
    pub seen: u16,
    /// The service.
    pub service: Service,
    /// When.
    pub at_us: i64,
}

/// What a service still had to do in the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct QueueRow {
    /// Waiting for the consumer.
    pub ready: u64,
    /// With the consumer.
    pub unacked: u64,
    /// Put off until later.
    pub retrying: u64,
    /// Given up.
    pub dead: u64,
    /// Said and not published.
    pub unpublished: u64,
}

impl QueueRow {
    /// How many messages are neither applied nor given up.
    pub const fn waiting(&self) -> u64 {
        self.ready + self.unacked + self.retrying
    }
}

/// A message that a service gave up.
#[derive(Debug, Clone)]
pub struct DeadRow {
    /// Which.
    pub id: MessageNo,
    /// The service.
    pub service: Service,
    /// How often it was put off before.
    pub attempts: u32,
    /// The last error.
    pub reason: String,
}

/// What kind of step was traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traced {
    /// A request that was answered with this status.
    Request(u16),
    /// A message that was published.
    Publish,
    /// A message that was heard.
    Process(Outcome),
    /// The outside was asked.
    Call,
}

/// What a trace says of a message that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect is committed.
    Applied,
    /// It was applied before.
    Duplicate,
    /// Nothing of it is kept.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// A step of an order's trace.
#[derive(Debug, Clone, Copy)]
pub struct SpanRow {
    /// The trace.
    pub trace: TraceNo,
    /// The order that it is about.
    pub order: OrderNo,
    /// The message that was published or heard.
    pub message: MessageNo,
    /// What it was.
    pub what: Traced,
    /// Whose it is; none for the provider.
    pub service: Option<Service>,
    /// Its own id.
    pub span: u64,
    /// The step that brought it about; 0 for the root.
    pub parent: u64,
    /// When it began, microseconds since 1970.
    pub start_us: i64,
    /// When it ended.
    pub end_us: i64,
}
