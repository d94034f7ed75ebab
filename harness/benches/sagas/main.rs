//! How many sagas a second the embedded shop settles, with the ceiling beside it.
//!
//! Closed model: 256 clients place an order over loopback HTTP, wait until it is settled, place the next. The
//! ceiling is the same statements, batched, straight on SQLite, in the same run on the same box.
//!
//!   cargo bench -p harness --bench sagas                  30 000 orders on an empty shop
//!   cargo bench -p harness --bench sagas -- --old 200000  and again with 200 000 settled orders in it
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod ceiling;

use contract::http::{CreateProduct, Product};
use contract::{Line, Quantity};
use harness::client::{Call, Client};
use harness::history::Outcome;
use harness::load::ask::place;
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use shop::{Embedded, EmbeddedConfig, ProviderSettings};
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 256;
const ORDERS: u64 = 30_000;
const PRODUCTS: i64 = 100;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        args.iter()
            .position(|arg| arg == flag)
            .and_then(|at| args.get(at + 1)?.parse().ok())
    };
    let (orders, old) = (
        after("--orders").unwrap_or(ORDERS),
        after("--old").unwrap_or(0),
    );
    let data = tempfile::tempdir().expect("a temporary directory");
    let shop = start(data.path());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let rate = |settled: u64, name: &str| {
        let measured = local.block_on(&runtime, closed(&shop, settled, name));
        println!(
            "{name:28} {measured:8.0} sagas/s   CPU {:5.0} µs a saga",
            cpu_us_of(settled)
        );
        measured
    };
    println!("{IN_FLIGHT} orders in flight, SQLite files, synchronous = normal");
    cpu_us_of(1);
    let empty = rate(orders, "empty shop");
    if old > 0 {
        rate(old, "filling up");
        let full = rate(orders, "full shop");
        println!(
            "{:28} {:8.2}",
            format!("full / empty, {old} old orders"),
            full / empty
        );
    }
    shop.stop();
    let best = ceiling::measure(orders);
    println!("{:28} {best:8.0} sagas/s", "ceiling: SQLite alone");
    println!("{:28} {:8.2}", "empty shop / ceiling", empty / best);
}

fn start(data: &Path) -> Embedded {
    let log = LogSettings {
        format: Format::Human,
        filter: "warn".to_owned(),
        sink: Sink::Stderr,
    };
    Embedded::start(&EmbeddedConfig {
        data: data.to_owned(),
        synchronous: Synchronous::Normal,
        provider: ProviderSettings::default(),
        settings: platform::Settings::default(),
        log,
        seed: 1,
        port: None,
        planted: None,
        addresses: None,
        tap_max: shop::TAP_MAX,
    })
    .expect("the shop starts")
}

/// Settles `total` orders with a fixed number in flight; returns sagas a second.
async fn closed(shop: &Embedded, total: u64, name: &str) -> f64 {
    let patience = Duration::from_secs(60);
    let products = Client::new(shop.addresses.products, patience);
    let mut ids = Vec::new();
    for n in 0..PRODUCTS {
        ids.push(create(&products, name, n).await.id);
    }
    let orders = Client::new(shop.addresses.orders, patience);
    let next = Rc::new(Cell::new(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (orders, next, ids, name) = (
                orders.clone(),
                Rc::clone(&next),
                ids.clone(),
                name.replace(' ', "-"),
            );
            tokio::task::spawn_local(async move {
                while next.get() < total {
                    let n = next.get();
                    next.set(n + 1);
                    let line = |at: u64| Line {
                        product_id: ids[usize::try_from(at).unwrap_or(0) % ids.len()],
                        quantity: Quantity::try_from(1).expect("one is a quantity"),
                    };
                    let items = if n % 3 == 0 {
                        vec![line(n), line(n + 1)]
                    } else {
                        vec![line(n)]
                    };
                    one(&orders, &format!("{name}-{n:09}"), &items).await;
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("a client that does not panic");
    }
    total as f64 / began.elapsed().as_secs_f64()
}

async fn create(products: &Client, name: &str, n: i64) -> Product {
    let new = CreateProduct {
        name: format!("record {n}"),
        price_cents: (1_000 + n).try_into().expect("a price"),
        stock: 100_000_000,
    };
    let body = serde_json::to_vec(&new).expect("JSON").into();
    let key = format!("{}-product-{n}", name.replace(' ', "-"));
    let (_, body) = products
        .send(Call::post("/api/v1/products", body, &key))
        .await
        .expect("a product");
    serde_json::from_slice(&body).expect("a product")
}

/// One order from the request to its end.
async fn one(orders: &Client, key: &str, items: &[Line]) {
    let Outcome::Ok { order_id: id, .. } = place(orders, key, items).await else {
        panic!("an order was not taken")
    };
    let path = format!("/api/v1/orders/{id}?wait=settled&timeoutMs=30000");
    let (status, body) = orders.send(Call::get(&path)).await.expect("an answer");
    let finished = body
        .windows(20)
        .any(|part| part == br#""status":"finished","#);
    assert!(
        status.is_success() && finished,
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
}

/// CPU time of this process since the last call, divided by `sagas`: services, broker and clients together.
fn cpu_us_of(sagas: u64) -> f64 {
    thread_local!(static BEFORE: Cell<u64> = const { Cell::new(0) });
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // utime and stime, in ticks of 10 ms.
    let now = (ticks(11) + ticks(12)) * 10_000;
    (now - BEFORE.replace(now)) as f64 / sagas as f64
}
