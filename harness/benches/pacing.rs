//! How late the generator is against a server that answers at once: 5 000 orders a second for 10 s.
//!
//! The server is a process of its own, on the same cores. What other programs do on them shows in the figures.
//!
//!   cargo bench -p harness --bench pacing
//!   cargo bench -p harness --bench pacing -- 20000 5           another rate, other seconds
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use harness::client::Client;
use harness::load::{self, Limits, Load, Progress};
use harness::workload::{self, CDNOW, WorkloadConfig};
use hdrhistogram::Histogram;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

const RATE: f64 = 5_000.0;
const SECONDS: f64 = 10.0;
const ANSWER: &str =
    r#"{"id":"01890000-0000-7000-8000-000000000000","status":"created","version":1,"traceId":"0"}"#;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    match args.next().as_deref() {
        Some("hello") => current_thread().block_on(hello()),
        rate => {
            let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
            let rate = number(rate).unwrap_or(RATE);
            let seconds = number(args.next().as_deref()).unwrap_or(SECONDS);
            measure(rate, Duration::from_secs_f64(seconds));
        }
    }
}

fn measure(rate: f64, duration: Duration) {
    let (mut server, address) = start_server();
    let workload = workload::plan(&WorkloadConfig {
        seed: 1,
        rate,
        duration: Some(duration),
        orders: workload::parse(CDNOW).expect("the real orders"),
        stories: BTreeSet::new(),
        stock_percent: 100,
    });
    let nowhere = "01890000-0000-7000-8000-000000000000".parse();
    let products = vec![nowhere.expect("an id"); workload.catalogue.len()];
    let (_stop, stop) = watch::channel(false);
    let (history, mut operations) = mpsc::channel(1_000);
    let load = Load {
        orders: Client::new(address, Duration::from_secs(10)).into(),
        workload,
        run: "pacing".to_owned(),
        products,
        limits: Limits::default(),
        stop,
    };
    let began = Instant::now();
    let drained = async { while operations.recv().await.is_some() {} };
    let sending = load::send(load, Arc::new(Progress::default()), history);
    let (sent, ()) = current_thread().block_on(async { tokio::join!(sending, drained) });
    let took = began.elapsed().as_secs_f64();
    println!(
        "{rate}/s for {duration:?}: {} offered, {} accepted, {} dropped, {} waited, {:.0}/s",
        sent.offered,
        sent.accepted,
        sent.dropped,
        sent.waited,
        sent.accepted as f64 / took
    );
    say("lateness", &sent.late_us);
    // The ceiling: nobody on this machine wakes up more exactly.
    say("floor", &floor(duration.min(Duration::from_secs(5)), rate));
    say("corrected", &sent.corrected_us);
    say("raw", &sent.raw_us);
    // It is ours, and has nothing to lose.
    let _ = server.kill();
    let _ = server.wait();
}

fn say(what: &str, us: &Histogram<u64>) {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| us.value_at_quantile(q));
    let max = us.max();
    println!("{what:10} us  p50 {p50:6}  p99 {p99:6}  p99.9 {p999:6}  max {max:6}");
}

/// This program again, as the server.
fn start_server() -> (Child, SocketAddr) {
    let this = std::env::current_exe().expect("this program");
    let mut server = Command::new(this)
        .arg("hello")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program again");
    let mut line = String::new();
    let said = BufReader::new(server.stdout.take().expect("its output")).read_line(&mut line);
    said.expect("an address");
    (server, line.trim().parse().expect("an address"))
}

/// Accepts every order at once.
async fn hello() {
    let router = Router::new().route(
        "/api/v1/orders",
        post(|| async { (StatusCode::CREATED, ANSWER) }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    println!("{}", listener.local_addr().expect("its address"));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        // Without it answers are held back.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn current_thread() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

/// How late a thread wakes up that does nothing but sleep until the same times, while the server and the rest of the
/// machine are idle.
fn floor(duration: Duration, rate: f64) -> Histogram<u64> {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    let (began, mut late) = (Instant::now(), load::histogram());
    let mut next = Duration::ZERO;
    while next < duration {
        next += Duration::from_secs_f64(1.0 / rate);
        std::thread::sleep(next.saturating_sub(began.elapsed()));
        let us = began.elapsed().saturating_sub(next).as_micros();
        late.saturating_record(u64::try_from(us).unwrap_or(u64::MAX));
    }
    late
}
