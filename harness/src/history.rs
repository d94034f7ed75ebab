//! What the clients did and saw: one operation a line of `history.jsonl`.

use contract::http::OrderStatus;
use contract::{Cents, Line, OrderId, ProductId};
use serde::{Deserialize, Serialize};

/// A story that the workload tells. At least one of each planned story happens in every run, or the run is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Story {
    /// The catalogue: products that the run creates before the load.
    Catalogue,
    /// An order that a real customer once placed.
    Real,
    /// A generated order of products that there are enough of.
    Happy,
    /// An order under one dollar: the payment fails.
    UnderMinimum,
    /// An order at the edge of what a price can be: 0, 1, 99, 100, 101 cents, and the largest.
    PriceEdge,
    /// An order that the provider declines.
    Declined,
    /// An order of a scarce product, of which there are fewer than are asked for.
    OutOfStock,
    /// An order of a product that does not exist.
    UnknownProduct,
    /// An order of more than one product.
    SeveralLines,
    /// The same order sent again under the same key, after its answer.
    Retry,
    /// The same order sent twice at once under the same key.
    DoubleClick,
    /// Another order under a key that was used.
    KeyReused,
    /// A body that cannot be accepted.
    InvalidBody,
    /// A client that hangs up before its answer.
    Abandoned,
    /// A settled order, read again and again.
    Reread,
}

impl Story {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 15] = [
        Self::Catalogue,
        Self::Real,
        Self::Happy,
        Self::UnderMinimum,
        Self::PriceEdge,
        Self::Declined,
        Self::OutOfStock,
        Self::UnknownProduct,
        Self::SeveralLines,
        Self::Retry,
        Self::DoubleClick,
        Self::KeyReused,
        Self::InvalidBody,
        Self::Abandoned,
        Self::Reread,
    ];

    /// Its name in flags, files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Real => "real",
            Self::Happy => "happy",
            Self::UnderMinimum => "under-minimum",
            Self::PriceEdge => "price-edge",
            Self::Declined => "declined",
            Self::OutOfStock => "out-of-stock",
            Self::UnknownProduct => "unknown-product",
            Self::SeveralLines => "several-lines",
            Self::Retry => "retry",
            Self::DoubleClick => "double-click",
            Self::KeyReused => "key-reused",
            Self::InvalidBody => "invalid-body",
            Self::Abandoned => "abandoned",
            Self::Reread => "reread",
        }
    }

    /// The story with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|story| story.as_str() == name)
    }
}

/// The prices of [`Story::PriceEdge`], in cents: around nothing, around a dollar, and the largest.
pub const PRICE_EDGES: [i64; 6] = [0, 1, 99, 100, 101, Cents::MAX_PRICE.get()];

/// What a client asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "action",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Action {
    /// `POST /products`
    CreateProduct {
        /// The price of one unit.
        price_cents: Cents,
        /// How many units there are to begin with.
        stock: i64,
    },
    /// `POST /orders`
    Place {
        /// What was ordered.
        items: Vec<Line>,
    },
    /// `POST /orders` with a body that must be refused.
    PlaceBadly {
        /// The body as it was sent.
        body: String,
    },
    /// `GET /orders/{id}`
    Read {
        /// The order.
        order_id: OrderId,
    },
}

/// One client action and how it ended, as the client saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// The story that it is part of.
    pub story: Story,
    /// What was asked for.
    #[serde(flatten)]
    pub action: Action,
    /// The Idempotency-Key that was sent; joins the operation with the order.
    pub key: Option<String>,
    /// When it was meant to start, microseconds since 1970. Latency counts from here.
    pub due_us: i64,
    /// When it did start.
    pub start_us: i64,
    /// When it ended; for an unknown outcome, when the client stopped waiting.
    pub end_us: i64,
    /// How it ended.
    pub outcome: Outcome,
}

impl Operation {
    /// An order that was placed under `key`, at a time that nobody noted.
    pub const fn placed(key: String, items: Vec<Line>, outcome: Outcome) -> Self {
        Self {
            story: Story::Happy,
            action: Action::Place { items },
            key: Some(key),
            due_us: 0,
            start_us: 0,
            end_us: 0,
            outcome,
        }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// A product was created.
    Created {
        /// Which.
        product_id: ProductId,
    },
    /// An order was acknowledged, or read: it exists, and this is what the answer said of it.
    Ok {
        /// Which.
        order_id: OrderId,
        /// Where it stood.
        status: OrderStatus,
        /// Its version.
        version: i64,
    },
    /// Certainly not done. 0: it never left the client.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// May have been done: a time-out, a lost connection, a 5xx after sending.
    Unknown {
        /// What happened instead of an answer.
        why: String,
    },
}
