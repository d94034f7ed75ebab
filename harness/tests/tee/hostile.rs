//! Collectors that are down, that say nothing, and that fail.

use crate::collector::collector;
use crate::kit::told;
use crate::program::run;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// The run is as good as without it, and says in one line what was lost and why.
fn in_trouble(address: SocketAddr, why: &str) {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{address}");
    let load = ["-r", "40", "-d", "2s", "--faults", "none"];
    let to = ["--otlp-endpoint", &endpoint, "--otlp-keep", "1"];
    let said = run(dir.path(), &[&load[..], &to].concat());
    let complaint = format!(" spans were not taken by the collector at {endpoint}/v1/traces: ");
    said.expect(0, &["VALID", &complaint, why]);
    let told = told(&dir.path().join("latest"));
    assert_eq!(told["sent"], 0, "{told}");
    assert!(told["dropped"].as_u64() > Some(1_000), "{told}");
}

#[test]
fn a_collector_that_is_down_costs_nothing_but_what_it_did_not_take() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    in_trouble(address, "refused");
}

#[test]
fn a_collector_that_fails_costs_nothing_but_what_it_did_not_take() {
    let failing = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
    in_trouble(collector(Some(failing)), "it answered 500");
}

#[test]
fn a_collector_that_says_nothing_costs_nothing_but_what_it_did_not_take() {
    in_trouble(collector(None), "the run was over before it answered");
}
