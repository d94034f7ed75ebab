//! What single steps cost: a message to JSON and back, and a batch of statements through the store port.

use contract::events::PaymentProcessed;
use contract::{Cents, Event, Message, MessageId, OrderId, PaymentId};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use platform::params;
use platform::store::{Sqlite, Store};
use std::hint::black_box;
use uuid::Uuid;

fn message() -> Message {
    let event = Event::from(PaymentProcessed {
        order_id: OrderId(Uuid::from_u128(1)),
        payment_id: PaymentId(Uuid::from_u128(2)),
        amount_cents: Cents::MAX_PRICE,
        version: 2,
    });
    Message {
        id: MessageId(Uuid::from_u128(3)),
        source: "payments".to_owned(),
        kind: event.kind().as_str().to_owned(),
        subject: event.subject(),
        time_us: 1_780_000_000_000_000,
        cause: Some(MessageId(Uuid::from_u128(4))),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: None,
        data: event.data(),
    }
}

fn messages(c: &mut Criterion) {
    let message = message();
    let json = message.to_json().expect("a message");
    c.bench_function("message to JSON", |b| {
        b.iter(|| black_box(&message).to_json());
    });
    c.bench_function("message from JSON", |b| {
        b.iter(|| Message::from_json(black_box(&json)));
    });
    c.bench_function("event in a message", |b| {
        b.iter(|| black_box(&message).event());
    });
}

/// Guarded updates through the port: alone, and 128 in one transaction.
fn store(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Sqlite::open(
        &dir.path().join("bench.db"),
        platform::store::Synchronous::Normal,
    )
    .expect("a database");
    runtime.block_on(async {
        let tx = store.begin().await.expect("a transaction");
        tx.execute(
            "create table t (id bigint primary key, n bigint not null)",
            &[],
        )
        .await
        .expect("a table");
        tx.execute("insert into t values (1, 0)", &[])
            .await
            .expect("a row");
        tx.commit().await.expect("a commit");
    });
    for updates in [1, 128] {
        c.bench_function(&format!("transaction of {updates} guarded updates"), |b| {
            b.iter_batched(
                || (),
                |()| {
                    runtime.block_on(async {
                        let tx = store.begin().await.expect("a transaction");
                        for _ in 0..updates {
                            let sql = "update t set n = n + $2 where id = $1 and n >= 0";
                            tx.execute(sql, params![1, 1]).await.expect("an update");
                        }
                        tx.commit().await.expect("a commit");
                    });
                },
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, messages, store);
criterion_main!(benches);
