//! What the services say to each other and to their clients: events, messages, HTTP bodies, money, ids.
//!
//! Types and their wire form, nothing else: no IO, no clock, no decisions. Whoever reads this crate
//! knows every word that crosses a boundary.
#![deny(missing_docs)]

pub mod events;
pub mod http;
pub mod ids;
pub mod message;
pub mod money;
pub mod planted;

pub use events::{Entity, Event, EventType, Line, Reason, ReservedLine};
pub use ids::{MessageId, OrderId, PaymentId, ProductId};
pub use message::{Malformed, Message};
pub use money::{Cents, Quantity};
pub use planted::Bug;

/// The fewest and the most lines one order may have.
pub const LINES: std::ops::RangeInclusive<usize> = 1..=50;

/// Payments below this many cents fail.
pub const MINIMUM_CENTS: i64 = 100;
