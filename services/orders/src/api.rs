//! HTTP in: place an order, look at it, wait for it.

use crate::meters::Meters;
use crate::sql::{self, Ended};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::events::OrderCreated;
use contract::http::{Order, OrderAccepted, OrderStatus, PlaceOrder};
use contract::{Bug, LINES, Line, OrderId, Quantity};
use platform::http::{Api, Body, Doc, Id, Listing, Params, Problem, Reply, list};
use platform::idempotency::Key;
use platform::store::Tx;
use platform::waiting::Waiting;
use platform::{Context, Origin, Result, Said, planted};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

const WAIT_MS: u64 = 10_000;
const WAIT_MS_MAX: u64 = 30_000;
/// A replica that did not settle the order itself finds out by looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub(crate) fn routes(ctx: &Context, waiting: &Waiting<Ended>, meters: &Meters) -> Api {
    let (waiting, meters) = (waiting.clone(), meters.clone());
    Api::new(ctx)
        .post(
            "/api/v1/orders",
            move |State(ctx): State<Context>, body: Body<PlaceOrder>| {
                create(ctx, meters.clone(), body)
            },
            Doc::new("Place an order")
                .takes::<PlaceOrder>()
                .keyed()
                .gives::<OrderAccepted>(201, "accepted; settles later"),
        )
        .get(
            "/api/v1/orders",
            all,
            Doc::new("List orders").lists::<Order>(),
        )
        .get(
            "/api/v1/orders/{id}",
            move |State(ctx): State<Context>,
                  Id(id): Id<OrderId>,
                  Params(params): Params<WaitParams>| {
                read(ctx, waiting.clone(), id, params)
            },
            Doc::new("Look at an order, now or when it is settled")
                .query(
                    "wait",
                    "`settled`: answer when the order is settled, or when timeoutMs is over",
                )
                .query(
                    "timeoutMs",
                    "how long to wait, 0 to 30000; 10000 if not given",
                )
                .gives::<Order>(200, "the order as it is")
                .waits(),
        )
}

/// What a `POST /orders` asks for, with what it will be answered.
struct Placed {
    ctx: Context,
    meters: Meters,
    order: Order,
    key: Option<Key>,
    reply: Reply,
}

async fn create(ctx: Context, meters: Meters, body: Body<PlaceOrder>) -> Result<Reply> {
    let items = check(&body.value)?;
    let mut id = OrderId(ctx.new_id());
    if planted!(ctx, Bug::CoarseClock) {
        id = OrderId(Uuid::from_u128(id.0.as_u128() >> 80 << 80));
    }
    let order = Order {
        id,
        status: OrderStatus::Created,
        version: 1,
        items,
        amount_cents: None,
        reason: None,
        created_at_us: ctx.now_us(),
        settled_at_us: None,
        trace_id: body.trace.id(),
        idempotency_key: body.key.as_ref().map(|key| key.key.clone()),
    };
    let accepted = OrderAccepted {
        id: order.id,
        status: order.status,
        version: order.version,
        trace_id: order.trace_id.clone(),
    };
    let reply = Reply::created(format!("/api/v1/orders/{}", order.id), &accepted);
    let placed = Placed {
        ctx: ctx.clone(),
        meters,
        order,
        key: body.key,
        reply,
    };
    ctx.commit(Origin::request(body.trace), placed, |placed, tx, said| {
        Box::pin(place(placed, tx, said))
    })
    .await
}

async fn place(placed: &Placed, tx: &dyn Tx, said: &mut Said) -> Result<Reply> {
    let Placed {
        ctx,
        meters,
        order,
        key,
        reply,
    } = placed;
    let mut earlier = None;
    if !planted!(ctx, Bug::ForgetKeys) {
        earlier = reply.claim(tx, key.as_ref(), order.created_at_us).await?;
    }
    if let Some(earlier) = &earlier
        && !planted!(ctx, Bug::OrderAgain)
    {
        return Ok(earlier.clone());
    }
    if planted!(ctx, Bug::CoarseClock) && sql::exists(tx, order.id).await? {
        return Ok(reply.clone());
    }
    sql::insert(tx, order).await?;
    let mut items = order.items.clone();
    if planted!(ctx, Bug::SayAnotherQuantity) {
        for line in &mut items {
            line.quantity = Quantity::ONE;
        }
    }
    said.push(OrderCreated {
        order_id: order.id,
        items,
        version: order.version,
    });
    let meters = meters.clone();
    said.after_commit(move || meters.started());
    Ok(earlier.unwrap_or_else(|| reply.clone()))
}

