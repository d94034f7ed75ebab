//! The story of orders alone: whoever tells it plays the clients, products and payments.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use contract::events::{
    OrderCanceled, OrderCreated, OrderFinished, ReservationCanceled, ReservationConsumed,
    ReservationFailed,
};
use contract::http::{Order, OrderAccepted, OrderStatus};
use contract::{Cents, Event, EventType, Line, OrderId, ProductId, Quantity, Reason};
use futures_util::future::join_all;
use orders::{NAME, Orders, order};
use platform::fault::Doom;
use platform::stage::{Stage, reacts, trace_id};
use platform::world::{Mischief, World};
use platform::{Context, Illegal, Service, Settings};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

platform::stories! {
    on_both {
        an_accepted_order_is_said_once_in_the_trace_of_its_request,
        a_consumed_reservation_finishes_the_order,
        a_canceled_reservation_cancels_the_order_for_its_reason,
        a_failed_reservation_cancels_the_order_for_nothing,
        who_waits_for_an_order_is_told_as_soon_as_it_settles,
        a_message_that_comes_twice_settles_the_order_once,
        an_impossible_event_is_given_up_by_name_and_holds_nobody_up,
        a_settled_order_stays_as_it_is,
        a_dead_letter_can_be_replayed_and_discarded,
        an_order_that_the_database_did_not_take_is_refused_and_one_that_it_may_have_is_not,
    }
    in_virtual_time_only {
        orders_hears_exactly_what_it_reacts_to: "it asks the service itself, on a store of its own",
    }
}

const NOBODY: OrderId = OrderId(Uuid::from_u128(404));
const RECORD: ProductId = ProductId(Uuid::from_u128(33));

async fn open() -> Stage {
    let world = World::new(1, vec![NAME], Settings::default());
    let make = Box::new(|ctx: &Context| -> Arc<dyn Service> { Orders::new(ctx) });
    world.add(NAME, Mischief::default(), make).await;
    Stage::new(world, NAME)
}

async fn place(stage: &Stage) -> OrderAccepted {
    let body = json!({ "items": [{ "productId": RECORD, "quantity": 3 }] });
    let answer = stage.ask(Method::POST, "/api/v1/orders", Some(body)).await;
    let (status, body) = answer.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{body}");
    serde_json::from_value(body).unwrap()
}

async fn look(stage: &Stage, id: OrderId) -> Order {
    let path = format!("/api/v1/orders/{id}");
    let (_, body) = stage.ask(Method::GET, &path, None).await.unwrap();
    serde_json::from_value(body).unwrap()
}

fn cents(cents: i64) -> Cents {
    cents.try_into().unwrap()
}

fn consumed(order_id: OrderId) -> ReservationConsumed {
    ReservationConsumed {
        order_id,
        amount_cents: cents(4_497),
        version: 2,
    }
}

fn canceled(order_id: OrderId, reason: Reason) -> ReservationCanceled {
    ReservationCanceled {
        order_id,
        lines: Vec::new(),
        amount_cents: cents(4_497),
        reason,
        version: 2,
    }
}

/// An event of this type: all fields that there are, of which each type takes its own.
fn sample(kind: EventType) -> Event {
    let id = Uuid::from_u128(7);
    let data = json!({
        "orderId": id, "paymentId": id, "productId": id, "items": [], "lines": [], "amountCents": 100,
        "priceCents": 1, "reason": "declined", "name": "a record", "stock": 1, "quantity": 1,
        "availableAfter": 1, "version": 1,
    });
    Event::parse(kind, &data.to_string()).unwrap()
}

#[test]
fn an_order_takes_the_four_steps_of_the_saga_and_no_other() {
    let steps = [
        (None, EventType::OrderCreated, OrderStatus::Created),
        (
            Some(OrderStatus::Created),
            EventType::ReservationConsumed,
            OrderStatus::Finished,
        ),
        (
            Some(OrderStatus::Created),
            EventType::ReservationFailed,
            OrderStatus::Canceled,
        ),
        (
            Some(OrderStatus::Created),
            EventType::ReservationCanceled,
            OrderStatus::Canceled,
        ),
    ];
    let there = OrderStatus::ALL.iter().copied().map(Some);
    for state in std::iter::once(None).chain(there) {
        for &kind in EventType::ALL {
            let step = steps
                .iter()
                .find(|(from, event, _)| (*from, *event) == (state, kind));
            let found = order::next(state, &sample(kind));
            if let Some((_, _, to)) = step {
                assert_eq!(found, Ok(*to), "{state:?} {kind:?}");
                continue;
            }
            let state = state.map_or("not there", OrderStatus::as_str);
            let expected = format!("an order that is {state} cannot take {}", kind.as_str());
            let illegal: Illegal = found.unwrap_err();
            assert_eq!(illegal.to_string(), expected);
        }
    }
}

