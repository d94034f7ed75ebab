//! The story of products alone: whoever tells it plays the clients, orders and payments.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use contract::events::{
    OrderCreated, PaymentFailed, PaymentProcessed, ProductCreated, ProductRestocked,
    ReservationCanceled, ReservationConsumed, ReservationCreated, ReservationFailed,
};
use contract::http::{Product, ReservationStatus};
use contract::{
    Cents, Event, EventType, Line, Message, OrderId, PaymentId, ProductId, Quantity, Reason,
    ReservedLine,
};
use futures_util::future::join_all;
use platform::stage::{Stage, reacts};
use platform::world::{Mischief, World};
use platform::{Illegal, Service, Settings};
use products::{NAME, Products, product};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;

platform::stories! {
    on_both {
        a_product_is_said_when_it_is_created_and_whenever_it_is_restocked,
        restocks_of_one_moment_each_tell_the_stock_after_it_and_a_repeated_one_the_same_again,
        an_order_is_reserved_with_prices_and_the_stock_after_it,
        an_order_that_cannot_be_reserved_is_refused_for_its_reason_and_takes_nothing,
        a_processed_payment_sells_what_was_reserved,
        a_failed_payment_gives_the_stock_back,
        orders_of_one_batch_share_the_stock_and_the_last_comes_too_late,
        messages_that_come_twice_take_and_give_back_once,
        an_impossible_event_is_given_up_by_name_and_holds_nobody_up,
        what_ended_once_does_not_end_in_another_way,
        an_order_is_reserved_once_even_if_other_products_are_asked_for,
        a_replayed_message_is_applied_when_its_time_has_come,
        a_discarded_message_is_gone,
    }
    in_virtual_time_only {
        products_hears_exactly_what_it_reacts_to: "it asks the service itself, on a store of its own",
    }
}

async fn open() -> Stage {
    let world = World::new(1, vec![NAME], Settings::default());
    let make = Box::new(|ctx: &_| -> std::sync::Arc<dyn Service> { Products::new(ctx) });
    world.add(NAME, Mischief::default(), make).await;
    Stage::new(world, NAME)
}

async fn create(stage: &Stage, price_cents: i64, stock: i64) -> ProductId {
    let body = json!({ "name": "a record", "priceCents": price_cents, "stock": stock });
    let answer = stage.ask(Method::POST, "/api/v1/products", Some(body));
    let (status, body) = answer.await.unwrap();
    assert_eq!(status, StatusCode::CREATED, "{body}");
    serde_json::from_value::<Product>(body).unwrap().id
}

async fn look(stage: &Stage, id: ProductId) -> Product {
    let path = format!("/api/v1/products/{id}");
    let (_, body) = stage.ask(Method::GET, &path, None).await.unwrap();
    serde_json::from_value(body).unwrap()
}

/// What can be sold, and the version.
async fn stock(stage: &Stage, id: ProductId) -> (i64, i64) {
    let product = look(stage, id).await;
    (product.available, product.version)
}

