//! What SQLite alone does with the same statements: no HTTP, no JSON, no channels, batches of 128.
//!
//! The four databases and the broker's file are written by a thread each, as in the shop.

use rusqlite::{Connection, params};
use std::path::Path;
use std::time::Instant;

const BATCH: i64 = 128;
const DATA: &str = r#"{"orderId":"01980000-0000-7000-8000-000000000000","lines":[{"productId":"01980000-0000-7000-8000-000000000000","quantity":1,"unitPriceCents":1000,"availableAfter":99999999,"productVersion":2}],"amountCents":1000,"version":1}"#;
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const PLATFORM: &str = include_str!("../../../services/platform/migrations/0001_platform.sql");
const ORDERS: &str = include_str!("../../../services/orders/migrations/0001_orders.sql");
const PRODUCTS: &str = include_str!("../../../services/products/migrations/0001_products.sql");
const PAYMENTS: &str = include_str!("../../../services/payments/migrations/0001_payments.sql");
const PROVIDER: &str = include_str!("../../../services/payments/migrations/0001_provider.sql");
const BROKER: &str = "create table messages (seq integer primary key, body text not null);
                      create table queues (name text primary key, mark integer not null);
                      insert into queues values ('orders', 0), ('products', 0), ('payments', 0);";

/// Work of one database for the sagas of one batch.
type Work = fn(&Connection, std::ops::Range<i64>) -> rusqlite::Result<()>;

/// Sagas a second when all databases do their part of `sagas` sagas side by side.
pub(crate) fn measure(sagas: u64) -> f64 {
    let total = i64::try_from(sagas).expect("a number of sagas");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let parts: [(&str, &[&str], Work); 5] = [
        ("orders", &[PLATFORM, ORDERS], orders),
        ("products", &[PLATFORM, PRODUCTS], products),
        ("payments", &[PLATFORM, PAYMENTS], payments),
        ("provider", &[PLATFORM, PROVIDER], provider),
        ("broker", &[BROKER], broker),
    ];
    let connections =
        parts.map(|(name, schema, work)| (open(&dir.path().join(name), schema), work));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (connection, work) in connections {
            scope.spawn(move || run(&connection, work, total).expect("statements that work"));
        }
    });
    sagas as f64 / began.elapsed().as_secs_f64()
}

fn open(path: &Path, schema: &[&str]) -> Connection {
    let connection = Connection::open(path).expect("a database");
    let pragmas =
        "pragma journal_mode = wal; pragma synchronous = normal; pragma wal_autocheckpoint = 4000;
                   pragma cache_size = -32000; pragma foreign_keys = on;";
    connection.execute_batch(pragmas).expect("pragmas");
    connection.set_prepared_statement_cache_capacity(64);
    for sql in schema {
        connection.execute_batch(sql).expect("a schema");
    }
    connection
}

fn run(connection: &Connection, work: Work, sagas: i64) -> rusqlite::Result<()> {
    for first in (0..sagas).step_by(usize::try_from(BATCH).unwrap_or(1)) {
        connection.execute_batch("begin immediate")?;
        work(connection, first..sagas.min(first + BATCH))?;
        connection.execute_batch("commit")?;
    }
    Ok(())
}

/// Ids as the shop makes them: rising, 36 characters.
fn id(n: i64, kind: i64) -> String {
    format!("01980000-{:04x}-7{kind:03x}-8000-{n:012x}", n / 1_000)
}

fn exec(c: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
    c.prepare_cached(sql)?.execute(params).map(|_| ())
}

/// An event said and marked, and a message heard.
fn event(c: &Connection, n: i64, kind: i64) -> rusqlite::Result<()> {
    exec(
        c,
        "insert into events (id, type, entity, entity_id, version, subject, cause, data, traceparent, time_us)
         values (?1, 'order.created', 'order', ?2, 1, ?2, ?1, ?3, ?4, 1780000000000000)",
        params![id(n, kind), id(n, 0), DATA, TRACE],
    )?;
    exec(
        c,
        "update events set published_at_us = ?1 where id = ?2",
        params![1_780_000_000_000_001_i64, id(n, kind)],
    )
}

