//! The ids of the messages that were applied, in the transaction that applied them.

use crate::params;
use crate::store::{Param, StoreError, Tx};
use contract::MessageId;
use serde::Serialize;

/// Notes a delivery of each of `ids` and tells, for each, whether it is the first.
pub(crate) async fn note(
    tx: &dyn Tx,
    ids: &[MessageId],
    now_us: i64,
) -> Result<Vec<bool>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Vec<Param<'_>>> = ids
        .iter()
        .map(|id| vec![id.0.into(), now_us.into()])
        .collect();
    let inserted = tx
        .execute_many(
            "insert into inbox (message_id, seen, applied_at_us) values ($1, 1, $2) on conflict do nothing",
            &rows,
        )
        .await?;
    let repeats: Vec<Vec<Param<'_>>> = ids
        .iter()
        .zip(&inserted)
        .filter(|(_, inserted)| **inserted == 0)
        .map(|(id, _)| vec![id.0.into()])
        .collect();
    if !repeats.is_empty() {
        tx.execute_many(
            "update inbox set seen = seen + 1 where message_id = $1",
            &repeats,
        )
        .await?;
    }
    Ok(inserted.into_iter().map(|rows| rows == 1).collect())
}

/// A message that was applied, as the export shows it.
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Applied {
    message_id: String,
    seen: i64,
    applied_at_us: i64,
}

/// One page of the inbox after `after`, in id order.
pub(crate) async fn page(
    tx: &dyn Tx,
    after: &str,
    n: i64,
) -> Result<Vec<(String, Applied)>, StoreError> {
    let rows = tx
        .query(
            "select message_id, seen, applied_at_us from inbox where message_id > $1 order by message_id limit $2",
            params![after, n],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let message_id: String = row.get(0)?;
            let applied = Applied {
                message_id: message_id.clone(),
                seen: row.get(1)?,
                applied_at_us: row.get(2)?,
            };
            Ok((message_id, applied))
        })
        .collect()
}
