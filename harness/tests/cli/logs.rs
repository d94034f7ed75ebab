//! Log lines: one for each decision, found by the order or by its trace, and never with what a message carries.

use crate::kit::command;
use crate::serve::place_as_told;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn each_decision_about_an_order_is_one_line_that_its_trace_finds() {
    let mut child = command(&["serve", "--log", "json"])
        .env("RUST_LOG", "warn,platform=debug,payments=debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while !said.contains("Ctrl-C") {
        said.push_str(&lines.next().expect("it says how to stop it").unwrap());
        said.push('\n');
    }
    let placed = place_as_told(&said);
    let (_, body) = placed.split_once("\r\n\r\n").unwrap();
    let accepted: Value = serde_json::from_str(body).unwrap();
    let about = |line: &Value| line["order.id"] == accepted["id"];
    let mut told: Vec<Value> = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).expect("each line is JSON");
        let is_last = line["event"] == "order.finished";
        if about(&line) {
            told.push(line);
        }
        if is_last {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let decisions = told.iter().filter(|line| line["message"] == "said");
    let decisions: Vec<&str> = decisions
        .filter_map(|line| line["event"].as_str())
        .collect();
    let once: BTreeSet<&str> = decisions.iter().copied().collect();
    let saga = [
        "order.created",
        "order.finished",
        "payment.created",
        "payment.processed",
        "reservation.consumed",
        "reservation.created",
    ];
    assert_eq!(once.into_iter().collect::<Vec<_>>(), saga);
    assert_eq!(decisions.len(), saga.len(), "{decisions:?}");
    let services: BTreeSet<&str> = told
        .iter()
        .filter_map(|line| line["service"].as_str())
        .collect();
    assert_eq!(services, BTreeSet::from(["orders", "payments", "products"]));
    for line in &told {
        assert_eq!(line["trace_id"], accepted["traceId"], "{line}");
        assert_eq!(line["span_id"].as_str().map(str::len), Some(16), "{line}");
        assert!(!line.to_string().contains("amountCents"), "{line}");
    }
}
