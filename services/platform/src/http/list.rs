//! Lists: one page as JSON, or everything as NDJSON from one consistent snapshot.
//!
//! Pages go by key inside a snapshot, so an export of any size needs the memory of one page.

use super::{Params, Problem};
use crate::store::{StoreError, Tx};
use crate::{BoxFuture, Context, Error, Result};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::{header, request::Parts};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use uuid::Uuid;

const PAGE: i64 = 50;
const PAGE_MAX: i64 = 1_000;
const NDJSON: &str = "application/x-ndjson";

/// How a client wants a list.
pub struct Listing {
    after: String,
    limit: i64,
    everything: bool,
}

impl Listing {
    /// The key after which the page begins; empty at the start.
    pub fn after(&self) -> &str {
        &self.after
    }

    /// How many items the page may have.
    pub fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or(0)
    }

    /// Whether the client wants NDJSON.
    pub const fn is_ndjson(&self) -> bool {
        self.everything
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageParams {
    after: Option<String>,
    limit: Option<String>,
}

impl FromRequestParts<Context> for Listing {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, Problem> {
        let Params(PageParams { after, limit }) = Params::from_request_parts(parts, ctx).await?;
        let limit = match limit.as_deref().map(str::parse::<i64>) {
            None => PAGE,
            Some(Ok(limit)) if (1..=PAGE_MAX).contains(&limit) => limit,
            Some(_) => {
                return Err(Problem::parameter(
                    "limit",
                    format!("must be between 1 and {PAGE_MAX}"),
                ));
            }
        };
        let after = match after.as_deref() {
            None | Some("") => String::new(),
            Some(text) => key(text)
                .ok_or_else(|| Problem::parameter("after", "must be the `next` of a page"))?,
        };
        let accept = parts
            .headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok());
        Ok(Self {
            after,
            limit,
            everything: accept.is_some_and(|accept| accept.contains(NDJSON)),
        })
    }
}

/// A key as the tables have it: a UUID, or several with `/` between them, in small letters.
fn key(text: &str) -> Option<String> {
    let part = |part| Uuid::try_parse(part).ok().map(|id| id.to_string());
    let parts: Option<Vec<String>> = text.split('/').map(part).collect();
    parts.map(|parts| parts.join("/"))
}

/// Reads up to `n` items after a key, with the key of each.
pub(super) type ReadPage<T> =
    for<'t> fn(&'t dyn Tx, &'t str, i64) -> BoxFuture<'t, Result<Vec<(String, T)>, StoreError>>;

/// One page of a list.
#[derive(Serialize, JsonSchema)]
pub(super) struct Page<T> {
    /// What is on it, in key order.
    pub(super) items: Vec<T>,
    /// Ask for what follows with `?after=` this; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// Answers `listing` with what `read` finds.
pub async fn list<T: Serialize + Send + 'static>(
    ctx: &Context,
    listing: Listing,
    read: ReadPage<T>,
) -> Result<Response> {
    if listing.everything {
        let snapshot = ctx.store().snapshot().await.map_err(|error| match error {
            StoreError::Busy => {
                Error::from(Problem::unavailable("too many exports are being read"))
            }
            error => error.into(),
        })?;
        return Ok(everything(ctx, snapshot, listing.after, read));
    }
    let tx = ctx.store().read().await?;
    let mut found = read(&*tx, &listing.after, listing.limit + 1).await?;
    let more = found.len() > listing.limit();
    found.truncate(listing.limit());
    let next = found.last().filter(|_| more).map(|(key, _)| key.clone());
    let items = found.into_iter().map(|(_, item)| item).collect();
    Ok(axum::Json(Page { items, next }).into_response())
}

/// How long an export may take. A client that does not read would hold a snapshot, and with it the log of the
/// database, for as long as it likes.
const EXPORT_MAX: Duration = Duration::from_secs(60);

fn everything<T: Serialize + Send + 'static>(
    ctx: &Context,
    snapshot: Box<dyn Tx>,
    after: String,
    read: ReadPage<T>,
) -> Response {
    let snapshot = Arc::new(Mutex::new(Some(snapshot)));
    let overdue = Arc::downgrade(&snapshot);
    ctx.spawn("export deadline", async move {
        tokio::time::sleep(EXPORT_MAX).await;
        if let Some(snapshot) = overdue.upgrade() {
            drop(snapshot.lock().await.take());
        }
    });
    let pages = stream::try_unfold(Some((snapshot, after)), move |state| async move {
        let Some((snapshot, after)) = state else {
            return Ok(None);
        };
        let found = match &*snapshot.lock().await {
            Some(tx) => read(&**tx, &after, PAGE_MAX).await?,
            // The client sees a body that breaks off, never one that seems complete.
            None => return Err(Error::NoAnswer),
        };
        let Some(last) = found.last().map(|(key, _)| key.clone()) else {
            return Ok::<_, Error>(None);
        };
        let mut lines = Vec::new();
        for (_, item) in &found {
            serde_json::to_writer(&mut lines, item)?;
            lines.push(b'\n');
        }
        Ok(Some((lines, Some((snapshot, last)))))
    });
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(pages)).into_response()
}
