//! The endpoints that every service has: health, metrics, and everything a checker wants to see.

use super::{Api, Doc, Id, Listing, Params, Problem, list, list::Page};
use crate::broker::{BrokerError, DeadBody, DeadLetter, Depth, Tapped};
use crate::{Context, Result, Service, inbox, log, metrics::seconds};
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use contract::MessageId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn add(api: Api) -> Api {
    api.get(
        "/health",
        health,
        Doc::new("Whether the process is alive").answers(200, "alive"),
    )
    .get(
        "/ready",
        ready,
        Doc::new("Whether the service can do its work").gives::<Readiness>(200, "ready"),
    )
    .get(
        "/metrics",
        metrics,
        Doc::new("Metrics in Prometheus' text format, or that of OpenMetrics with examples when it is accepted").answers(200, "metrics"),
    )
    .get(
        "/api/v1/events",
        events,
        Doc::new("The event log, by id: the orders in the order of their creation")
            .lists::<log::LoggedEvent>(),
    )
    .get(
        "/api/v1/inbox",
        inbox,
        Doc::new("The messages that were applied").lists::<inbox::Applied>(),
    )
    .get(
        "/api/v1/queues",
        queues,
        Doc::new("How full this service's queue is").gives::<QueueView>(200, "counts"),
    )
    .get(
        "/api/v1/tap",
        tap,
        Doc::new("What was on the exchange, one CloudEvents message with its place a line")
            .query("after", "the place after which to begin; 0 if not given")
            .query(
                "limit",
                "at most this many messages, 1 to 10000; 1000 if not given",
            )
            .answers(200, "application/x-ndjson"),
    )
    .get(
        "/api/v1/dead-letters",
        dead_letters,
        Doc::new("Messages that were given up; at most 10000 in one answer")
            .lists::<DeadLetterView>(),
    )
    .post(
        "/api/v1/dead-letters/{id}/replay",
        replay,
        Doc::new("Give a message all its chances again").answers(204, "it is in the queue"),
    )
    .delete(
        "/api/v1/dead-letters/{id}",
        discard,
        Doc::new("Remove a message for good").answers(204, "it is gone"),
    )
}

async fn health() -> &'static str {
    "alive\n"
}

#[derive(Serialize, JsonSchema)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each thing that a service needs"
)]
struct Readiness {
    ready: bool,
    consuming: bool,
    publishing: bool,
    store: bool,
    loops: bool,
    stopping: bool,
    /// What is not as it should be, in words.
    missing: Vec<&'static str>,
}

/// A database that takes longer than this for a glance is not there.
const GLANCE_MAX: Duration = Duration::from_secs(2);

async fn ready(State(ctx): State<Context>) -> Response {
    let consuming = ctx.metrics().consuming.get() == 1;
    let publishing = ctx.metrics().publishing.get() == 1;
    let glance = tokio::time::timeout(GLANCE_MAX, log::pending(ctx.store())).await;
    let store = matches!(glance, Ok(Ok(_)));
    let stopping = ctx.is_stopping();
    let loops = ctx.metrics().loops_ended.get() == 0;
    let missing: Vec<&'static str> = [
        (store, "the database does not answer"),
        (
            consuming,
            "the queue cannot be consumed: the broker is not there",
        ),
        (
            publishing,
            "nothing can be published: the broker is not there",
        ),
        (loops, "a loop of the service has ended"),
        (!stopping, "the service is stopping"),
    ]
    .into_iter()
    .filter_map(|(is_so, otherwise)| (!is_so).then_some(otherwise))
    .collect();
    let ready = missing.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        axum::Json(Readiness {
            ready,
            consuming,
            publishing,
            store,
            loops,
            stopping,
            missing,
        }),
    )
        .into_response()
}

/// What Prometheus asks for when it can take examples.
const OPEN_METRICS: &str = "application/openmetrics-text";

async fn metrics(
    State(ctx): State<Context>,
    Extension(service): Extension<Arc<dyn Service>>,
    headers: HeaderMap,
) -> Response {
    // Who watches an outage must see it: without the database everything else is told all the same.
    let asked = tokio::time::timeout(MEASURE_MAX, measure(&ctx, &*service));
    let depth = tokio::time::timeout(MEASURE_MAX, ctx.broker().depth(ctx.service()));
    let (asked, depth) = tokio::join!(asked, depth);
    let is_up = matches!(asked, Ok(Ok(())));
    ctx.metrics().store_up.set(i64::from(is_up));
    if let Ok(Ok(depth)) = depth {
        ctx.metrics().show_queue(&depth);
    }
    ctx.metrics().show_connections(&ctx.store().connections());
    let accepted = headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|accepted| accepted.to_str().ok());
    let (kind, text) = if accepted.any(|accepted| accepted.contains(OPEN_METRICS)) {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        (kind, ctx.metrics().open_metrics())
    } else {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        (kind, ctx.metrics().text())
    };
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// How long the database may take to tell what it knows: who asks for metrics has little patience.
const MEASURE_MAX: Duration = Duration::from_secs(1);

/// Reads what only the database knows.
async fn measure(ctx: &Context, service: &dyn Service) -> Result<()> {
    service.measure(ctx).await?;
    let (pending, oldest_us) = log::pending(ctx.store()).await?;
    ctx.metrics().outbox_pending.set(pending);
    let age_us = oldest_us.map_or(0, |oldest| (ctx.now_us() - oldest).max(0));
    ctx.metrics().outbox_oldest.set(seconds(age_us));
    Ok(())
}

