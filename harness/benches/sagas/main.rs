//! How many sagas a second the embedded shop settles, with the ceiling beside it.
//!
//! Closed model: 256 clients place an order over loopback HTTP, wait until it is settled, place the next. The
//! ceiling is the same statements, batched, straight on SQLite, in the same run on the same box.
//!
//!   cargo bench -p harness --bench sagas                  30 000 orders on an empty shop
//!   cargo bench -p harness --bench sagas -- --old 200000  and again with 200 000 settled orders in it
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

mod ceiling;
#[path = "../kit/closed.rs"]
mod closed;

use closed::{Doors, IN_FLIGHT, closed};
use harness::client::Client;
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use shop::{Embedded, EmbeddedConfig, ProviderSettings};
use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

const ORDERS: u64 = 30_000;

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
    let door = |address| Client::new(address, Duration::from_secs(60)).into();
    let doors = Doors {
        orders: door(shop.addresses.orders),
        products: door(shop.addresses.products),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let rate = |settled: u64, name: &str| {
        let measured = local.block_on(&runtime, closed(&doors, settled, name, IN_FLIGHT));
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
        telemetry: None,
        seed: 1,
        port: None,
        planted: None,
        addresses: None,
        tap_max: shop::TAP_MAX,
    })
    .expect("the shop starts")
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
