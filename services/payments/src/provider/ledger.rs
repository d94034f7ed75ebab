//! Every statement of the provider's ledger.

use contract::http::{Charge, ChargeOutcome};
use contract::{Cents, OrderId, PaymentId};
use platform::params;
use platform::store::{Result, Row, Tx};

const COLUMNS: &str = "key, payment_id, order_id, amount_cents, outcome, at_us";

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
    let inserted = tx
        .execute(
            "insert into charges (key, payment_id, order_id, amount_cents, outcome, at_us)
             values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
            params![
                key,
                payment_id.0,
                order_id.0,
                amount_cents.get(),
                outcome.as_str(),
                *at_us
            ],
        )
        .await?;
    Ok(inserted == 1)
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
