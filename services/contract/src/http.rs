//! The bodies of the HTTP API: what clients send, what they get, and the rows of the exports.
//!
//! Requests refuse fields that they do not know: a misspelled field is a mistake, not an extension.

use crate::{Cents, Line, OrderId, PaymentId, ProductId, Quantity, Reason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST /orders`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlaceOrder {
    /// What is ordered: 1 to 50 lines, each product once.
    #[schemars(length(min = 1, max = 50))]
    pub items: Vec<OrderItem>,
}

/// One line of [`PlaceOrder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderItem {
    /// The product.
    pub product_id: ProductId,
    /// How many units of it.
    pub quantity: Quantity,
}

/// The answer to `POST /orders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderAccepted {
    /// The new order.
    pub id: OrderId,
    /// `created`.
    pub status: OrderStatus,
    /// 1.
    pub version: i64,
    /// The trace in which the order can be followed.
    pub trace_id: String,
}

macro_rules! status {
    ($(#[$doc:meta])* $name:ident { $( $(#[$variant_doc:meta])* $variant:ident = $wire:literal, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $( $(#[$variant_doc])* #[serde(rename = $wire)] $variant, )* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The form on the wire and in the tables.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $wire, )* }
            }

            /// The status with this wire form.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $( $wire => Some(Self::$variant), )* _ => None }
            }
        }
    };
}

status! {
    /// Where an order stands.
    OrderStatus {
        /// Accepted, not settled.
        Created = "created",
        /// Settled: paid and sold.
        Finished = "finished",
        /// Settled: nothing was sold.
        Canceled = "canceled",
    }
}
status! {
    /// Where a reservation line stands.
    ReservationStatus {
        /// Taken from the stock, not sold yet.
        Created = "created",
        /// Sold.
        Consumed = "consumed",
        /// Given back to the stock.
        Canceled = "canceled",
    }
}
status! {
    /// Where a payment stands.
    PaymentStatus {
        /// Waits to be charged.
        Created = "created",
        /// Charged.
        Processed = "processed",
        /// Not charged, and never will be.
        Failed = "failed",
    }
}
status! {
    /// What the provider answered.
    ChargeOutcome {
        /// The money was taken.
        Charged = "charged",
        /// The money was not taken.
        Declined = "declined",
    }
}

impl OrderStatus {
    /// Whether the order has come to its end.
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Created)
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Where it stands.
    pub status: OrderStatus,
    /// Counts the changes, 1 for the first.
    pub version: i64,
    /// What was ordered.
    pub items: Vec<Line>,
    /// What it comes to; known when it is settled.
    pub amount_cents: Option<Cents>,
    /// Why it was canceled.
    pub reason: Option<Reason>,
    /// When it was accepted, microseconds since 1970.
    pub created_at_us: i64,
    /// When it settled, microseconds since 1970.
    pub settled_at_us: Option<i64>,
    /// The trace in which it can be followed.
    pub trace_id: String,
    /// The client's Idempotency-Key, if it sent one.
    pub idempotency_key: Option<String>,
}

/// `POST /products`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateProduct {
    /// 1 to 200 characters.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The price of one unit, 0 to 10^12 cents.
    #[schemars(range(min = 0, max = 1_000_000_000_000_i64))]
    pub price_cents: Cents,
    /// How many units there are to begin with, 0 to 10^9.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub stock: i64,
}

/// `POST /products/{id}/restock`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restock {
    /// How many units to add, 1 to 10^9.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub quantity: i64,
}

/// The most units that one request may bring, and that a product may start with.
pub const STOCK_MAX: i64 = 1_000_000_000;

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its name.
    pub name: String,
    /// The price of one unit.
    pub price_cents: Cents,
    /// How many units can be reserved now.
    pub available: i64,
    /// How many units ever came in: the first stock and all restocks.
    pub received: i64,
    /// Counts the changes, 1 for the first.
    pub version: i64,
}

/// One line of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The order it was made for.
    pub order_id: OrderId,
    /// The product.
    pub product_id: ProductId,
    /// How many units.
    pub quantity: Quantity,
    /// The price of one unit, fixed when the reservation was made.
    pub unit_price_cents: Cents,
    /// Where it stands.
    pub status: ReservationStatus,
    /// Counts the changes, 1 for the first.
    pub version: i64,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// The order it pays.
    pub order_id: OrderId,
    /// How much.
    pub amount_cents: Cents,
    /// Where it stands.
    pub status: PaymentStatus,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// Counts the changes, 1 for the first.
    pub version: i64,
}

/// `POST /charges` of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChargeRequest {
    /// The payment; also the idempotency key: asked twice, charged once.
    pub payment_id: PaymentId,
    /// The order, for the ledger.
    pub order_id: OrderId,
    /// How much.
    pub amount_cents: Cents,
}

/// A line of the provider's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    /// The idempotency key that it was asked under.
    pub key: String,
    /// The payment.
    pub payment_id: PaymentId,
    /// The order.
    pub order_id: OrderId,
    /// How much.
    pub amount_cents: Cents,
    /// What was answered.
    pub outcome: ChargeOutcome,
    /// When, microseconds since 1970.
    pub at_us: i64,
}
