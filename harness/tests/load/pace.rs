//! Latency counts from the intended start: what a generator hides that waits for the shop, this one shows.

use crate::kit::{ACCEPTED, only_real, send, serve};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use harness::load::Limits;
use harness::workload::plan;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const RATE: f64 = 2_000.0;
const SECONDS: f64 = 8.0;
const STALL: Duration = Duration::from_millis(1_400);

#[test]
fn a_stall_shows_in_the_corrected_latency_and_not_in_the_raw_one() {
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
        in_flight_max: 16,
        ..Limits::default()
    };
    let sent = send(address, plan(&only_real(RATE, SECONDS)), limits, stopped).sent;
    let p99 = |us: &hdrhistogram::Histogram<u64>| us.value_at_quantile(0.99) / 1_000;
    let (corrected, raw) = (p99(&sent.corrected_us), p99(&sent.raw_us));
    println!(
        "p99 corrected {corrected} ms, raw {raw} ms; lateness {} us; {} offered, {} waited",
        sent.late_us.value_at_quantile(0.99),
        sent.offered,
        sent.waited
    );
    assert_eq!((sent.dropped, sent.accepted), (0, sent.offered));
    assert!(corrected > 1_000, "corrected p99 {corrected} ms");
    assert!(raw < 20, "raw p99 {raw} ms");
}
