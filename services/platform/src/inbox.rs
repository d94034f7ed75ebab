//! The ids of the messages that were applied, in the transaction that applied them.

use crate::params;
use crate::store::{Change, Insert, Kind, Param, StoreError, Tx};
use contract::MessageId;
use serde::Serialize;
use std::collections::BTreeMap;

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
        .map(|id| vec![id.0.into(), 1.into(), now_us.into()])
        .collect();
    let fresh = tx.insert_many(&NOTED, &rows).await?;
    let mut repeats: BTreeMap<MessageId, i64> = BTreeMap::new();
    for (id, _) in ids.iter().zip(&fresh).filter(|(_, fresh)| !**fresh) {
        *repeats.entry(*id).or_default() += 1;
    }
    // Nearly always each of them once, and a single round.
    let mut by_times: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (id, times) in repeats {
        by_times.entry(times).or_default().push(id.0.to_string());
    }
    for (times, ids) in by_times {
        tx.update_many(&SEEN, params![times], &ids).await?;
    }
    Ok(fresh)
}

const NOTED: Insert = Insert {
    table: "inbox",
    columns: &[
        ("message_id", Kind::Text),
        ("seen", Kind::Int),
        ("applied_at_us", Kind::Int),
    ],
    key: Some("message_id"),
};

const SEEN: Change = Change {
    table: "inbox",
    set: "seen = seen + $1",
    key: "message_id",
};

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
