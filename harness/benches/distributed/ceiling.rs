//! What the engines alone do: the same statements and the same messages, by the same drivers, in full batches.
//!
//! No HTTP, no JSON, no inbox of others to wait for: each database and each queue goes as fast as it can.

use contract::{EventType, Message, MessageId};
use futures_util::future::try_join_all;
use platform::broker::{Broker, Queue, Rabbit, RabbitSettings, Routing};
use platform::params;
use platform::store::{
    Change, Insert, Kind, Migration, Param, Postgres, PostgresSettings, Result, Store, Tx, migrate,
};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

const BATCH: i64 = 128;
/// Messages published in one go: what the relay takes at most.
const WINDOW: usize = 1_024;
/// What a happy order says.
const STEPS: [EventType; 6] = [
    EventType::OrderCreated,
    EventType::ReservationCreated,
    EventType::PaymentCreated,
    EventType::PaymentProcessed,
    EventType::ReservationConsumed,
    EventType::OrderFinished,
];
const DATA: &str = r#"{"orderId":"01980000-0000-7000-8000-000000000000","lines":[{"productId":"01980000-0000-7000-8000-000000000000","quantity":1,"unitPriceCents":1000,"availableAfter":99999999,"productVersion":2}],"amountCents":1000,"version":1}"#;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

macro_rules! schema {
    ($($name:literal: $file:literal),*) => { &[$(Migration { name: $name, sql: include_str!($file) }),*] };
}

const ORDERS: &[Migration] =
    schema!("orders-0001": "../../../services/orders/migrations/0001_orders.sql");
const PRODUCTS: &[Migration] =
    schema!("products-0001": "../../../services/products/migrations/0001_products.sql");
const PAYMENTS: &[Migration] =
    schema!("payments-0001": "../../../services/payments/migrations/0001_payments.sql");
const PROVIDER: &[Migration] =
    schema!("provider-0001": "../../../services/payments/migrations/0001_provider.sql");

/// Sagas a second when the four databases at `urls` (orders, products, payments, provider) do their part of `sagas`
/// sagas side by side.
pub(crate) async fn databases(urls: [String; 4], sagas: i64) -> f64 {
    let [orders, products, payments, provider] = urls;
    let part = |url: String, schema| open(url, schema);
    let stores = [
        part(orders, ORDERS).await,
        part(products, PRODUCTS).await,
        part(payments, PAYMENTS).await,
        part(provider, PROVIDER).await,
    ];
    let began = Instant::now();
    let [orders, products, payments, provider] = &stores;
    let done = tokio::join!(
        batches(orders, sagas, |tx, part| Box::pin(of_orders(tx, part))),
        batches(products, sagas, |tx, part| Box::pin(of_products(tx, part))),
        batches(payments, sagas, |tx, part| Box::pin(of_payments(tx, part))),
        batches(provider, sagas, |tx, part| Box::pin(of_provider(tx, part))),
    );
    let (a, b, c, d) = done;
    [a, b, c, d]
        .into_iter()
        .collect::<Result<Vec<()>>>()
        .expect("statements that work");
    sagas as f64 / began.elapsed().as_secs_f64()
}

/// Sagas a second when their six messages are published, confirmed, fanned out to three queues and acked.
pub(crate) async fn broker(settings: &RabbitSettings, sagas: usize) -> f64 {
    let broker = Rabbit::new(RabbitSettings {
        routing: Routing::Fanout,
        ..settings.clone()
    });
    let broker = Arc::new(broker.expect("a URL that can be read"));
    let total = sagas * STEPS.len();
    let mut consumers = Vec::new();
    for queue in &settings.queues {
        let mut deliveries = broker.subscribe(queue.service).await.expect("a queue");
        consumers.push(async move {
            let mut taken = 0;
            while taken < total {
                let batch = deliveries.next(256).await.expect("deliveries");
                taken += batch.len();
                let last = batch.last().map_or(0, |delivery| delivery.tag);
                deliveries.ack(last).await.expect("an ack");
            }
        });
    }
    let messages: Vec<Message> = (0..total).map(message).collect();
    let began = Instant::now();
    let publish = async {
        for window in messages.chunks(WINDOW) {
            broker.publish(window).await.expect("confirms");
        }
    };
    tokio::join!(publish, futures_util::future::join_all(consumers));
    sagas as f64 / began.elapsed().as_secs_f64()
}

