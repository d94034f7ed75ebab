//! Idempotency-Key: the same key and request give the same reply, however often they are sent.
//!
//! The key is claimed in the transaction of the work itself, before the work. There is no moment in which one
//! is stored without the other, and two requests in flight meet on the primary key.

use crate::store::{Insert, Kind, StoreError, Tx};
use crate::{Result, http::Problem, http::Reply, params};
use uuid::Uuid;

/// A client's key together with what it was sent with.
#[derive(Debug, Clone)]
pub struct Key {
    /// The header's value.
    pub key: String,
    fingerprint: String,
}

impl Key {
    /// `key` for the request `body` to `route`.
    pub fn new(key: String, route: &str, body: &[u8]) -> Self {
        let request = [route.as_bytes(), b"\n", body].concat();
        Self {
            key,
            fingerprint: Uuid::new_v5(&Uuid::NAMESPACE_OID, &request).to_string(),
        }
    }
}

const KEYS: Insert = Insert {
    table: "idempotency_keys",
    columns: &[
        ("key", Kind::Text),
        ("fingerprint", Kind::Text),
        ("status", Kind::Int),
        ("location", Kind::Text),
        ("body", Kind::Text),
        ("created_at_us", Kind::Int),
    ],
    key: Some("key"),
};

/// Claims `key` for `reply`. None: it is ours, go on. Some: the reply that was given before; do nothing.
///
/// # Errors
/// Refused with 422 when the key was used for another request. [`StoreError::Conflict`] while the request that it was
/// used for is on its way in the same transaction, and its reply is not filled in.
pub async fn claim(tx: &dyn Tx, key: &Key, reply: &Reply, now_us: i64) -> Result<Option<Reply>> {
    let Key { key, fingerprint } = key;
    let row = params![
        key,
        fingerprint,
        i64::from(reply.status),
        reply.location.as_deref(),
        reply.body.as_str(),
        now_us
    ];
    if tx.insert(&KEYS, row).await? {
        return Ok(None);
    }
    let rows = tx
        .query(
            "select fingerprint, status, location, body from idempotency_keys where key = $1",
            params![key],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    if row.get::<String>(0)? != *fingerprint {
        return Err(Problem::key_reused().into());
    }
    let body: String = row.get(3)?;
    if body.is_empty() {
        // Only a neighbour in this very transaction can see that. Alone, after it, we get what it was told.
        let open = "the first request with this key is not answered yet";
        return Err(StoreError::Conflict(open.to_owned()).into());
    }
    Ok(Some(Reply {
        status: row.via::<i64, u16>(1)?,
        location: row.get(2)?,
        body,
    }))
}

/// Replaces the reply of a key that was claimed in this transaction.
pub async fn fill(tx: &dyn Tx, key: &Key, reply: &Reply) -> Result<()> {
    tx.execute(
        "update idempotency_keys set body = $2 where key = $1",
        params![key.key.as_str(), reply.body.as_str()],
    )
    .await?;
    Ok(())
}

/// Forgets keys from before `before_us`, some at a time.
pub(crate) async fn forget(tx: &dyn Tx, before_us: i64) -> Result<u64> {
    let forgotten = tx
        .execute(
            "delete from idempotency_keys where key in
             (select key from idempotency_keys where created_at_us < $1 order by created_at_us limit 1000)",
            params![before_us],
        )
        .await?;
    Ok(forgotten)
}
