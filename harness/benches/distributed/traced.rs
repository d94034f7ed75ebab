//! What tracing costs: nothing, one order in a hundred, and every order, in turn, in one run.

use super::closed::{closed, timed};
use super::{Engines, Shape, spent, started};
use harness::evidence::Source;
use harness::recording::Recorder;
use harness::target::{Distributed, Replica, Traces};
use harness::telemetry::{Keeper, Receiver, Sink};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// So often each is measured; the table has the medians.
const ROUNDS: usize = 3;
const SHARES: [(&str, f64); 3] = [("nothing", 0.0), ("one in 100", 0.01), ("every order", 1.0)];

/// What was measured of one share.
#[derive(Clone, Copy)]
struct Figures {
    rate: f64,
    p99_ms: f64,
    services_ms: f64,
    harness_ms: f64,
    megabytes: f64,
    bytes_s: f64,
}

/// Measures each share in turn, several times, and prints a table of medians.
pub(super) async fn compared(engines: &Engines, shape: Shape, orders: u64) {
    let mut all = SHARES.map(|_| Vec::new());
    for round in 1..=ROUNDS {
        for ((name, share), figures) in SHARES.into_iter().zip(&mut all) {
            println!("round {round}: {name}");
            figures.push(measured(engines, shape, (share, orders)).await);
        }
    }
    println!(
        "\n{:12} {:>9} {:>9} {:>15} {:>8} {:>14} {:>9} {:>9}",
        "traced", "sagas/s", "p99 ms", "services, ms", "ratio", "harness, ms", "MB", "kB/s"
    );
    let nothing = median(&all[0], |of| of.services_ms);
    for ((name, _), figures) in SHARES.into_iter().zip(&all) {
        let median = |of: fn(&Figures) -> f64| median(figures, of);
        println!(
            "{name:12} {:9.0} {:9.1} {:15.3} {:8.2} {:14.3} {:9.0} {:9.0}",
            median(|of| of.rate),
            median(|of| of.p99_ms),
            median(|of| of.services_ms),
            median(|of| of.services_ms) / nothing,
            median(|of| of.harness_ms),
            median(|of| of.megabytes),
            median(|of| of.bytes_s) / 1e3,
        );
    }
}

fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Counts what comes, in bytes.
#[derive(Default)]
struct Bytes(AtomicU64);

impl Sink for Bytes {
    fn take(&self, request: &ExportTraceServiceRequest) -> bool {
        let len = request.encoded_len() as u64;
        self.0.fetch_add(len, Ordering::Relaxed);
        true
    }
}

async fn measured(engines: &Engines, of: Shape, (share, orders): (f64, u64)) -> Figures {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let recorder = Recorder::create(dir.path(), "bench").expect("a folder");
    let file = recorder.file(Source::Spans).expect("a file");
    // As in a run: everything is written down.
    let (keeper, bytes) = (Arc::new(Keeper::new(file)), Arc::new(Bytes::default()));
    let sinks: Vec<Arc<dyn Sink>> = vec![keeper, Arc::clone(&bytes) as _];
    let receiver = Receiver::start(Receiver::anywhere(), sinks).expect("a collector");
    let sent_to = (share > 0.0).then(|| Traces {
        endpoint: receiver.endpoint(),
        share,
    });
    let running = started(engines, of, sent_to).await;
    closed(&running.doors, orders / 10, "warm", of.in_flight).await;
    let (before, came, began) = (
        spent(engines, &running.shop),
        bytes.0.load(Ordering::Relaxed),
        Instant::now(),
    );
    let (rate, took) = timed(&running.doors, orders, "traced", of.in_flight).await;
    let after = spent(engines, &running.shop);
    let came = bytes.0.load(Ordering::Relaxed) - came;
    let ms = |group: usize| {
        after[group].saturating_sub(before[group]).as_secs_f64() * 1e3 / orders as f64
    };
    let figures = Figures {
        rate,
        p99_ms: took.value_at_quantile(0.99) as f64 / 1e3,
        services_ms: ms(0),
        harness_ms: ms(3),
        megabytes: megabytes(&running.shop),
        bytes_s: came as f64 / began.elapsed().as_secs_f64(),
    };
    running.end(engines).await;
    figures
}

/// What the services have in memory now, where the system tells.
fn megabytes(shop: &Distributed) -> f64 {
    let pids = shop.replicas().iter().filter_map(Replica::pid);
    let pages = pids.filter_map(|pid| {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        statm.split(' ').nth(1)?.parse::<u64>().ok()
    });
    pages.sum::<u64>() as f64 * 4_096.0 / 1e6
}