/// The lines of an order, if there are neither too many nor too few and each product stands once.
fn check(body: &PlaceOrder) -> Result<Vec<Line>, Problem> {
    if !LINES.contains(&body.items.len()) {
        let message = format!(
            "must have {} to {} lines, got {}",
            LINES.start(),
            LINES.end(),
            body.items.len()
        );
        return Err(Problem::invalid("items", message));
    }
    let mut seen = BTreeSet::new();
    for (index, item) in body.items.iter().enumerate() {
        if !seen.insert(item.product_id) {
            let field = format!("items[{index}].productId");
            return Err(Problem::invalid(
                &field,
                "stands in another line already; order more of it there",
            ));
        }
    }
    let line = |item: &contract::http::OrderItem| Line {
        product_id: item.product_id,
        quantity: item.quantity,
    };
    Ok(body.items.iter().map(line).collect())
}

async fn all(State(ctx): State<Context>, listing: Listing) -> Result<Response> {
    list(&ctx, listing, |tx, after, n| {
        Box::pin(sql::page(tx, after, n))
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WaitParams {
    wait: Option<String>,
    timeout_ms: Option<String>,
}

impl WaitParams {
    /// How long to wait for the settled order; none means not at all.
    fn patience(&self) -> Result<Option<Duration>, Problem> {
        let ms = match self.timeout_ms.as_deref().map(str::parse::<u64>) {
            None => WAIT_MS,
            Some(Ok(ms)) if ms <= WAIT_MS_MAX => ms,
            Some(_) => {
                return Err(Problem::parameter(
                    "timeoutMs",
                    format!("must be between 0 and {WAIT_MS_MAX}"),
                ));
            }
        };
        match self.wait.as_deref() {
            None => Ok(None),
            Some("settled") => Ok(Some(Duration::from_millis(ms))),
            Some(_) => Err(Problem::parameter("wait", "must be `settled`")),
        }
    }
}

async fn read(
    ctx: Context,
    waiting: Waiting<Ended>,
    id: OrderId,
    params: WaitParams,
) -> Result<Response> {
    let Some(patience) = params.patience()? else {
        let mut order = find(&ctx, id).await?;
        if planted!(ctx, Bug::ReadAStaleCopy) {
            order = a_second_ago(order, ctx.now_us());
        }
        return Ok(reply(&order));
    };
    let mut waiter = waiting.for_id(id.0);
    let until = tokio::time::Instant::now() + patience;
    loop {
        let order = find(&ctx, id).await?;
        let now = tokio::time::Instant::now();
        if order.status.is_settled() || now >= until || ctx.is_stopping() {
            return Ok(reply(&order));
        }
        tokio::select! {
            biased;
            ended = waiter.ended() => return Ok(reply(&ended.end_of(order))),
            () = ctx.stopping() => {}
            () = tokio::time::sleep_until(until.min(now + LOOK_AGAIN)) => {}
        }
    }
}

async fn find(ctx: &Context, id: OrderId) -> Result<Order> {
    sql::look(ctx.store(), id)
        .await?
        .ok_or_else(|| Problem::not_found("order", id).into())
}

/// The order as it was a second before `now_us`, if it existed then.
fn a_second_ago(order: Order, now_us: i64) -> Order {
    if order
        .settled_at_us
        .is_none_or(|at_us| at_us <= now_us - 1_000_000)
    {
        return order;
    }
    Order {
        status: OrderStatus::Created,
        version: 1,
        amount_cents: None,
        reason: None,
        settled_at_us: None,
        ..order
    }
}

fn reply(order: &Order) -> Response {
    Reply::json(StatusCode::OK, order).into_response()
}
