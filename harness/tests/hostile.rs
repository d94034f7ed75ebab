//! A collector that is down, slow, silent or failing is no trouble of the shop: it takes as many orders, needs no more
//! memory, and counts what it could not get rid of.
//!
//! A test binary of its own: other tests beside it would be noise.

#[path = "program/mod.rs"]
#[expect(dead_code, reason = "nothing but the command itself is needed here")]
mod program;

use bytes::Bytes;
use contract::http::{CreateProduct, Order, Product};
use futures_util::future::join_all;
use harness::client::{Call, Client};
use harness::target::Metrics;
use harness::telemetry::Receiver;
use hyper::StatusCode;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Orders of a round, and how many clients send them, each waiting for the end of one before the next.
const ORDERS: u32 = 240;
const CLIENTS: u32 = 16;
/// Rounds, and how many at most when something else on the machine came in between.
const ROUNDS: usize = 5;
const ROUNDS_MAX: usize = 11;
/// Of what a shop does whose collector is well, one whose collector is in trouble does at least so much.
const OF_WELL_MIN: f64 = 0.75;
/// And so much of what it does without telemetry: recording costs something too, most of all in a debug build.
const OF_NONE_MIN: f64 = 0.6;
/// It may need so much more memory: what waits, in four queues, and the buffers of a connection.
const MORE_BYTES: u64 = 48 * 1024 * 1024;

/// What becomes of a connection to a collector.
type Behaviour = fn(TcpStream);

/// Says nothing, ever.
fn silent(mut stream: TcpStream) {
    // It is read, so that nothing but the answer is missing.
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Answers each piece of a request that it cannot.
fn failing(mut stream: TcpStream) {
    let mut some = vec![0; 65_536];
    while stream.read(&mut some).is_ok_and(|n| n > 0) {
        let answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
        // A client that is gone has its answer.
        let _ = stream.write_all(answer);
    }
}

/// Takes a byte each second.
fn slow(mut stream: TcpStream) {
    let mut one = [0];
    while stream.read(&mut one).is_ok_and(|n| n > 0) {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// A collector that behaves like that; none is one that is not there.
fn collector(behaviour: Option<Behaviour>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    if let Some(behaviour) = behaviour {
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                std::thread::spawn(move || behaviour(stream));
            }
        });
    }
    address
}

/// A shop in a process of its own.
struct Shop {
    name: &'static str,
    process: Child,
    places: Vec<(String, SocketAddr)>,
    product: Option<Product>,
    /// Orders a second, of each round.
    rates: Vec<f64>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        // It holds nothing that anybody needs.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Shop {
    /// Starts one that sends its traces to `collector`; none for nowhere.
    fn start(name: &'static str, collector: Option<SocketAddr>) -> Self {
        let mut command = program::command(&["serve"]);
        for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_")) {
            command.env_remove(variable);
        }
        if let Some(collector) = collector {
            command
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
                .env("OTEL_EXPORTER_OTLP_TIMEOUT", "500")
                .env("OTEL_BSP_SCHEDULE_DELAY", "100")
                .env("OTEL_BSP_MAX_QUEUE_SIZE", "1000");
        }
        command.env("RUST_LOG", "off").stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut places = Vec::new();
        while places.len() < 4 {
            let line = said.next().expect("where its services are").unwrap();
            let (service, address) = line.split_once(" http://").unwrap();
            places.push((service.trim().to_owned(), address.parse().unwrap()));
        }
        // Until the end it has somebody to talk to.
        std::thread::spawn(move || said.for_each(drop));
        Self {
            name,
            process,
            places,
            product: None,
            rates: Vec::new(),
        }
    }

    fn client(&self, service: &str) -> Client {
        let found = self.places.iter().find(|(name, _)| name == service);
        Client::new(found.unwrap().1, Duration::from_secs(30))
    }

    /// Something of which there is enough.
    async fn create(&mut self) {
        let body = serde_json::to_vec(&CreateProduct {
            name: "a record".to_owned(),
            price_cents: 1_499.try_into().unwrap(),
            stock: 1_000_000,
        });
        let call = Call::post("/api/v1/products", Bytes::from(body.unwrap()), "many");
        let (_, body) = self.client("products").send(call).await.unwrap();
        self.product = Some(serde_json::from_slice(&body).unwrap());
    }

    /// Places orders and waits for the end of each; notes how many in a second.
    async fn round(&mut self) {
        let (id, client) = (self.product.as_ref().unwrap().id, self.client("orders"));
        let body = format!(r#"{{"items":[{{"productId":"{id}","quantity":1}}]}}"#);
        let (body, next, round) = (Bytes::from(body), AtomicU32::new(0), self.rates.len());
        let began = Instant::now();
        let clients = (0..CLIENTS).map(async |_| {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= ORDERS {
                    return;
                }
                let key = format!("order-{round}-{n}");
                let call = Call::post("/api/v1/orders", body.clone(), &key);
                let (status, body) = client.send(call).await.unwrap();
                assert_eq!(status, StatusCode::CREATED);
                let placed: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let placed = placed["id"].as_str().unwrap();
                let path = format!("/api/v1/orders/{placed}?wait=settled");
                let (_, body) = client.send(Call::get(&path)).await.unwrap();
                let order: Order = serde_json::from_slice(&body).unwrap();
                assert!(order.status.is_settled(), "{:?}", order.status);
            }
        });
        join_all(clients).await;
        self.rates
            .push(f64::from(ORDERS) / began.elapsed().as_secs_f64());
    }

    fn median(&self) -> f64 {
        let mut sorted = self.rates.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    /// The most memory that it had in use.
    fn peak_bytes(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.map_or(0, |kib| kib.parse::<u64>().unwrap() * 1_024)
    }

    /// Spans that the collector took, that it did not take, and for which there was no room.
    async fn spans(&self) -> [u64; 3] {
        let mut all = [0; 3];
        for (service, _) in &self.places {
            let metrics = Metrics::read(&self.client(service)).await.unwrap();
            for (sum, result) in all.iter_mut().zip(["sent", "failed", "dropped"]) {
                *sum += metrics.sum_where("crashcart_telemetry_spans_total", "result", result);
            }
        }
        all
    }
}

