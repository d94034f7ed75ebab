//! How many sagas a second the shop settles on PostgreSQL and RabbitMQ, what one costs, and the two ceilings beside it.
//!
//! Closed model: 256 clients place an order over loopback HTTP, wait until it is settled, place the next. Servers of
//! its own (fsync and synchronous_commit on, quorum queues, confirms), four services, a tap on the exchange and the
//! clients share the machine. CPU is user and system time of all of them, servers and clients included.
//!
//!   cargo bench -p harness --bench distributed                     the usual shop, and the ceilings
//!   cargo bench -p harness --bench distributed -- --all            also topic, two replicas, 1 024 clients, batches of 1
//!   cargo bench -p harness --bench distributed -- --old 100000     also with 100 000 settled orders in it
//!   cargo bench -p harness --bench distributed -- --traces         nothing traced, one in a hundred, everything
//!   … --orders N          how many orders each figure is made of (10 000)
//!   … --in-flight N       how many clients there are (256)
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "figures for people"
)]

mod ceiling;
#[path = "../kit/closed.rs"]
mod closed;
mod traced;

use closed::{Doors, IN_FLIGHT, closed};
use harness::client::{Call, Client};
use harness::engines::{PrivatePostgres, PrivateRabbit};
use harness::target::{
    Distributed, DistributedConfig, EngineUrls, Replica, SERVICES, Target, Traces, cpu,
};
use platform::broker::rabbit::admin as rabbit;
use platform::broker::{RabbitSettings, RabbitTap, Routing};
use platform::store::postgres::admin as postgres;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const ORDERS: u64 = 10_000;
/// What the TypeScript version of this system needs and reaches, on a machine like this one.
const TYPESCRIPT: &str =
    "the public TypeScript version of this system: 105 to 132 sagas/s, 18.1 ms CPU a saga";

/// The servers of all measurements.
struct Engines {
    postgres: PrivatePostgres,
    rabbit: PrivateRabbit,
}

/// A way to run the shop.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    replicas: usize,
    routing: Routing,
    batch_max: Option<usize>,
    in_flight: usize,
}

const USUAL: Shape = Shape {
    name: "fanout",
    replicas: 1,
    routing: Routing::Fanout,
    batch_max: None,
    in_flight: IN_FLIGHT,
};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag);
        at.and_then(|at| args.get(at + 1)?.parse::<u64>().ok())
    };
    let (orders, old) = (
        after("--orders").unwrap_or(ORDERS),
        after("--old").unwrap_or(0),
    );
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engines = Engines {
        postgres: PrivatePostgres::start(&dir.path().join("postgres")).expect("PostgreSQL"),
        rabbit: PrivateRabbit::start(&dir.path().join("rabbit")).expect("RabbitMQ"),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let in_flight = after("--in-flight").map_or(IN_FLIGHT, |n| n as usize);
    println!("{in_flight} orders in flight, {orders} a figure; {TYPESCRIPT}\n");
    local.block_on(&runtime, async {
        let usual_shape = Shape { in_flight, ..USUAL };
        if args.iter().any(|arg| arg == "--traces") {
            return traced::compared(&engines, usual_shape, orders).await;
        }
        let usual = shop(&engines, usual_shape, orders, old).await;
        if args.iter().any(|arg| arg == "--all") {
            for shape in others(usual_shape) {
                let few = if shape.batch_max.is_some() {
                    orders / 5
                } else {
                    orders
                };
                let rate = shop(&engines, shape, few, 0).await;
                println!(
                    "{:34} {:8.2}",
                    format!("{} / {}", shape.name, USUAL.name),
                    rate / usual
                );
            }
        }
        ceilings(&engines, orders, usual).await;
    });
}

/// What the usual shape is compared with.
fn others(usual: Shape) -> [Shape; 4] {
    [
        Shape {
            name: "topic",
            routing: Routing::Topic,
            ..usual
        },
        Shape {
            name: "two replicas of each",
            replicas: 2,
            ..usual
        },
        Shape {
            name: "four times as many in flight",
            in_flight: usual.in_flight * 4,
            ..usual
        },
        Shape {
            name: "batches of 1",
            batch_max: Some(1),
            ..usual
        },
    ]
}

