//! Every event of the shop as one enum. Adding a variant must not compile until each service has an answer.
//!
//! An event carries what its hearers need (lines, prices, amount, reason), so nobody calls back, and the
//! version of the entity it changed, so that a gap in a log is visible.

use crate::{Cents, Malformed, OrderId, PaymentId, ProductId, Quantity};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why an order was canceled.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A line asked for more than was available.
    OutOfStock,
    /// A line named a product that does not exist.
    UnknownProduct,
    /// The order's amount is above [`Cents::MAX`].
    AmountTooLarge,
    /// The payment is below [`crate::MINIMUM_CENTS`].
    UnderMinimum,
    /// The payment provider said no.
    Declined,
}

impl Reason {
    /// All reasons, in the order of the saga.
    pub const ALL: [Self; 5] = [
        Self::OutOfStock,
        Self::UnknownProduct,
        Self::AmountTooLarge,
        Self::UnderMinimum,
        Self::Declined,
    ];

    /// The wire form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out_of_stock",
            Self::UnknownProduct => "unknown_product",
            Self::AmountTooLarge => "amount_too_large",
            Self::UnderMinimum => "under_minimum",
            Self::Declined => "declined",
        }
    }

    /// The reason with this wire form.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// One line of an order: a product and how many of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The product asked for.
    pub product_id: ProductId,
    /// How many units of it.
    pub quantity: Quantity,
}

/// One line of a reservation, with the product's stock right after the step that the event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservedLine {
    /// The product.
    pub product_id: ProductId,
    /// How many units were taken or given back.
    pub quantity: Quantity,
    /// The price of one unit, fixed by the reservation.
    pub unit_price_cents: Cents,
    /// The product's stock after the step.
    pub available_after: i64,
    /// The product's version after the step.
    pub product_version: i64,
}

/// What an event changed: ordered by `version` within (`kind`, `id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entity {
    /// `order`, `reservation`, `payment` or `product`.
    pub kind: &'static str,
    /// The entity's id; a reservation has its order's.
    pub id: Uuid,
    /// Its version after the event, 1 for the first. 0: refused, nothing came to exist.
    pub version: i64,
}

/// Declares the events: their structs, the enum over them, their types on the wire and their entities.
macro_rules! events {
    ($( $(#[$doc:meta])* $name:ident = $wire:literal, $kind:literal of $id:ident, about $subject:ident {
        $( $(#[$field_doc:meta])* $field:ident: $type:ty, )*
    } )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase")]
            pub struct $name {
                $( $(#[$field_doc])* pub $field: $type, )*
                /// The version of the entity that this event made.
                pub version: i64,
            }

            impl From<$name> for Event {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*

        /// A fact that one service says and others may hear.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Event {
            $( $(#[$doc])* $name($name), )*
        }

        /// The type of an event, as it stands on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventType {
            $( #[doc = concat!("`", $wire, "`")] $name, )*
        }

        impl EventType {
            /// Every event type, in the order of the saga.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// The wire form, such as `order.created`.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$name => $wire, )* }
            }

            /// The type with this wire form.
            pub fn parse(wire: &str) -> Option<Self> {
                match wire { $( $wire => Some(Self::$name), )* _ => None }
            }

            /// What a trace calls the id of the thing that such an event is about.
            pub const fn subject_key(self) -> &'static str {
                match self {
                    Self::ProductCreated | Self::ProductRestocked => "product.id",
                    _ => "order.id",
                }
            }
        }

        impl Event {
            /// The type of this event.
            pub const fn kind(&self) -> EventType {
                match self { $( Self::$name(_) => EventType::$name, )* }
            }

            /// What the event changed.
            pub const fn entity(&self) -> Entity {
                match self { $( Self::$name(e) => Entity { kind: $kind, id: e.$id.0, version: e.version }, )* }
            }

            /// The order that the event belongs to; for product events, the product.
            pub const fn subject(&self) -> Uuid {
                match self { $( Self::$name(e) => e.$subject.0, )* }
            }

            /// The event of type `kind` with the JSON `data`. Fields that this version does not know are ignored.
            ///
            /// # Errors
            /// [`Malformed`] when a field is missing or is not what its type allows.
            pub fn parse(kind: EventType, data: &str) -> Result<Self, Malformed> {
                match kind {
                    $( EventType::$name => serde_json::from_str(data).map(Self::$name), )*
                }
                .map_err(|source| Malformed::Data { kind, source })
            }

            /// The event's data as JSON, without its envelope.
            pub fn data(&self) -> String {
                match self { $( Self::$name(e) => serde_json::to_string(e), )* }
                    .expect("events hold only strings, integers and lists of them")
            }
        }
    };
}

events! {
    /// A client's order was accepted; nothing is reserved yet.
    OrderCreated = "order.created", "order" of order_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// What was ordered, each product once.
        items: Vec<Line>,
    }
    /// All lines are reserved and their prices are fixed.
    ReservationCreated = "reservation.created", "reservation" of order_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// What was taken from the stock.
        lines: Vec<ReservedLine>,
        /// The sum of all lines.
        amount_cents: Cents,
    }
    /// Not one line was reserved, because at least one could not be.
    ReservationFailed = "reservation.failed", "reservation" of order_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// Why.
        reason: Reason,
    }
    /// A payment for the whole order exists and waits to be charged.
    PaymentCreated = "payment.created", "payment" of payment_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// The payment.
        payment_id: PaymentId,
        /// What will be charged.
        amount_cents: Cents,
    }
    /// The payment was charged.
    PaymentProcessed = "payment.processed", "payment" of payment_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// The payment.
        payment_id: PaymentId,
        /// What was charged.
        amount_cents: Cents,
    }
    /// The payment was not charged and never will be.
    PaymentFailed = "payment.failed", "payment" of payment_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// The payment.
        payment_id: PaymentId,
        /// What would have been charged.
        amount_cents: Cents,
        /// Why.
        reason: Reason,
    }
    /// The reserved stock is sold.
    ReservationConsumed = "reservation.consumed", "reservation" of order_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// The sum of all lines.
        amount_cents: Cents,
    }
    /// The reserved stock was given back.
    ReservationCanceled = "reservation.canceled", "reservation" of order_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// What went back to the stock.
        lines: Vec<ReservedLine>,
        /// The sum of all lines.
        amount_cents: Cents,
        /// Why.
        reason: Reason,
    }
    /// The order settled well.
    OrderFinished = "order.finished", "order" of order_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// What the client paid.
        amount_cents: Cents,
    }
    /// The order settled without a sale.
    OrderCanceled = "order.canceled", "order" of order_id, about order_id {
        /// The order.
        order_id: OrderId,
        /// What the client would have paid; 0 when nothing was reserved.
        amount_cents: Cents,
        /// Why.
        reason: Reason,
    }
    /// A product exists.
    ProductCreated = "product.created", "product" of product_id, about product_id {
        /// The product.
        product_id: ProductId,
        /// Its name.
        name: String,
        /// The price of one unit.
        price_cents: Cents,
        /// How many units there are to begin with.
        stock: i64,
    }
    /// Units were added to a product's stock.
    ProductRestocked = "product.restocked", "product" of product_id, about product_id {
        /// The product.
        product_id: ProductId,
        /// How many units were added.
        quantity: i64,
        /// The stock after the step.
        available_after: i64,
    }
}
