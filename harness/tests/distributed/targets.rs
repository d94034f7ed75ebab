//! `crashcart run --target …`: a shop that runs already, and goes on afterwards.

use crate::kit::{Fleet, block_on, forget, run, summary, verdict};
use harness::client::{Call, Client};
use platform::engines::Engines;
use serde_json::Value;
use std::time::Duration;

fn provider_settings(fleet: &Fleet) -> Value {
    let provider = Client::new(fleet.places().of("provider")[0], Duration::from_secs(5));
    let (_, body) = block_on(provider.send(Call::get("/api/v1/settings"))).expect("an answer");
    serde_json::from_slice(&body).expect("JSON")
}

#[test]
fn a_shop_that_runs_is_judged_by_one_run_after_the_other_and_left_as_it_was() {
    let Some(engines) = Engines::find("a target judged twice") else {
        return;
    };
    let fleet = Fleet::start(engines, 2);
    let (target, prefix, usual) = (fleet.target(), fleet.prefix(), provider_settings(&fleet));
    let runs = tempfile::tempdir().unwrap();
    let args = ["-q", "-r", "60", "-d", "4s", "--target", &target];
    let tapped = ["--amqp", fleet.amqp(), "--prefix", &prefix];
    let first = run(runs.path(), &[&args[..], &tapped].concat());
    first.expect(0, &["target, 2 replicas, fanout", "VALID"]);
    assert_eq!(first.err, "", "{}", first.all());
    let orders = summary(runs.path())["orders"].as_u64().unwrap();
    assert_eq!(verdict(&summary(runs.path()), "D1"), "valid");
    // Only what can be done to a shop that is not ours.
    for fault in summary(runs.path())["faults"].as_array().unwrap() {
        let kind = fault["kind"].as_str().unwrap();
        let is_outside = kind.starts_with("provider-");
        let is_workload = ["under-minimum", "declines", "out-of-stock"].contains(&kind);
        assert!(is_outside || is_workload, "{fault}");
    }
    let second = run(runs.path(), &args);
    second.expect(
        0,
        &["not due: the target's exchange cannot be tapped without --amqp"],
    );
    let summary = summary(runs.path());
    assert_eq!(verdict(&summary, "D1"), "not-applicable");
    // As many as before, and not all that are there by now.
    let again = summary["orders"].as_u64().unwrap();
    assert!(again < orders + orders / 2, "{again} after {orders}");
    assert_eq!(provider_settings(&fleet), usual);
}

#[test]
fn a_run_that_listens_where_the_shop_does_not_speak_says_so() {
    let Some(engines) = Engines::find("a tap at the wrong exchange") else {
        return;
    };
    let prefix = format!("{}_elsewhere_", engines.prefix);
    let fleet = Fleet::start(engines, 1);
    let runs = tempfile::tempdir().unwrap();
    let target = fleet.target();
    let args = ["-d", "1s", "--target", &target, "--prefix", &prefix];
    let said = run(
        runs.path(),
        &[&args[..], &["--amqp", fleet.amqp(), "--stories", "happy"]].concat(),
    );
    forget(fleet.amqp(), &prefix);
    said.expect(
        100,
        &["do --amqp, --prefix and --routing belong to this shop?"],
    );
}

#[test]
fn a_target_that_is_not_there_is_named() {
    let runs = tempfile::tempdir().unwrap();
    let target = ["orders", "products", "payments", "provider"];
    let target = target.map(|service| format!("{service}=http://127.0.0.1:1"));
    let target = target.join(",");
    let said = run(
        runs.path(),
        &["-d", "1s", "--ready", "1s", "--target", &target],
    );
    said.expect(100, &["not ready within 1s", "at 127.0.0.1:1"]);
}
