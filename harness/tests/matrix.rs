//! Everything that can go wrong with replicas, engines and the network between them, in one run on engines of its
//! own: each is seen by somebody else, the shop comes back from each, and every order is right in the end.
//!
//! The long one, a run for each fault and a table of them: `cargo run --release -- matrix`.

mod program;

use harness::engines::can_start;
use serde_json::Value;
use std::path::Path;

/// Runs the shop on engines of its own for so long under these faults; the summary when it was valid.
fn run(faults: &str, (seconds, rate): (u32, u32), runs: &Path) -> Value {
    let (lasts, rate) = (format!("{seconds}s"), rate.to_string());
    let args = "--engine distributed --quiet --stories none --seed 7 --faults";
    let mut args: Vec<&str> = args.split(' ').collect();
    args.extend([faults, "-d", &lasts, "-r", &rate]);
    program::run(runs, &args).expect(0, &[]);
    let summary = std::fs::read(runs.join("latest/summary.json")).unwrap();
    serde_json::from_slice(&summary).unwrap()
}

/// Each fault of a run happened, was seen, and the shop came back from it.
fn came_back(summary: &Value, count: usize) {
    let faults = summary["faults"].as_array().unwrap();
    assert_eq!(faults.len(), count, "{faults:#?}");
    for fault in faults {
        println!(
            "{} {}: {}",
            fault["kind"], fault["recoveryMs"], fault["how"]
        );
        let is_seen = fault["fired"].as_u64() > Some(0) && fault["seen"].as_u64() > Some(0);
        assert!(is_seen && fault["recoveryMs"].is_i64(), "{fault:#}");
    }
}

#[test]
fn the_shop_survives_each_fault_of_its_engines_and_loses_no_order() {
    if !can_start("the_shop_survives_each_fault_of_its_engines_and_loses_no_order") {
        return;
    }
    let runs = tempfile::tempdir().unwrap();
    // PostgreSQL comes last: it needs some seconds to repair itself.
    let faults = "kill-replica@1s,pause-replica@5s+1s,broker-connections@9s,database-backends@13s,\
                  network-cut@17s+1s,network-delay@22s+1s,network-throttle@27s+1s,\
                  network-half-open@32s+1s,database-restart@37s";
    let summary = run(faults, (50, 100), runs.path());
    came_back(&summary, 9);
    // What a server takes counts over its restarts.
    for server in ["PostgreSQL", "RabbitMQ"] {
        let ms = &summary["cpuMs"][server];
        assert!(ms.as_u64() > Some(0), "{server}: {ms}");
    }
}

#[test]
fn orders_are_accepted_while_the_broker_is_away_for_ten_seconds_and_all_settle_afterwards() {
    if !can_start("orders_are_accepted_while_the_broker_is_away_for_ten_seconds") {
        return;
    }
    let runs = tempfile::tempdir().unwrap();
    let summary = run("broker-restart@2s+10s", (20, 100), runs.path());
    came_back(&summary, 1);
    let fault = &summary["faults"][0];
    let lasted = fault["toMs"].as_i64().unwrap() - fault["fromMs"].as_i64().unwrap();
    assert!(lasted >= 10_000, "{fault:#}");
    // Valid says that each accepted order has settled; none was turned away either.
    let load = &summary["load"];
    assert_eq!(load["accepted"], load["offered"], "{load:#}");
    assert!(load["offered"].as_u64() > Some(1_500), "{load:#}");
}
