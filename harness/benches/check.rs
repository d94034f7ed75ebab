//! How fast a run is judged, and in how much memory.
//!
//! The evidence is that of a good run with the mix of a real one, worked out on paper and read line by line. The
//! reference is the throughput that Elle reports for histories of a database; it solves another problem.
//!
//!   cargo bench -p harness --bench check                     judges 1 000 000 orders, reads a recording of 100 000
//!   cargo bench -p harness --bench check -- --orders 50000   judges as many
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "../tests/checks/clients.rs"]
mod clients;
#[path = "../tests/checks/metered.rs"]
mod metered;
#[path = "../tests/checks/open.rs"]
mod open;
#[path = "../tests/checks/recorded.rs"]
mod recorded;
#[path = "../tests/checks/saga.rs"]
mod saga;
#[path = "../tests/checks/traced.rs"]
mod traced;

use harness::check::{self, Verdict};
use harness::corrupt;
use harness::evidence::{Evidence, Source};
use harness::recording;
use recorded::{Mix, Recipe};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Transactions a second that Elle checks: its paper has 100 000 to 160 000.
const REFERENCE: &str = "Elle: 100-160 k transactions/s, another problem";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let after = |flag: &str| {
        args.iter()
            .position(|arg| arg == flag)
            .and_then(|at| args.get(at + 1)?.parse().ok())
    };
    let recipe = |orders| Recipe {
        seed: 1,
        orders,
        mix: Mix::Run,
    };
    judge(recipe(after("--orders").unwrap_or(1_000_000)));
    read(recipe(after("--recorded").unwrap_or(100_000)));
}

fn figure(name: &str, figure: impl std::fmt::Display, remark: &str) {
    println!("{name:22} {figure:>12}   {remark}");
}

/// Judges evidence three times, and proves the checks on a part of it.
fn judge(recipe: Recipe) {
    let evidence = recipe.evidence();
    figure("orders", recipe.orders, "");
    figure("rows", rows(&evidence), "");
    figure(
        "memory of the evidence",
        megabytes(peak_kb() * 1_024),
        "at most",
    );
    let mut times: Vec<Duration> = (0..3)
        .map(|_| {
            let began = Instant::now();
            let findings = check::judge(&evidence);
            let took = began.elapsed();
            assert_eq!(check::overall(&findings), Verdict::Valid, "{findings:#?}");
            took
        })
        .collect();
    times.sort();
    let seconds = times[1].as_secs_f64();
    figure(
        "judged in",
        format!("{seconds:.2} s"),
        &format!("{} checks, median of 3", check::CHECKS.len()),
    );
    figure(
        "orders/s",
        format!("{:.0}", recipe.orders as f64 / seconds),
        REFERENCE,
    );
    figure(
        "memory of the process",
        megabytes(peak_kb() * 1_024),
        "at most, evidence, joins and checks",
    );
    let began = Instant::now();
    let proof = corrupt::prove(&evidence, 7);
    let seen = format!(
        "{} corruptions seen, not seen {:?}, idle {:?}",
        proof.seen.len(),
        proof.unseen,
        proof.idle
    );
    figure(
        "proved in",
        format!("{:.2} s", began.elapsed().as_secs_f64()),
        &seen,
    );
}

/// Reads a recording from files.
fn read(recipe: Recipe) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = recipe.record(root.path()).expect("a recording");
    let bytes = size(&dir);
    let began = Instant::now();
    let evidence = recording::read(&dir).expect("a recording");
    let seconds = began.elapsed().as_secs_f64();
    assert!(evidence.missing.is_empty(), "{:?}", evidence.missing);
    let rate = format!(
        "{:.0} MB/s, {:.0} orders/s",
        bytes as f64 / 1e6 / seconds,
        recipe.orders as f64 / seconds
    );
    figure("recorded orders", recipe.orders, &megabytes(bytes));
    figure("read in", format!("{seconds:.2} s"), &rate);
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}

fn size(dir: &Path) -> u64 {
    let files = Source::ALL
        .iter()
        .filter_map(|source| fs::metadata(dir.join(source.file())).ok());
    files.map(|file| file.len()).sum()
}

fn rows(evidence: &Evidence) -> usize {
    let Evidence {
        history,
        orders,
        products,
        reservations,
        payments,
        charges,
        said,
        tap,
        applied,
        ..
    } = evidence;
    let tables =
        orders.len() + products.len() + reservations.len() + payments.len() + charges.len();
    history.len() + tables + said.len() + tap.len() + applied.len()
}

/// The most memory that this process ever had.
fn peak_kb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