/// A shop that runs, and what it has to know of itself.
struct Running {
    shop: Distributed,
    doors: Doors,
    settings: RabbitSettings,
    tap: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn end(self, engines: &Engines) {
        let shop = self.shop;
        tokio::task::spawn_blocking(|| shop.stop())
            .await
            .expect("an end");
        self.tap.abort();
        gone(engines, &self.settings).await;
    }
}

/// Starts the shop in one shape.
async fn started(engines: &Engines, shape: Shape, traces: Option<Traces>) -> Running {
    let prefix = format!("bench_{}_", shape.name.replace(' ', "_"));
    let settings = settings(engines, &prefix, shape.routing);
    let tap = tokio::task::spawn_local(tapped(settings.clone()));
    let urls = urls(engines, &prefix).await;
    let config = DistributedConfig {
        program: env!("CARGO_BIN_EXE_crashcart").into(),
        replicas: shape.replicas,
        engines: urls,
        prefix: prefix.clone(),
        routing: shape.routing,
        batch_max: shape.batch_max,
        log_filter: "warn".to_owned(),
        starts_within: Duration::from_secs(60),
        traces,
        planted: None,
    };
    let started =
        tokio::task::spawn_blocking(|| Distributed::start(config, &AtomicBool::new(false)));
    let shop = started.await.expect("a start").expect("the shop starts");
    let target = Target::new(shop.places());
    let doors = Doors {
        orders: target.clients("orders").clone(),
        products: target.clients("products").clone(),
    };
    Running {
        shop,
        doors,
        settings,
        tap,
    }
}

/// Measures the shop in one shape; returns its sagas a second while it was empty.
async fn shop(engines: &Engines, shape: Shape, orders: u64, old: u64) -> f64 {
    let running = started(engines, shape, None).await;
    let Running { shop, doors, .. } = &running;
    let warm = format!("{} warm", shape.name);
    closed(doors, orders / 10, &warm, shape.in_flight).await;
    let empty = measured(engines, shop, doors, (shape.name, orders, shape.in_flight)).await;
    if old > 0 {
        closed(doors, old, "filling", shape.in_flight).await;
        let full = measured(
            engines,
            shop,
            doors,
            ("the same, full", orders, shape.in_flight),
        )
        .await;
        println!(
            "{:34} {:8.2}",
            format!("full / empty, {old} old orders"),
            full / empty
        );
    }
    running.end(engines).await;
    empty
}

/// Prints what the databases have to tell of the shop that was there, and removes all that is left of it.
async fn gone(engines: &Engines, settings: &RabbitSettings) {
    let (url, prefix) = (engines.postgres.url(), &settings.prefix);
    let deadlocks = postgres::deadlocks(&url, prefix).await;
    let deadlocks = deadlocks.expect("the server's own count");
    println!("{:34} deadlocks: {deadlocks}", "");
    rabbit::delete_all(settings)
        .await
        .expect("queues to delete");
    for service in SERVICES {
        let dropped = postgres::drop_database(&url, &format!("{prefix}{service}")).await;
        dropped.expect("a database to drop");
    }
}

/// A database for each service, and the broker.
async fn urls(engines: &Engines, prefix: &str) -> BTreeMap<&'static str, EngineUrls> {
    let mut urls = BTreeMap::new();
    for service in SERVICES {
        let of_service = EngineUrls {
            postgres: database(engines, &format!("{prefix}{service}")).await,
            amqp: engines.rabbit.url(),
        };
        urls.insert(service, of_service);
    }
    urls
}

