//! Every statement of the provider's ledger.

use contract::http::{Charge, ChargeOutcome};
use contract::{Cents, OrderId, PaymentId};
use platform::params;
use platform::store::{Insert, Kind, Result, Row, Tx};

const COLUMNS: &str = "key, payment_id, order_id, amount_cents, outcome, at_us";

const CHARGES: Insert = Insert {
    table: "charges",
    columns: &[
        ("key", Kind::Text),
        ("payment_id", Kind::Text),
        ("order_id", Kind::Text),
        ("amount_cents", Kind::Int),
        ("outcome", Kind::Text),
        ("at_us", Kind::Int),
    ],
    key: Some("key"),
};

/// Writes `charge` into the ledger. False: there is one under its key.
pub(super) async fn insert(tx: &dyn Tx, charge: &Charge) -> Result<bool> {
    let Charge {
        key,
        payment_id,
        order_id,
        amount_cents,
        outcome,
        at_us,
    } = charge;
    let row = params![
        key,
        payment_id.0,
        order_id.0,
        amount_cents.get(),
        outcome.as_str(),
        *at_us
    ];
    tx.insert(&CHARGES, row).await
}

/// The charge under this key.
pub(super) async fn find(tx: &dyn Tx, key: &str) -> Result<Option<Charge>> {
    let rows = tx
        .query(
            &format!("select {COLUMNS} from charges where key = $1"),
            params![key],
        )
        .await?;
    rows.first().map(charge).transpose()
}

/// Charges after the key `after`, in key order.
pub(super) async fn page(tx: &dyn Tx, after: &str, n: i64) -> Result<Vec<(String, Charge)>> {
    let sql = format!("select {COLUMNS} from charges where key > $1 order by key limit $2");
    let rows = tx.query(&sql, params![after, n]).await?;
    rows.iter()
        .map(|row| charge(row).map(|charge| (charge.key.clone(), charge)))
        .collect()
}

fn charge(row: &Row) -> Result<Charge> {
    Ok(Charge {
        key: row.get(0)?,
        payment_id: PaymentId(row.get(1)?),
        order_id: OrderId(row.get(2)?),
        amount_cents: row.via::<i64, Cents>(3)?,
        outcome: row.parsed(4, ChargeOutcome::parse)?,
        at_us: row.get(5)?,
    })
}