/// Whether no shop does less than most of what the first two do: the one without telemetry, and the one that is well.
fn is_no_slower(shops: &[Shop]) -> bool {
    let (none, well) = (shops[0].median(), shops[1].median());
    let least = (OF_NONE_MIN * none).max(OF_WELL_MIN * well);
    shops[2..].iter().all(|shop| shop.median() >= least)
}

#[tokio::test]
async fn a_collector_in_trouble_costs_the_shop_neither_orders_nor_memory_and_is_counted() {
    let troubles: [(&str, Option<Behaviour>); 4] = [
        ("down", None),
        ("silent", Some(silent)),
        ("failing", Some(failing)),
        ("slow", Some(slow)),
    ];
    let receiver = Receiver::start(Receiver::anywhere(), Vec::new()).unwrap();
    let endpoint = receiver.endpoint();
    let well = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
    let mut shops = vec![Shop::start("none", None), Shop::start("well", Some(well))];
    let in_trouble = troubles.map(|(name, how)| Shop::start(name, Some(collector(how))));
    shops.extend(in_trouble);
    for shop in &mut shops {
        shop.create().await;
    }
    // In turn, so that a slow moment of the machine meets all of them.
    for round in 1..=ROUNDS_MAX {
        for shop in &mut shops {
            shop.round().await;
        }
        if round >= ROUNDS && is_no_slower(&shops) {
            break;
        }
    }
    let (none, well) = (shops[0].median(), shops[1].median());
    let least = shops[0].peak_bytes();
    for shop in &shops {
        let (rate, peak) = (shop.median(), shop.peak_bytes());
        let [sent, failed, dropped] = shop.spans().await;
        let (name, megabytes) = (shop.name, peak / 1_000_000);
        let (of_none, of_well) = (rate / none, rate / well);
        println!(
            "{name:8} {rate:6.0} orders/s, {of_none:.2} of none, {of_well:.2} of well, {megabytes} MB; spans: {sent} sent, {failed} failed, \
             {dropped} dropped"
        );
        if name == "well" {
            assert!(sent > 0, "nothing was sent");
        } else if name != "none" {
            assert!(peak <= least + MORE_BYTES, "{name}: {peak} bytes");
            assert_eq!(sent, 0, "{name}");
            assert!(failed > 0 && failed + dropped > 1_000, "{name}");
        }
    }
    let rounds = shops[0].rates.len();
    assert!(is_no_slower(&shops), "after {rounds} rounds");
}