fn heard(c: &Connection, n: i64, kind: i64) -> rusqlite::Result<()> {
    let sql = "insert into inbox (message_id, seen, applied_at_us) values (?1, 1, ?2) on conflict do nothing";
    exec(c, sql, params![id(n, kind), 1_780_000_000_000_000_i64])
}

fn orders(c: &Connection, sagas: std::ops::Range<i64>) -> rusqlite::Result<()> {
    for n in sagas {
        exec(
            c,
            "insert into idempotency_keys (key, fingerprint, status, location, body, created_at_us)
             values (?1, ?2, 201, ?3, ?4, ?5) on conflict do nothing",
            params![format!("key-{n:09}"), id(n, 9), id(n, 0), DATA, n],
        )?;
        exec(
            c,
            "insert into orders (id, status, version, items, created_at_us, trace_id, idempotency_key)
             values (?1, 'created', 1, ?2, ?3, ?4, ?5)",
            params![id(n, 0), &DATA[..100], n, TRACE, format!("key-{n:09}")],
        )?;
        event(c, n, 1)?;
        heard(c, n, 5)?;
        exec(
            c,
            "update orders set status = 'finished', version = version + 1, amount_cents = 1000, settled_at_us = ?2
             where id = ?1 and status = 'created'",
            params![id(n, 0), n],
        )?;
        event(c, n, 6)?;
    }
    Ok(())
}

fn products(c: &Connection, sagas: std::ops::Range<i64>) -> rusqlite::Result<()> {
    for n in sagas {
        let product = id(n % 100, 99);
        exec(
            c,
            "insert into products values (?1, 'a record', 1000, 100000000, 100000000, 1) on conflict do nothing",
            params![product],
        )?;
        heard(c, n, 1)?;
        exec(
            c,
            "with lines (id, q) as (values (cast(?1 as text), cast(1 as bigint))) update products
             set available = available - (select q from lines where lines.id = products.id), version = version + 1
             where id in (select id from lines)
               and (select count(*) from products p join lines l on p.id = l.id where p.available >= l.q) = 1
               and (select sum(p.price_cents * l.q) from products p join lines l on p.id = l.id) <= 9007199254740991
               and not exists (select 1 from reservations where order_id = ?2)",
            params![product, id(n, 0)],
        )?;
        exec(
            c,
            "insert into reservations values (?1, ?2, 1, 1000, 'created', 1)",
            params![id(n, 0), product],
        )?;
        event(c, n, 2)?;
        heard(c, n, 4)?;
        exec(
            c,
            "update reservations set status = 'consumed', version = version + 1
             where order_id = ?1 and status = 'created'",
            params![id(n, 0)],
        )?;
        event(c, n, 5)?;
    }
    Ok(())
}

fn payments(c: &Connection, sagas: std::ops::Range<i64>) -> rusqlite::Result<()> {
    for n in sagas {
        heard(c, n, 2)?;
        exec(
            c,
            "insert into payments
                 (id, order_id, amount_cents, status, version, told_by, traceparent, tracestate, created_at_us)
             values (?1, ?2, 1000, 'created', 1, ?3, ?4, null, ?5) on conflict do nothing",
            params![id(n, 8), id(n, 0), id(n, 3), TRACE, n],
        )?;
        event(c, n, 3)?;
        heard(c, n, 3)?;
        exec(
            c,
            "update payments set status = 'processed', version = version + 1 where id = ?1 and status = 'created'",
            params![id(n, 8)],
        )?;
        event(c, n, 4)?;
    }
    Ok(())
}

fn provider(c: &Connection, sagas: std::ops::Range<i64>) -> rusqlite::Result<()> {
    for n in sagas {
        exec(
            c,
            "insert into charges (key, payment_id, order_id, amount_cents, outcome, at_us)
             values (?1, ?1, ?2, 1000, 'charged', ?3) on conflict do nothing",
            params![id(n, 8), id(n, 0), n],
        )?;
    }
    Ok(())
}

fn broker(c: &Connection, sagas: std::ops::Range<i64>) -> rusqlite::Result<()> {
    for n in sagas {
        for _ in 0..6 {
            // An envelope is about as long again as what is in it.
            exec(
                c,
                "insert into messages (body) values (?1 || ?1)",
                params![DATA],
            )?;
        }
        if n % BATCH == 0 {
            exec(c, "update queues set mark = ?1", params![n])?;
        }
    }
    Ok(())
}