/// Settles `orders` and prints the rate and what one cost, by group of processes.
async fn measured(
    engines: &Engines,
    shop: &Distributed,
    doors: &Doors,
    (name, orders, in_flight): (&str, u64, usize),
) -> f64 {
    let (before, sizes_before) = (spent(engines, shop), sizes(shop).await);
    let rate = closed(doors, orders, name, in_flight).await;
    let (after, sizes_after) = (spent(engines, shop), sizes(shop).await);
    let ms = |group: usize| {
        after[group].saturating_sub(before[group]).as_secs_f64() * 1e3 / orders as f64
    };
    let all: f64 = (0..4).map(ms).sum();
    println!(
        "{name:34} {rate:8.0} sagas/s   CPU {all:.2} ms a saga = {:.2} services + {:.2} PostgreSQL + {:.2} RabbitMQ \
         + {:.2} clients",
        ms(0),
        ms(1),
        ms(2),
        ms(3)
    );
    let at_a_time = sizes_after.into_iter().map(|(name, (sum, count))| {
        let (sum_before, count_before) = sizes_before.get(&name).copied().unwrap_or_default();
        format!("{name} {:.0}", (sum - sum_before) / (count - count_before))
    });
    let at_a_time: Vec<String> = at_a_time.collect();
    println!("{:34} in one transaction: {}", "", at_a_time.join(", "));
    rate
}

/// How many requests and how many messages were committed, and in how many transactions, by service.
async fn sizes(shop: &Distributed) -> BTreeMap<String, (f64, f64)> {
    let mut sizes: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for Replica {
        service, address, ..
    } in shop.replicas()
    {
        let client = Client::new(*address, Duration::from_secs(10));
        let (_, body) = client.send(Call::get("/metrics")).await.expect("metrics");
        let text = String::from_utf8_lossy(&body);
        let value = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|value| value.parse::<f64>().ok())
                .unwrap_or_default()
        };
        for (what, metric) in [
            ("requests", "crashcart_commit_group_size"),
            ("messages", "crashcart_batch_size"),
        ] {
            let (sum, count) = (
                value(&format!("{metric}_sum")),
                value(&format!("{metric}_count")),
            );
            let all = sizes.entry(format!("{service}' {what}")).or_default();
            *all = (all.0 + sum, all.1 + count);
        }
    }
    sizes.retain(|_, (_, count)| *count > 0.0);
    sizes
}

/// Processor time so far: services, PostgreSQL, RabbitMQ, this process.
fn spent(engines: &Engines, shop: &Distributed) -> [Duration; 4] {
    [
        shop.replicas().iter().map(Replica::cpu).sum(),
        engines.postgres.cpu(),
        engines.rabbit.cpu(),
        cpu::of(std::process::id()).unwrap_or_default(),
    ]
}

/// What the servers do when they are asked for nothing else, one after the other.
async fn ceilings(engines: &Engines, orders: u64, usual: f64) {
    println!();
    let settings = settings(engines, "ceiling_", Routing::Fanout);
    let broker = ceiling::broker(&settings, orders as usize).await;
    rabbit::delete_all(&settings)
        .await
        .expect("queues to delete");
    let mut urls = SERVICES.map(|service| format!("ceiling_{service}"));
    for url in &mut urls {
        *url = database(engines, url).await;
    }
    let databases = ceiling::databases(urls, orders as i64).await;
    for (name, best) in [
        ("ceiling: the broker alone", broker),
        ("ceiling: the databases alone", databases),
    ] {
        println!(
            "{name:34} {best:8.0} sagas/s   {} reaches {:.2} of it",
            USUAL.name,
            usual / best
        );
    }
}

fn settings(engines: &Engines, prefix: &str, routing: Routing) -> RabbitSettings {
    RabbitSettings {
        prefix: prefix.to_owned(),
        routing,
        ..RabbitSettings::new(engines.rabbit.url(), "bench", ceiling::queues())
    }
}

async fn database(engines: &Engines, name: &str) -> String {
    let server = engines.postgres.url();
    postgres::create_database(&server, name)
        .await
        .expect("a database");
    postgres::url_of(&server, name)
}

/// Listens on the exchange as a run does, so that the figures have it in them.
async fn tapped(settings: RabbitSettings) {
    let mut tap = RabbitTap::open(&settings, "tap").await.expect("a tap");
    while tap.next(1_000).await.is_ok() {}
}
