//! Placing a single order as it was done before there was a history; goes away with its last callers.

use super::ask;
use crate::client::Client;
use crate::evidence::Outcome;
use crate::history;
use contract::Line;

/// An order to send, ready to be sent.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its Idempotency-Key.
    pub key: String,
    /// Its lines.
    pub items: Vec<Line>,
}

/// Places one order and says how it ended.
pub async fn place(client: &Client, order: &Planned) -> Outcome {
    outcome(ask::place(client, &order.key, &order.items).await)
}

/// A new outcome in the old words.
pub(crate) fn outcome(new: history::Outcome) -> Outcome {
    match new {
        history::Outcome::Ok { order_id, .. } => Outcome::Ok(order_id),
        history::Outcome::Refused { status } => Outcome::Refused(status),
        history::Outcome::Unknown { why } => Outcome::Unknown(why),
        history::Outcome::Created { product_id } => {
            Outcome::Unknown(format!("a product, {product_id}, instead of an order"))
        }
    }
}
