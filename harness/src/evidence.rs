//! What the checks look at: the clients' history and a snapshot of each table at rest.

use contract::http::{Charge, Order, Payment, Product, Reservation};
use contract::{Line, OrderId};
use serde::de::DeserializeOwned;
use std::future::Future;

/// One client action and how it ended, as the client saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The Idempotency-Key that was sent; joins the operation with the order.
    pub key: String,
    /// What was ordered.
    pub items: Vec<Line>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged: this order exists from now on.
    Ok(OrderId),
    /// Certainly not done.
    Refused(u16),
    /// May have been done: a time-out, a lost connection, a 5xx after sending.
    Unknown(String),
}

/// A source that could not be read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// A source: what it holds, or why nobody knows.
pub type Source<T> = Result<Vec<T>, Unreadable>;

/// Everything that a run leaves for the checks.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What the clients did and saw.
    pub history: Source<Operation>,
    /// The table of orders.
    pub orders: Source<Order>,
    /// The table of products.
    pub products: Source<Product>,
    /// The table of reservation lines.
    pub reservations: Source<Reservation>,
    /// The table of payments.
    pub payments: Source<Payment>,
    /// The provider's ledger.
    pub charges: Source<Charge>,
}

/// Reads a table of `service` at `path` as NDJSON; `read` makes the request.
async fn table<T, F, A>(read: &F, service: &'static str, path: &'static str) -> Source<T>
where
    T: DeserializeOwned,
    F: Fn(&'static str, &'static str) -> A,
    A: Future<Output = Result<String, String>>,
{
    let unreadable = |why: String| Unreadable(format!("{service}{path}: {why}"));
    let text = read(service, path).await.map_err(unreadable)?;
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let row = serde_json::from_str(line)
            .map_err(|error| unreadable(format!("line {}: {error}", number + 1)))?;
        rows.push(row);
    }
    Ok(rows)
}

impl Evidence {
    /// Reads all tables; `read` answers a service's path with the NDJSON text there.
    pub async fn collect<F, A>(history: Source<Operation>, read: F) -> Self
    where
        F: Fn(&'static str, &'static str) -> A,
        A: Future<Output = Result<String, String>>,
    {
        Self {
            history,
            orders: table(&read, "orders", "/api/v1/orders").await,
            products: table(&read, "products", "/api/v1/products").await,
            reservations: table(&read, "products", "/api/v1/reservations").await,
            payments: table(&read, "payments", "/api/v1/payments").await,
            charges: table(&read, "provider", "/api/v1/charges").await,
        }
    }
}