async fn orders_hears_exactly_what_it_reacts_to() {
    let world = World::new(1, vec![NAME], Settings::default());
    let make = Box::new(|ctx: &Context| -> Arc<dyn Service> { Orders::new(ctx) });
    let orders = Orders::new(&world.add(NAME, Mischief::default(), make).await);
    for &kind in EventType::ALL {
        let does = reacts(&*orders, sample(kind)).await;
        assert_eq!(orders.hears(kind), does, "{kind:?}");
    }
}

async fn an_accepted_order_is_said_once_in_the_trace_of_its_request() {
    let stage = open().await;
    let accepted = place(&stage).await;
    stage.at_rest().await;
    let tapped = stage.tapped().await;
    let [said] = tapped.as_slice() else {
        panic!("{tapped:?}")
    };
    assert_eq!(
        said.event().unwrap(),
        Event::from(OrderCreated {
            order_id: accepted.id,
            items: vec![Line {
                product_id: RECORD,
                quantity: Quantity::try_from(3).unwrap(),
            }],
            version: 1,
        })
    );
    assert_eq!((said.source.as_str(), said.cause), (NAME, None));
    assert_eq!(said.subject, accepted.id.0);
    assert_eq!(trace_id(said), accepted.trace_id);
}

async fn a_consumed_reservation_finishes_the_order() {
    let stage = open().await;
    let order_id = place(&stage).await.id;
    let told = stage.tell(consumed(order_id)).await;
    let finished = OrderFinished {
        order_id,
        amount_cents: cents(4_497),
        version: 2,
    };
    let answer = stage.answer(&told).await;
    assert_eq!(answer.event().unwrap(), Event::from(finished));
    let order = look(&stage, order_id).await;
    assert_eq!((order.status, order.version), (OrderStatus::Finished, 2));
    assert_eq!(
        (order.amount_cents, order.reason),
        (Some(cents(4_497)), None)
    );
}

async fn a_canceled_reservation_cancels_the_order_for_its_reason() {
    let stage = open().await;
    for reason in Reason::ALL {
        let order_id = place(&stage).await.id;
        let told = stage.tell(canceled(order_id, reason)).await;
        let expected = OrderCanceled {
            order_id,
            amount_cents: cents(4_497),
            reason,
            version: 2,
        };
        let answer = stage.answer(&told).await;
        assert_eq!(answer.event().unwrap(), Event::from(expected));
        let order = look(&stage, order_id).await;
        assert_eq!((order.status, order.version), (OrderStatus::Canceled, 2));
        assert_eq!(order.reason, Some(reason));
    }
}

async fn a_failed_reservation_cancels_the_order_for_nothing() {
    let stage = open().await;
    let order_id = place(&stage).await.id;
    let reason = Reason::OutOfStock;
    let told = stage
        .tell(ReservationFailed {
            order_id,
            reason,
            version: 0,
        })
        .await;
    let expected = OrderCanceled {
        order_id,
        amount_cents: Cents::ZERO,
        reason,
        version: 2,
    };
    let answer = stage.answer(&told).await;
    assert_eq!(answer.event().unwrap(), Event::from(expected));
}

async fn who_waits_for_an_order_is_told_as_soon_as_it_settles() {
    let stage = open().await;
    let order_id = place(&stage).await.id;
    let path = format!("/api/v1/orders/{order_id}?wait=settled&timeoutMs=30000");
    let waiting = stage.ask(Method::GET, &path, None);
    let (answer, told) = tokio::join!(waiting, stage.tell(consumed(order_id)));
    let order: Order = serde_json::from_value(answer.unwrap().1).unwrap();
    assert_eq!(order.status, OrderStatus::Finished);
    // Nothing in between took any time, so nobody had to look again after a while.
    let waited_us = stage.world().now_us() - told.time_us;
    assert!(waited_us == 0 || stage.world().is_real(), "{waited_us}");
}

async fn a_message_that_comes_twice_settles_the_order_once() {
    let stage = open().await;
    let order_id = place(&stage).await.id;
    let told = stage.tell(consumed(order_id)).await;
    let first = stage.answers(&told).await;
    stage.publish(std::slice::from_ref(&told)).await;
    assert_eq!(stage.answers(&told).await, first);
    assert_eq!((first.len(), stage.seen(&told).await), (1, 2));
    assert_eq!(look(&stage, order_id).await.version, 2);
}