/// The queues of the shop, for a broker of its own.
pub(crate) fn queues() -> Vec<Queue> {
    let all = |service| Queue {
        service,
        hears: EventType::ALL.to_vec(),
    };
    shop::QUEUES.map(all).to_vec()
}

fn message(n: usize) -> Message {
    let n = n as i64;
    Message {
        id: MessageId(uuid(n / 6, n % 6)),
        source: "bench".to_owned(),
        kind: STEPS[(n % 6) as usize].as_str().to_owned(),
        subject: uuid(n / 6, 0),
        time_us: 1_780_000_000_000_000,
        cause: Some(MessageId(uuid(n / 6, 7))),
        traceparent: Some(TRACE.to_owned()),
        tracestate: None,
        data: DATA.to_owned(),
    }
}

async fn open(url: String, schema: &'static [Migration]) -> Postgres {
    let store =
        Postgres::new(PostgresSettings::new(url, "ceiling")).expect("a URL that can be read");
    migrate(&store, schema).await.expect("a schema");
    store
}

/// The work of one database for the sagas of one batch.
type Work = for<'t> fn(&'t dyn Tx, Range<i64>) -> platform::BoxFuture<'t, Result<()>>;

async fn batches(store: &Postgres, sagas: i64, work: Work) -> Result<()> {
    for first in (0..sagas).step_by(BATCH as usize) {
        let tx = store.begin().await?;
        work(&*tx, first..sagas.min(first + BATCH)).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Ids as the shop makes them: rising.
fn uuid(n: i64, kind: i64) -> Uuid {
    let text = format!("01980000-{:04x}-7{kind:03x}-8000-{n:012x}", n / 1_000);
    Uuid::try_parse(&text).expect("a UUID")
}

fn id(n: i64, kind: i64) -> String {
    uuid(n, kind).to_string()
}

const EVENTS: Insert = Insert {
    table: "events",
    columns: &[
        ("id", Kind::Text),
        ("type", Kind::Text),
        ("entity", Kind::Text),
        ("entity_id", Kind::Text),
        ("version", Kind::Int),
        ("subject", Kind::Text),
        ("cause", Kind::Text),
        ("data", Kind::Text),
        ("traceparent", Kind::Text),
        ("time_us", Kind::Int),
    ],
    key: None,
};
const INBOX: Insert = Insert {
    table: "inbox",
    columns: &[
        ("message_id", Kind::Text),
        ("seen", Kind::Int),
        ("applied_at_us", Kind::Int),
    ],
    key: Some("message_id"),
};
const PUBLISHED: Change = Change {
    table: "events",
    set: "published_at_us = $1",
    key: "id",
};

/// Events said and marked, and messages heard, one of each kind a saga.
async fn carried(tx: &dyn Tx, sagas: Range<i64>, said: &[i64], heard: &[i64]) -> Result<()> {
    let rows =
        |kinds: &[i64], row: fn(i64, i64) -> Vec<Param<'static>>| -> Vec<Vec<Param<'static>>> {
            let all = sagas
                .clone()
                .flat_map(|n| kinds.iter().map(move |kind| row(n, *kind)));
            all.collect()
        };
    let event = |n, kind| -> Vec<Param<'static>> {
        let of_saga = id(n, 0);
        params![
            id(n, kind),
            "order.created",
            "order",
            of_saga.clone(),
            1_i64,
            of_saga,
            id(n, 7),
            DATA,
            TRACE,
            1_780_000_000_000_000_i64
        ]
        .to_vec()
    };
    let applied = |n, kind| -> Vec<Param<'static>> {
        params![id(n, kind), 1_i64, 1_780_000_000_000_000_i64].to_vec()
    };
    let ids: Vec<String> = sagas
        .clone()
        .flat_map(|n| said.iter().map(move |kind| id(n, *kind)))
        .collect();
    tx.insert_many(&INBOX, &rows(heard, applied)).await?;
    tx.insert_many(&EVENTS, &rows(said, event)).await?;
    tx.update_many(&PUBLISHED, params![1_780_000_000_000_001_i64], &ids)
        .await?;
    Ok(())
}

