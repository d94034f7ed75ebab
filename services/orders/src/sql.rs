//! Every statement of the orders service.

use contract::http::{Order, OrderStatus};
use contract::{Cents, OrderId, Reason};
use platform::params;
use platform::store::{Edit, Find, Insert, Kind, Result, Row, Store, StoreError, Tx};

const COLUMNS: &str =
    "id, status, version, items, amount_cents, reason, created_at_us, settled_at_us, trace_id,
                       idempotency_key";

/// Whether there is an order with this id.
pub(crate) async fn exists(tx: &dyn Tx, id: OrderId) -> Result<bool> {
    let sql = "select 1 from orders where id = $1";
    Ok(!tx.query(sql, params![id.0]).await?.is_empty())
}

const ORDERS: Insert = Insert {
    table: "orders",
    columns: &[
        ("id", Kind::Text),
        ("status", Kind::Text),
        ("version", Kind::Int),
        ("items", Kind::Text),
        ("created_at_us", Kind::Int),
        ("trace_id", Kind::Text),
        ("idempotency_key", Kind::Text),
    ],
    key: None,
};

/// Stores a new order.
pub(crate) async fn insert(tx: &dyn Tx, order: &Order) -> Result<()> {
    let items = serde_json::to_string(&order.items)
        .map_err(|error| StoreError::Statement(error.to_string()))?;
    let row = params![
        order.id.0,
        order.status.as_str(),
        order.version,
        items,
        order.created_at_us,
        order.trace_id.as_str(),
        order.idempotency_key.as_deref()
    ];
    tx.insert(&ORDERS, row).await.map(drop)
}

/// How an order ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settlement {
    pub(crate) order_id: OrderId,
    pub(crate) status: OrderStatus,
    pub(crate) amount_cents: Cents,
    pub(crate) reason: Option<Reason>,
    pub(crate) at_us: i64,
}

/// An order that is settled, with its version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) settlement: Settlement,
    pub(crate) version: i64,
}

impl Ended {
    /// `order`, which was open, as it is now.
    pub(crate) fn end_of(self, order: Order) -> Order {
        let Settlement {
            order_id: _,
            status,
            amount_cents,
            reason,
            at_us,
        } = self.settlement;
        Order {
            status,
            version: self.version,
            amount_cents: Some(amount_cents),
            reason,
            settled_at_us: Some(at_us),
            ..order
        }
    }
}

const SETTLE: Edit = Edit {
    table: "orders",
    given: &[Kind::Text, Kind::Text, Kind::Int, Kind::Text, Kind::Int],
    set: "status = $2, version = version + 1, amount_cents = $3, reason = $4, settled_at_us = $5",
    key: "id",
    guard: "coalesce(status, '') = 'created'",
    returns: "version, created_at_us",
};

/// Settles an order that is still open; returns its version and when it was created. None: it is not open.
/// Only a planted bug is not `guarded`: it settles the order again.
pub(crate) async fn settle(
    tx: &dyn Tx,
    settlement: Settlement,
    guarded: bool,
) -> Result<Option<(i64, i64)>> {
    let Settlement {
        order_id,
        status,
        amount_cents,
        reason,
        at_us,
    } = settlement;
    let given = params![
        order_id.0,
        status.as_str(),
        amount_cents.get(),
        reason.map(Reason::as_str),
        at_us
    ];
    let rows = tx.edit(&SETTLE.guarded(guarded), given).await?;
    rows.first()
        .map(|row| Ok((row.get(0)?, row.get(1)?)))
        .transpose()
}

/// How many orders are not settled, and when the oldest of them came.
pub(crate) async fn open(tx: &dyn Tx) -> Result<(i64, Option<i64>)> {
    let sql = "select count(*), min(created_at_us) from orders where status = 'created'";
    let rows = tx.query(sql, &[]).await?;
    rows.first()
        .map_or(Ok((0, None)), |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The order with this id.
pub(crate) async fn find(tx: &dyn Tx, id: OrderId) -> Result<Option<Order>> {
    let found = tx.find(&ORDER, &id.to_string()).await?;
    found.as_ref().map(order).transpose()
}

/// The order with this id, as it is just now.
pub(crate) async fn look(store: &dyn Store, id: OrderId) -> Result<Option<Order>> {
    let found = store.find(&ORDER, &id.to_string()).await?;
    found.as_ref().map(order).transpose()
}

const ORDER: Find = Find {
    table: "orders",
    columns: COLUMNS,
    key: "id",
};

/// Orders after the id `after`, in id order.
pub(crate) async fn page(tx: &dyn Tx, after: &str, n: i64) -> Result<Vec<(String, Order)>> {
    let sql = format!("select {COLUMNS} from orders where id > $1 order by id limit $2");
    let rows = tx.query(&sql, params![after, n]).await?;
    rows.iter()
        .map(|row| order(row).map(|order| (order.id.to_string(), order)))
        .collect()
}

fn order(row: &Row) -> Result<Order> {
    Ok(Order {
        id: OrderId(row.get(0)?),
        status: row.parsed(1, OrderStatus::parse)?,
        version: row.get(2)?,
        items: row.parsed(3, |text| serde_json::from_str(text).ok())?,
        amount_cents: row
            .get::<Option<i64>>(4)?
            .map(|_| row.via::<i64, Cents>(4))
            .transpose()?,
        reason: row.parsed_opt(5, Reason::parse)?,
        created_at_us: row.get(6)?,
        settled_at_us: row.get(7)?,
        trace_id: row.get(8)?,
        idempotency_key: row.get(9)?,
    })
}