async fn an_impossible_event_is_given_up_by_name_and_holds_nobody_up() {
    let stage = open().await;
    let order_id = place(&stage).await.id;
    let impossible = stage.message(consumed(NOBODY));
    let good = stage.message(consumed(order_id));
    stage.publish(&[impossible.clone(), good.clone()]).await;
    stage.answer(&good).await;
    assert!(stage.dead().await.is_empty(), "it still has chances");

    assert!(stage.answers(&impossible).await.is_empty());
    let dead = stage.dead().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["id"], impossible.id.to_string());
    assert_eq!(dead[0]["attempts"], Settings::default().retries_max);
    assert_eq!(
        dead[0]["reason"],
        "an order that is not there cannot take reservation.consumed"
    );
    assert_eq!(
        (stage.seen(&impossible).await, stage.seen(&good).await),
        (0, 1)
    );
}

async fn a_settled_order_stays_as_it_is() {
    let stage = open().await;
    let order_id = place(&stage).await.id;
    let finished = stage.tell(consumed(order_id)).await;
    stage.answer(&finished).await;
    let settled = look(&stage, order_id).await;
    let late = stage.tell(canceled(order_id, Reason::Declined)).await;
    assert!(stage.answers(&late).await.is_empty());
    assert_eq!(
        stage.dead().await[0]["reason"],
        "an order that is finished cannot take reservation.canceled"
    );
    assert_eq!(look(&stage, order_id).await, settled);
}

async fn a_dead_letter_can_be_replayed_and_discarded() {
    let stage = open().await;
    let impossible = stage.tell(consumed(NOBODY)).await;
    stage.at_rest().await;
    let first = stage.dead().await;
    assert_eq!(stage.replay(&impossible).await, StatusCode::NO_CONTENT);
    assert!(stage.dead().await.is_empty(), "it is on its way again");
    stage.at_rest().await;
    let second = stage.dead().await;
    assert_eq!(first[0]["attempts"], second[0]["attempts"]);
    assert!(second[0]["deadAtUs"].as_i64() > first[0]["deadAtUs"].as_i64());

    assert_eq!(stage.discard(&impossible).await, StatusCode::NO_CONTENT);
    assert!(stage.dead().await.is_empty());
    assert_eq!(stage.discard(&impossible).await, StatusCode::NOT_FOUND);
    assert_eq!(stage.replay(&impossible).await, StatusCode::NOT_FOUND);
}

/// Sends an order under `key`: the status of the answer and its body.
async fn send(stage: &Stage, key: &str) -> (StatusCode, Value) {
    let body = json!({ "items": [{ "productId": RECORD, "quantity": 3 }] });
    let request = Request::post("/api/v1/orders")
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = stage.world().request(NAME, request).await.unwrap();
    let status = response.status();
    let again_after = response.headers().contains_key("retry-after");
    assert_eq!(again_after, status == StatusCode::SERVICE_UNAVAILABLE);
    let body = to_bytes(response.into_body(), 4_096).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn an_order_that_the_database_did_not_take_is_refused_and_one_that_it_may_have_is_not() {
    let stage = open().await;
    for doom in Doom::ALL {
        stage.world().condemn(NAME, doom);
        // They come together, so that they are a group at first.
        let keys: Vec<String> = (1..=20).map(|n| format!("{doom:?}-{n}")).collect();
        let sent = join_all(keys.iter().map(|key| send(&stage, key))).await;
        stage.world().heal();
        let there = stage.export("/api/v1/orders").await;
        for (key, (status, body)) in keys.iter().zip(&sent) {
            let is_there = there.iter().any(|order| order["idempotencyKey"] == **key);
            let kind = body["type"].as_str().unwrap();
            let expected = match doom {
                Doom::Begin | Doom::Statement | Doom::Commit => (503, "/problems/outage", false),
                Doom::Unknown => (500, "/problems/unknown", true),
            };
            assert_eq!((status.as_u16(), kind, is_there), expected, "{key}: {body}");
        }
        // Whoever asks again with the same key gets one order, whatever the answer was.
        for answer in join_all(keys.iter().map(|key| send(&stage, key))).await {
            assert_eq!(answer.0, StatusCode::CREATED, "{}", answer.1);
        }
    }
    assert_eq!(stage.export("/api/v1/orders").await.len(), 80);
}