async fn of_orders(tx: &dyn Tx, sagas: Range<i64>) -> Result<()> {
    let one = |n: i64| async move {
        tx.execute(
            "insert into idempotency_keys (key, fingerprint, status, location, body, created_at_us)
             values ($1, $2, 201, $3, $4, $5) on conflict do nothing",
            params![format!("key-{n:09}"), id(n, 9), id(n, 0), DATA, n],
        )
        .await?;
        tx.execute(
            "insert into orders (id, status, version, items, created_at_us, trace_id, idempotency_key)
             values ($1, 'created', 1, $2, $3, $4, $5)",
            params![id(n, 0), &DATA[..100], n, TRACE, format!("key-{n:09}")],
        )
        .await?;
        tx.execute(
            "update orders set status = 'finished', version = version + 1, amount_cents = 1000, settled_at_us = $2
             where id = $1 and status = 'created'",
            params![id(n, 0), n],
        )
        .await
    };
    try_join_all(sagas.clone().map(one)).await?;
    carried(tx, sagas, &[1, 6], &[5]).await
}

async fn of_products(tx: &dyn Tx, sagas: Range<i64>) -> Result<()> {
    for n in (0..100).filter(|_| sagas.start == 0) {
        tx.execute(
            "insert into products (id, name, price_cents, available, received, version)
             values ($1, 'a record', 1000, 100000000, 100000000, 1) on conflict do nothing",
            params![id(n, 99)],
        )
        .await?;
    }
    let one = |n: i64| async move {
        let product = id(n % 100, 99);
        tx.execute(
            "with lines (id, q) as (values (cast($1 as text), cast(1 as bigint))) update products
             set available = available - (select q from lines where lines.id = products.id), version = version + 1
             where id in (select id from lines)
               and (select count(*) from products p join lines l on p.id = l.id where p.available >= l.q) = 1
               and (select sum(p.price_cents * l.q) from products p join lines l on p.id = l.id) <= 9007199254740991
               and not exists (select 1 from reservations where order_id = $2)",
            params![product.clone(), id(n, 0)],
        )
        .await?;
        tx.execute(
            "insert into reservations (order_id, product_id, quantity, unit_price_cents, status, version)
             values ($1, $2, 1, 1000, 'created', 1)",
            params![id(n, 0), product],
        )
        .await?;
        tx.execute(
            "update reservations set status = 'consumed', version = version + 1
             where order_id = $1 and status = 'created'",
            params![id(n, 0)],
        )
        .await
    };
    try_join_all(sagas.clone().map(one)).await?;
    carried(tx, sagas, &[2, 5], &[1, 4]).await
}

async fn of_payments(tx: &dyn Tx, sagas: Range<i64>) -> Result<()> {
    let one = |n: i64| async move {
        tx.execute(
            "insert into payments
                 (id, order_id, amount_cents, status, version, told_by, traceparent, tracestate, created_at_us)
             values ($1, $2, 1000, 'created', 1, $3, $4, null, $5) on conflict do nothing",
            params![id(n, 8), id(n, 0), id(n, 3), TRACE, n],
        )
        .await?;
        tx.query(
            "select status from payments where id = $1",
            params![id(n, 8)],
        )
        .await?;
        tx.execute(
            "update payments set status = 'processed', version = version + 1 where id = $1 and status = 'created'",
            params![id(n, 8)],
        )
        .await
    };
    try_join_all(sagas.clone().map(one)).await?;
    carried(tx, sagas, &[3, 4], &[2, 3]).await
}

async fn of_provider(tx: &dyn Tx, sagas: Range<i64>) -> Result<()> {
    let one = |n: i64| async move {
        tx.execute(
            "insert into charges (key, payment_id, order_id, amount_cents, outcome, at_us)
             values ($1, $1, $2, 1000, 'charged', $3) on conflict do nothing",
            params![id(n, 8), id(n, 0), n],
        )
        .await
    };
    try_join_all(sagas.map(one)).await.map(drop)
}
