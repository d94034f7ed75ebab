//! wrk2's experiment: a server that stands still once. Latency counts from the intended start, so what a generator
//! hides that waits for the server, this one shows.
//!
//! A test binary of its own: other tests beside it would be noise.

#[path = "load/kit.rs"]
#[expect(dead_code, reason = "the other tests of the load need the rest")]
mod kit;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use harness::load::{Limits, Sent};
use harness::workload::plan;
use hdrhistogram::Histogram;
use kit::{ACCEPTED, only_real, send, serve};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const RATE: f64 = 2_000.0;
const SECONDS: f64 = 8.0;
const STALL: Duration = Duration::from_millis(1_400);
/// Other programs on the machine can only add to the raw latency: it must be low once.
const TRIES: u32 = 3;

fn stalled_once() -> Sent {
    let answered = Arc::new(AtomicU64::new(0));
    // The only thread of the server stands still, as in a long collection of garbage.
    let placed = post(move || async move {
        if answered.fetch_add(1, Ordering::Relaxed) == 4_000 {
            std::thread::sleep(STALL);
        }
        (StatusCode::CREATED, ACCEPTED)
    });
    let address = serve(Router::new().route("/api/v1/orders", placed));
    let (_stop, stopped) = watch::channel(false);
    let limits = Limits {
        // Few, as wrk2 opens them: only requests in flight show the stall to the raw latency.
        in_flight_max: 8,
        ..Limits::default()
    };
    send(address, plan(&only_real(RATE, SECONDS)), limits, stopped).sent
}

#[test]
fn a_stall_shows_in_the_corrected_latency_and_not_in_the_raw_one() {
    let ms_p99 = |us: &Histogram<u64>| us.value_at_quantile(0.99) / 1_000;
    let mut raws = Vec::new();
    for _ in 0..TRIES {
        let sent = stalled_once();
        let (corrected, raw) = (ms_p99(&sent.corrected_us), ms_p99(&sent.raw_us));
        println!("p99 corrected {corrected} ms, raw {raw} ms");
        assert_eq!((sent.dropped, sent.accepted), (0, sent.offered));
        assert!(corrected > 1_000, "corrected p99 {corrected} ms");
        raws.push(raw);
        if raw < 20 {
            return;
        }
    }
    panic!("raw p99 {raws:?} ms, never below 20");
}
