//! Traces to look at: the page that a run leaves, the page of one order, and the page of a shop that is served.

use crate::kit::{command, crashcart, path, shared};
use std::fs;

/// The report's line about the page.
const LINE: &str = "  traces      ";

#[test]
fn a_run_leaves_a_page_of_its_traces_and_can_be_judged_again_without_it() {
    let (shared, copy) = (shared(), shared().copy());
    let page = copy.path().join("traces.html");
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.len() < 2_100_000, "{} bytes", html.len());
    assert_eq!(html.matches("\"bars\":").count(), 60, "each of 60 orders");
    let line = shared.said.out.lines().find(|line| line.starts_with(LINE));
    assert!(line.is_some_and(|line| line.ends_with("/traces.html")));
    let recording = path(copy.path());
    let named = format!("{LINE}{}", path(&page));
    crashcart(&["check", recording]).expect(0, &["VALID", &named]);
    fs::remove_file(&page).unwrap();
    let said = crashcart(&["check", recording]);
    said.expect(0, &["VALID"]);
    assert!(!said.out.contains(LINE), "{}", said.all());
}

#[test]
fn one_order_is_written_as_a_page() {
    let recording = shared().copy();
    let orders = fs::read_to_string(recording.path().join("orders.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(orders.lines().next().unwrap()).unwrap();
    let (id, file) = (
        first["id"].as_str().unwrap(),
        recording.path().join("one.html"),
    );
    let trace = |order: &str, to: &str| {
        crashcart(&[
            "trace",
            order,
            "--recording",
            path(recording.path()),
            "--html",
            to,
        ])
    };
    trace(id, path(&file)).expect(0, &["one.html"]);
    assert!(fs::read_to_string(&file).unwrap().contains(id));
    let none = "01a1ff15-290a-7546-8260-8817b11f05bc";
    trace(none, path(&file)).expect(104, &["nothing of order", none]);
    let nowhere = recording.path().join("none/one.html");
    trace(id, path(&nowhere)).expect(104, &["none/one.html"]);
}

#[test]
fn traces_go_to_the_page_or_to_a_collector_and_not_to_both() {
    let serve = |name: &str, value: &str| {
        let mut command = command(&["serve", "--ui", "127.0.0.1:0"]);
        crate::kit::Said::from(command.env(name, value).output().unwrap())
    };
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    serve(endpoint, "http://127.0.0.1:4318").expect(
        100,
        &[
            "unset OTEL_EXPORTER_OTLP_ENDPOINT to see them there",
            "leave --ui out",
        ],
    );
    serve("OTEL_SDK_DISABLED", "true").expect(100, &["nothing is traced", "OTEL_SDK_DISABLED"]);
    crashcart(&["serve", "--ui", "somewhere"]).expect(104, &["--ui"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    crashcart(&["serve", "--ui", &address]).expect(100, &[&address, "another --ui"]);
}
