//! Ids are UUIDs with a type each, so that an order is never looked up among payments.
//!
//! Order and product ids are UUIDv7. The ids of messages and payments are *derived*: the same cause gives
//! the same id however often it is carried out, which is what makes a repeat visible as a repeat. A derived
//! id is a UUIDv8 that takes its first six bytes (the time) from the order it belongs to, so that the rows
//! of one order lie side by side in every index; purely hashed ids would scatter each batch over all pages.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}

id! {
    /// An order; also the subject and correlation id of everything said about it.
    OrderId
}
id! {
    /// A product.
    ProductId
}
id! {
    /// A payment; also the idempotency key under which the provider is asked to charge it.
    PaymentId
}
id! {
    /// A message, and the event in it.
    MessageId
}

impl PaymentId {
    /// The one payment of an order.
    pub fn of(order: OrderId) -> Self {
        Self(derived(order.0, &[order.0.as_bytes(), b"payment"]))
    }
}

impl MessageId {
    /// The `n`-th message of type `kind` that `cause` brings about, concerning `subject`.
    pub fn caused_by(cause: Uuid, kind: &str, n: u32, subject: Uuid) -> Self {
        Self(derived(
            subject,
            &[cause.as_bytes(), kind.as_bytes(), &n.to_be_bytes()],
        ))
    }
}

/// A UUIDv8: the time of `near`, then a hash of `parts`.
fn derived(near: Uuid, parts: &[&[u8]]) -> Uuid {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, &parts.concat());
    let mut bytes = *hash.as_bytes();
    bytes[..6].copy_from_slice(&near.as_bytes()[..6]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_repeats_with_its_cause_and_sorts_with_its_order() {
        let order = OrderId(Uuid::from_u128(0x0190_0000_0001_7000_8000_0000_0000_0001));
        let cause = Uuid::from_u128(7);
        let first = MessageId::caused_by(cause, "payment.created", 0, order.0);
        assert_eq!(
            first,
            MessageId::caused_by(cause, "payment.created", 0, order.0)
        );
        assert_ne!(
            first,
            MessageId::caused_by(cause, "payment.created", 1, order.0)
        );
        assert_ne!(
            first,
            MessageId::caused_by(cause, "payment.failed", 0, order.0)
        );
        assert_eq!(first.0.as_bytes()[..6], order.0.as_bytes()[..6]);
        assert_eq!(first.0.get_version_num(), 8);
    }
}
