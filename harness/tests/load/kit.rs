//! Servers that play the outside, and a load to send to them.

use axum::Router;
use contract::ProductId;
use harness::client::Client;
use harness::history::{Operation, Story};
use harness::load::{self as generator, Limits, Load, Progress, Sent};
use harness::workload::{self, CDNOW, Workload, WorkloadConfig};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A 201 as the orders service gives it.
pub const ACCEPTED: &str =
    r#"{"id":"01890000-0000-7000-8000-00000000000a","status":"created","version":1,"traceId":"t"}"#;
/// An order that is settled.
pub const SETTLED: &str = r#"{"id":"01890000-0000-7000-8000-00000000000a","status":"finished","version":2,"items":[],"amountCents":1,"reason":null,"createdAtUs":1,"settledAtUs":2,"traceId":"t","idempotencyKey":"k"}"#;

/// Serves `router` from a thread of its own until the test ends.
pub fn serve(router: Router) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || runtime().block_on(accept(listener, router)));
    address
}

async fn accept(listener: std::net::TcpListener, router: Router) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Real orders with every story, at `rate` for `seconds`.
pub fn config(rate: f64, seconds: f64) -> WorkloadConfig {
    WorkloadConfig {
        seed: 7,
        rate,
        duration: Some(Duration::from_secs_f64(seconds)),
        orders: workload::parse(CDNOW).unwrap(),
        stories: Story::ALL.into_iter().collect(),
        stock_percent: 100,
    }
}

/// Real orders only.
pub fn only_real(rate: f64, seconds: f64) -> WorkloadConfig {
    WorkloadConfig {
        stories: BTreeSet::new(),
        ..config(rate, seconds)
    }
}

/// What a load came to, and every operation of it.
pub struct Seen {
    pub sent: Sent,
    pub operations: Vec<Operation>,
    pub progress: Arc<Progress>,
}

/// Sends `workload` to `address`; `stop` may end it early.
pub fn send(
    address: SocketAddr,
    workload: Workload,
    limits: Limits,
    stop: watch::Receiver<bool>,
) -> Seen {
    let load = load(address, workload, limits, stop);
    runtime().block_on(collect(load))
}

/// A load of `workload` for `address`.
pub fn load(
    address: SocketAddr,
    workload: Workload,
    limits: Limits,
    stop: watch::Receiver<bool>,
) -> Load {
    let id = "01890000-0000-7000-8000-000000000001".parse().unwrap();
    Load {
        orders: Client::new(address, Duration::from_secs(10)).into(),
        products: vec![id; workload.catalogue.len()],
        workload,
        run: "run".to_owned(),
        limits,
        stop,
    }
}

/// Sends all of `workload` to `address`.
pub fn send_all(address: SocketAddr, workload: Workload) -> Seen {
    let (_stop, stop) = watch::channel(false);
    send(address, workload, Limits::default(), stop)
}

/// Sends all of `workload`, with the products that were created for it.
pub async fn send_to(orders: &Client, workload: Workload, products: Vec<ProductId>) -> Seen {
    let (_stop, stop) = watch::channel(false);
    collect(Load {
        orders: orders.clone().into(),
        products,
        workload,
        run: "run".to_owned(),
        limits: Limits::default(),
        stop,
    })
    .await
}

async fn collect(load: Load) -> Seen {
    let progress = Arc::new(Progress::default());
    let (history, mut ended) = mpsc::channel(100);
    let collected = async {
        let mut operations = Vec::new();
        while let Some(operation) = ended.recv().await {
            operations.push(operation);
        }
        operations
    };
    let sending = generator::send(load, Arc::clone(&progress), history);
    let (sent, operations) = tokio::join!(sending, collected);
    Seen {
        sent,
        operations,
        progress,
    }
}