fn order(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

fn cents(cents: i64) -> Cents {
    cents.try_into().unwrap()
}

fn units(units: i64) -> Quantity {
    units.try_into().unwrap()
}

fn ordered(order_id: OrderId, lines: &[(ProductId, i64)]) -> OrderCreated {
    let line = |&(product_id, quantity): &(ProductId, i64)| Line {
        product_id,
        quantity: units(quantity),
    };
    OrderCreated {
        order_id,
        items: lines.iter().map(line).collect(),
        version: 1,
    }
}

fn processed(order_id: OrderId) -> PaymentProcessed {
    PaymentProcessed {
        order_id,
        payment_id: PaymentId::of(order_id),
        amount_cents: cents(900),
        version: 2,
    }
}

fn failed(order_id: OrderId) -> PaymentFailed {
    PaymentFailed {
        order_id,
        payment_id: PaymentId::of(order_id),
        amount_cents: cents(900),
        reason: Reason::Declined,
        version: 2,
    }
}

/// An event of this type: all fields that there are, of which each type takes its own.
fn sample(kind: EventType) -> Event {
    let id = Uuid::from_u128(7);
    let data = json!({
        "orderId": id, "paymentId": id, "productId": id, "items": [{ "productId": id, "quantity": 1 }],
        "lines": [], "amountCents": 100, "priceCents": 1, "reason": "declined", "name": "a record",
        "stock": 1, "quantity": 1, "availableAfter": 1, "version": 1,
    });
    Event::parse(kind, &data.to_string()).unwrap()
}

fn event(answer: &Message) -> Event {
    answer.event().unwrap()
}

#[test]
fn a_reservation_takes_the_three_steps_of_the_saga_and_no_other() {
    let open = Some(ReservationStatus::Created);
    let steps = [
        (None, EventType::OrderCreated, ReservationStatus::Created),
        (
            open,
            EventType::PaymentProcessed,
            ReservationStatus::Consumed,
        ),
        (open, EventType::PaymentFailed, ReservationStatus::Canceled),
    ];
    let there = ReservationStatus::ALL.iter().copied().map(Some);
    for state in std::iter::once(None).chain(there) {
        for &kind in EventType::ALL {
            let step = steps
                .iter()
                .find(|(from, event, _)| (*from, *event) == (state, kind));
            let found = product::next(state, &sample(kind));
            if let Some((_, _, to)) = step {
                assert_eq!(found, Ok(*to), "{state:?} {kind:?}");
                continue;
            }
            let state = state.map_or("not there", ReservationStatus::as_str);
            let kind = kind.as_str();
            let expected = format!("a reservation that is {state} cannot take {kind}");
            let illegal: Illegal = found.unwrap_err();
            assert_eq!(illegal.to_string(), expected);
        }
    }
}

async fn products_hears_exactly_what_it_reacts_to() {
    let products = Products::new(&open().await.world().context(NAME));
    for &kind in EventType::ALL {
        let does = reacts(&*products, sample(kind)).await;
        assert_eq!(products.hears(kind), does, "{kind:?}");
    }
}

async fn a_product_is_said_when_it_is_created_and_whenever_it_is_restocked() {
    let stage = open().await;
    let product_id = create(&stage, 300, 10).await;
    for quantity in [5, 5] {
        let path = format!("/api/v1/products/{product_id}/restock");
        let body = json!({ "quantity": quantity });
        let answer = stage.ask(Method::POST, &path, Some(body)).await.unwrap();
        assert_eq!(answer.0, StatusCode::OK);
    }
    stage.at_rest().await;
    let restocked = |available_after, version| {
        Event::from(ProductRestocked {
            product_id,
            quantity: 5,
            available_after,
            version,
        })
    };
    let created = ProductCreated {
        product_id,
        name: "a record".to_owned(),
        price_cents: cents(300),
        stock: 10,
        version: 1,
    };
    let tapped = stage.tapped().await;
    let events: Vec<Event> = tapped.iter().map(event).collect();
    assert_eq!(
        events,
        [Event::from(created), restocked(15, 2), restocked(20, 3)]
    );
    assert!(tapped.iter().all(|said| said.cause.is_none()));
    assert!(tapped.iter().all(|said| said.subject == product_id.0));
}

/// Restocks a product by `quantity` under `key`.
async fn restock(stage: &Stage, id: ProductId, quantity: i64, key: &str) -> (StatusCode, Value) {
    let request = Request::post(format!("/api/v1/products/{id}/restock"))
        .header("content-type", "application/json")
        .header("idempotency-key", key)
        .body(Body::from(json!({ "quantity": quantity }).to_string()))
        .unwrap();
    let response = stage.world().request(NAME, request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 4_096).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn restocks_of_one_moment_each_tell_the_stock_after_it_and_a_repeated_one_the_same_again() {
    let stage = open().await;
    let product_id = create(&stage, 300, 10).await;
    // They come together, so that they share a transaction; each key comes twice, as from a client that lost patience.
    let keys = ["a", "b", "a", "c", "b", "c"];
    let sent = join_all(keys.iter().map(|key| restock(&stage, product_id, 5, key))).await;
    let product = |body: &Value| serde_json::from_value::<Product>(body.clone());
    let mut told = BTreeMap::new();
    for (key, (status, body)) in keys.iter().zip(&sent) {
        assert_eq!(*status, StatusCode::OK, "{key}: {body}");
        let product = product(body).unwrap_or_else(|error| panic!("{key}: {error}: {body}"));
        let earlier = told.insert(*key, product.clone());
        assert!(
            earlier.is_none_or(|earlier| earlier == product),
            "{key}: {body}"
        );
    }
    let mut after: Vec<(i64, i64)> = told
        .values()
        .map(|product| (product.version, product.available))
        .collect();
    after.sort_unstable();
    assert_eq!(after, [(2, 15), (3, 20), (4, 25)]);
    let now = look(&stage, product_id).await;
    assert_eq!((now.available, now.received, now.version), (25, 25, 4));
}

async fn an_order_is_reserved_with_prices_and_the_stock_after_it() {
    let stage = open().await;
    let (one, other) = (create(&stage, 300, 10).await, create(&stage, 50, 2).await);
    let told = stage.tell(ordered(order(1), &[(other, 2), (one, 3)])).await;
    let line = |product_id, quantity, price, available_after| ReservedLine {
        product_id,
        quantity: units(quantity),
        unit_price_cents: cents(price),
        available_after,
        product_version: 2,
    };
    let mut lines = vec![line(one, 3, 300, 7), line(other, 2, 50, 0)];
    lines.sort_by_key(|line| line.product_id);
    let created = ReservationCreated {
        order_id: order(1),
        lines,
        amount_cents: cents(1_000),
        version: 1,
    };
    assert_eq!(event(&stage.answer(&told).await), Event::from(created));
    assert_eq!(stock(&stage, one).await, (7, 2));
    assert_eq!(stock(&stage, other).await, (0, 2));
}

async fn an_order_that_cannot_be_reserved_is_refused_for_its_reason_and_takes_nothing() {
    let stage = open().await;
    let plenty = create(&stage, 300, 1_000).await;
    let dear = create(&stage, Cents::MAX_PRICE.get(), 1_000_000).await;
    let mut too_much = vec![(dear, 1_000)];
    for _ in 0..9 {
        let more = create(&stage, Cents::MAX_PRICE.get(), 1_000_000).await;
        too_much.push((more, 1_000));
    }
    let nothing = ProductId(Uuid::from_u128(404));
    let scarce = create(&stage, 1, 1).await;
    let cases = [
        (vec![(plenty, 1), (scarce, 2)], Reason::OutOfStock),
        (vec![(plenty, 1), (nothing, 1)], Reason::UnknownProduct),
        (too_much, Reason::AmountTooLarge),
    ];
    for (n, (lines, reason)) in (1..).zip(cases) {
        let told = stage.tell(ordered(order(n), &lines)).await;
        let refused = ReservationFailed {
            order_id: order(n),
            reason,
            version: 0,
        };
        assert_eq!(event(&stage.answer(&told).await), Event::from(refused));
    }
    assert_eq!(stock(&stage, plenty).await, (1_000, 1));
    assert_eq!(stock(&stage, dear).await, (1_000_000, 1));
    assert!(stage.export("/api/v1/reservations").await.is_empty());
}

async fn a_processed_payment_sells_what_was_reserved() {
    let stage = open().await;
    let record = create(&stage, 300, 10).await;
    let told = stage.tell(ordered(order(1), &[(record, 3)])).await;
    stage.answer(&told).await;
    let told = stage.tell(processed(order(1))).await;
    let consumed = ReservationConsumed {
        order_id: order(1),
        amount_cents: cents(900),
        version: 2,
    };
    assert_eq!(event(&stage.answer(&told).await), Event::from(consumed));
    assert_eq!(stock(&stage, record).await, (7, 2));
    let lines = stage.export("/api/v1/reservations").await;
    assert_eq!(
        (&lines[0]["status"], &lines[0]["version"]),
        (&json!("consumed"), &json!(2))
    );
}

async fn a_failed_payment_gives_the_stock_back() {
    let stage = open().await;
    let record = create(&stage, 300, 10).await;
    let told = stage.tell(ordered(order(1), &[(record, 3)])).await;
    stage.answer(&told).await;
    let told = stage.tell(failed(order(1))).await;
    let canceled = ReservationCanceled {
        order_id: order(1),
        lines: vec![ReservedLine {
            product_id: record,
            quantity: units(3),
            unit_price_cents: cents(300),
            available_after: 10,
            product_version: 3,
        }],
        amount_cents: cents(900),
        reason: Reason::Declined,
        version: 2,
    };
    assert_eq!(event(&stage.answer(&told).await), Event::from(canceled));
    assert_eq!(stock(&stage, record).await, (10, 3));
}

async fn orders_of_one_batch_share_the_stock_and_the_last_comes_too_late() {
    let stage = open().await;
    let record = create(&stage, 300, 10).await;
    let batch = [1, 2, 3, 4].map(|n| stage.message(ordered(order(n), &[(record, 3)])));
    stage.publish(&batch).await;
    let mut left = Vec::new();
    for told in &batch {
        match event(&stage.answer(told).await) {
            Event::ReservationCreated(e) => left.push(e.lines[0].available_after),
            other => assert_eq!(other.kind(), EventType::ReservationFailed),
        }
    }
    assert_eq!(left, [7, 4, 1]);
    assert_eq!(stock(&stage, record).await, (1, 4));
}

async fn messages_that_come_twice_take_and_give_back_once() {
    let stage = open().await;
    let record = create(&stage, 300, 10).await;
    let (ordered, failed) = (ordered(order(1), &[(record, 3)]), failed(order(1)));
    for (event, left) in [(Event::from(ordered), (7, 2)), (failed.into(), (10, 3))] {
        let told = stage.tell(event).await;
        let first = stage.answers(&told).await;
        stage.publish(&[told.clone(), told.clone()]).await;
        assert_eq!(stage.answers(&told).await, first);
        assert_eq!((first.len(), stage.seen(&told).await), (1, 3));
        assert_eq!(stock(&stage, record).await, left);
    }
}

async fn an_impossible_event_is_given_up_by_name_and_holds_nobody_up() {
    let stage = open().await;
    let record = create(&stage, 300, 10).await;
    let impossible = stage.message(processed(order(404)));
    let good = stage.message(ordered(order(1), &[(record, 3)]));
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
        "a reservation that is not there cannot take payment.processed"
    );
    let seen = (stage.seen(&impossible).await, stage.seen(&good).await);
    assert_eq!(seen, (0, 1));
}

async fn what_ended_once_does_not_end_in_another_way() {
    let stage = open().await;
    let record = create(&stage, 300, 10).await;
    let told = stage.tell(ordered(order(1), &[(record, 3)])).await;
    stage.answer(&told).await;
    let told = stage.tell(processed(order(1))).await;
    stage.answer(&told).await;
    let late = stage.tell(failed(order(1))).await;
    assert!(stage.answers(&late).await.is_empty());
    assert_eq!(
        stage.dead().await[0]["reason"],
        "a reservation that is consumed cannot take payment.failed"
    );
    assert_eq!(stock(&stage, record).await, (7, 2));
}

async fn an_order_is_reserved_once_even_if_other_products_are_asked_for() {
    let stage = open().await;
    let (record, other) = (create(&stage, 300, 10).await, create(&stage, 50, 2).await);
    let told = stage.tell(ordered(order(1), &[(record, 3)])).await;
    stage.answer(&told).await;
    for lines in [[(record, 2)], [(other, 1)], [(other, 3)]] {
        let again = stage.tell(ordered(order(1), &lines)).await;
        assert!(stage.answers(&again).await.is_empty());
        assert_eq!(
            stage.dead().await[0]["reason"],
            "a reservation that is created cannot take order.created"
        );
        stage.discard(&again).await;
    }
    assert_eq!(stock(&stage, record).await, (7, 2));
    assert_eq!(stock(&stage, other).await, (2, 1));
}

async fn a_replayed_message_is_applied_when_its_time_has_come() {
    let stage = open().await;
    let record = create(&stage, 300, 10).await;
    let early = stage.tell(processed(order(1))).await;
    stage.at_rest().await;
    assert_eq!(stage.dead().await.len(), 1);
    let told = stage.tell(ordered(order(1), &[(record, 3)])).await;
    stage.answer(&told).await;

    assert_eq!(stage.replay(&early).await, StatusCode::NO_CONTENT);
    let answer = stage.answer(&early).await;
    assert_eq!(answer.event_type(), Some(EventType::ReservationConsumed));
    assert!(stage.dead().await.is_empty());
    assert_eq!(stage.seen(&early).await, 1);
}

async fn a_discarded_message_is_gone() {
    let stage = open().await;
    let impossible = stage.tell(failed(order(404))).await;
    stage.at_rest().await;
    assert_eq!(stage.discard(&impossible).await, StatusCode::NO_CONTENT);
    assert!(stage.dead().await.is_empty());
    assert_eq!(stage.discard(&impossible).await, StatusCode::NOT_FOUND);
    assert_eq!(stage.replay(&impossible).await, StatusCode::NOT_FOUND);
}