async fn events(State(ctx): State<Context>, listing: Listing) -> Result<Response> {
    list(&ctx, listing, |tx, after, n| {
        Box::pin(log::page(tx, after, n))
    })
    .await
}

async fn inbox(State(ctx): State<Context>, listing: Listing) -> Result<Response> {
    list(&ctx, listing, |tx, after, n| {
        Box::pin(inbox::page(tx, after, n))
    })
    .await
}

/// What still has to move before a service is at rest.
#[derive(Serialize, JsonSchema)]
struct QueueView {
    queue: &'static str,
    #[serde(flatten)]
    depth: Depth,
    /// Events that are said but not published.
    unpublished: i64,
}

async fn queues(State(ctx): State<Context>) -> Result<Response> {
    let depth = match ctx.broker().depth(ctx.service()).await {
        // A service that hears nothing has no queue.
        Err(BrokerError::NoQueue(_)) => Depth::default(),
        other => other.map_err(unavailable)?,
    };
    let (unpublished, _) = log::pending(ctx.store()).await?;
    Ok(axum::Json(QueueView {
        queue: ctx.service(),
        depth,
        unpublished,
    })
    .into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TapParams {
    after: Option<String>,
    limit: Option<String>,
}

async fn tap(State(ctx): State<Context>, Params(params): Params<TapParams>) -> Result<Response> {
    let number =
        |name: &str, text: Option<String>, default: i64, range: std::ops::RangeInclusive<i64>| {
            let parsed = text.map_or(Some(default), |text| text.parse().ok());
            parsed.filter(|n| range.contains(n)).ok_or_else(|| {
                Problem::parameter(
                    name,
                    format!("must be between {} and {}", range.start(), range.end()),
                )
            })
        };
    let after = number("after", params.after, 0, 0..=i64::MAX)?;
    let limit = number("limit", params.limit, 1_000, 1..=10_000)?;
    let tapped = ctx
        .broker()
        .tap(after, usize::try_from(limit).unwrap_or(0))
        .await
        .map_err(unavailable)?;
    let mut lines = Vec::new();
    for Tapped { seq, json } in &tapped {
        lines.extend_from_slice(format!("{{\"seq\":{seq},\"message\":{json}}}\n").as_bytes());
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response())
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DeadLetterView {
    queue: &'static str,
    id: String,
    reason: String,
    attempts: u32,
    dead_at_us: i64,
    #[schemars(with = "serde_json::Value")]
    message: Box<RawValue>,
}

/// The most dead letters in one answer.
const DEAD_LETTERS_MAX: usize = 10_000;

async fn dead_letters(State(ctx): State<Context>, listing: Listing) -> Result<Response> {
    let after = match listing.after() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| Problem::parameter("after", "must be a UUID"))?,
        ),
    };
    // As NDJSON all of it is wanted; the dead queue is small or something is very wrong.
    let limit = if listing.is_ndjson() {
        DEAD_LETTERS_MAX
    } else {
        listing.limit()
    };
    let found = match ctx
        .broker()
        .dead_letters(ctx.service(), after, limit + 1)
        .await
    {
        Err(BrokerError::NoQueue(_)) => Vec::new(),
        other => other.map_err(unavailable)?,
    };
    let more = found.len() > limit;
    let items = found
        .into_iter()
        .take(limit)
        .map(|letter| view(ctx.service(), letter))
        .collect::<Result<Vec<_>>>()?;
    if listing.is_ndjson() {
        let mut lines = Vec::new();
        for item in &items {
            lines.extend(serde_json::to_vec(item).unwrap_or_default());
            lines.push(b'\n');
        }
        return Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response());
    }
    let next = items.last().filter(|_| more).map(|item| item.id.clone());
    Ok(axum::Json(Page { items, next }).into_response())
}

fn view(queue: &'static str, letter: DeadLetter) -> Result<DeadLetterView> {
    let json = match letter.body {
        DeadBody::Message(message) => RawValue::from_string(message.to_json()?)?,
        // JSON that is no message is shown as it is, and anything else as text.
        DeadBody::Unreadable(text) => match serde_json::from_str(&text) {
            Ok(json) => json,
            Err(_) => serde_json::value::to_raw_value(&text)?,
        },
    };
    Ok(DeadLetterView {
        queue,
        id: letter.id.to_string(),
        reason: letter.reason,
        attempts: letter.attempts,
        dead_at_us: letter.at_us,
        message: json,
    })
}

async fn replay(State(ctx): State<Context>, Id(id): Id<MessageId>) -> Result<StatusCode> {
    answer(ctx.broker().replay(ctx.service(), id).await, id)
}

async fn discard(State(ctx): State<Context>, Id(id): Id<MessageId>) -> Result<StatusCode> {
    answer(ctx.broker().discard(ctx.service(), id).await, id)
}

fn answer(found: Result<bool, BrokerError>, id: MessageId) -> Result<StatusCode> {
    match found {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) | Err(BrokerError::NoQueue(_)) => {
            Err(Problem::not_found("dead letter", id).into())
        }
        Err(error) => Err(error.into()),
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "used as a function in map_err"
)]
fn unavailable(error: BrokerError) -> Problem {
    Problem::unavailable(error.to_string())
}
