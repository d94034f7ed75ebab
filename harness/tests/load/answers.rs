//! What answers mean, and that nothing of what was sent is missing in the history.

use crate::kit::{ACCEPTED, SETTLED, config, load, only_real, runtime, send, send_all, serve};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use harness::history::{Action, Operation, Outcome, Story};
use harness::load::{self as generator, Limits};
use harness::workload::{Script, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

fn orders(status: StatusCode, body: &'static str) -> SocketAddr {
    let placed = post(move || async move { (status, body) });
    serve(Router::new().route("/api/v1/orders", placed))
}

/// How every order ended that was sent to `address`.
fn outcomes(address: SocketAddr) -> BTreeSet<String> {
    let seen = send_all(address, plan(&only_real(200.0, 0.2)));
    let named = |operation: &Operation| match &operation.outcome {
        Outcome::Unknown { why } => format!("unknown: {why}"),
        other => format!("{other:?}"),
    };
    assert!(!seen.operations.is_empty());
    seen.operations.iter().map(named).collect()
}

fn one(outcomes: &BTreeSet<String>) -> &str {
    assert_eq!(outcomes.len(), 1, "{outcomes:?}");
    outcomes.first().unwrap()
}

#[test]
fn an_overloaded_service_has_done_nothing() {
    let problem = r#"{"type":"/problems/overloaded","status":503}"#;
    let outcomes = outcomes(orders(StatusCode::SERVICE_UNAVAILABLE, problem));
    assert_eq!(one(&outcomes), "Refused { status: 503 }");
}

#[test]
fn a_service_whose_database_does_not_work_has_done_nothing() {
    let problem = r#"{"type":"/problems/outage","status":503}"#;
    let outcomes = outcomes(orders(StatusCode::SERVICE_UNAVAILABLE, problem));
    assert_eq!(one(&outcomes), "Refused { status: 503 }");
}

#[test]
fn every_other_5xx_may_have_been_done() {
    let problem = r#"{"type":"/problems/unavailable","detail":"not overloaded"}"#;
    let unavailable = outcomes(orders(StatusCode::SERVICE_UNAVAILABLE, problem));
    assert_eq!(one(&unavailable), "unknown: 503 Service Unavailable");
    let gateway = outcomes(orders(StatusCode::GATEWAY_TIMEOUT, ""));
    assert_eq!(one(&gateway), "unknown: 504 Gateway Timeout");
}

#[test]
fn a_4xx_is_refused_and_a_201_that_says_nothing_is_unknown() {
    let bad = outcomes(orders(StatusCode::UNPROCESSABLE_ENTITY, ""));
    assert_eq!(one(&bad), "Refused { status: 422 }");
    let empty = outcomes(orders(StatusCode::CREATED, "{}"));
    assert!(one(&empty).starts_with("unknown: a 201 Created that cannot be read"));
}

#[test]
fn where_nobody_listens_nothing_was_done() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(one(&outcomes(free)), "Refused { status: 0 }");
}

#[test]
fn a_connection_that_is_cut_after_the_request_leaves_it_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            // How much came does not matter: it goes away without an answer.
            let _ = stream.read(&mut [0; 4_096]);
        }
    });
    for outcome in outcomes(address) {
        assert!(outcome.starts_with("unknown: no answer"), "{outcome}");
    }
}

/// A service that accepts every good order, and refuses a key that comes with a second body.
fn shop() -> SocketAddr {
    let keys = Arc::new(Mutex::new(BTreeMap::new()));
    let placed = post(
        move |headers: axum::http::HeaderMap, body: String| async move {
            let key = headers["idempotency-key"].to_str().unwrap().to_owned();
            let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
            let quantity = &body["items"][0]["quantity"];
            let first = keys
                .lock()
                .unwrap()
                .entry(key)
                .or_insert(body.clone())
                .clone();
            if first == body && quantity.is_u64() {
                (StatusCode::CREATED, ACCEPTED)
            } else {
                (StatusCode::UNPROCESSABLE_ENTITY, "")
            }
        },
    );
    let read = get(|| async { SETTLED });
    let routes = Router::new().route("/api/v1/orders", placed);
    serve(routes.route("/api/v1/orders/{id}", read))
}

/// How many operations a script has when everything is answered.
fn length(script: &Script) -> usize {
    match script {
        Script::Once(_) | Script::Badly(_) | Script::HangUp(..) => 1,
        Script::Retry(_) | Script::DoubleClick(_) | Script::KeyReused(..) => 2,
        Script::Reread(_) => 5,
    }
}

#[test]
fn every_start_yields_its_operations_and_nothing_is_dropped() {
    let workload = plan(&config(400.0, 2.0));
    let expected: usize = workload
        .starts
        .iter()
        .map(|start| length(&start.script))
        .sum();
    let starts = workload.starts.clone();
    let seen = send_all(shop(), workload);
    assert_eq!(seen.sent.offered, starts.len() as u64);
    assert_eq!(seen.sent.dropped, 0);
    assert_eq!(
        seen.sent.offered,
        seen.sent.accepted + seen.sent.refused + seen.sent.unknown
    );
    assert_eq!(seen.progress.in_flight(), 0);
    assert_eq!(seen.operations.len(), expected);
    let mut by_key: BTreeMap<String, Vec<&Operation>> = BTreeMap::new();
    for operation in &seen.operations {
        assert!(operation.due_us <= operation.start_us, "{operation:?}");
        assert!(operation.start_us <= operation.end_us, "{operation:?}");
        if let Some(key) = &operation.key {
            by_key.entry(key.clone()).or_default().push(operation);
        }
    }
    assert_eq!(by_key.len(), starts.len());
    for (n, start) in starts.iter().enumerate() {
        let operations = &by_key[&format!("run-{n}")];
        assert!(operations.iter().all(|op| op.story == start.story));
        check(start.story, operations);
    }
    let reads = seen
        .operations
        .iter()
        .filter(|op| matches!(op.action, Action::Read { .. }));
    let rereads = starts.iter().filter(|start| start.story == Story::Reread);
    assert_eq!(reads.count(), rereads.count() * 4);
}

/// What the operations of a story look like against a shop that does what it should.
fn check(story: Story, operations: &[&Operation]) {
    let place = |n: usize| match &operations[n].action {
        Action::Place { items } => items,
        other => panic!("{other:?} in {story:?}"),
    };
    let ok = |n: usize| matches!(operations[n].outcome, Outcome::Ok { .. });
    match story {
        Story::Retry => {
            assert!(ok(0) && ok(1) && place(0) == place(1));
            assert!(operations[1].due_us >= operations[0].end_us);
        }
        Story::DoubleClick => {
            assert!(ok(0) && ok(1) && place(0) == place(1));
            assert_eq!(operations[0].due_us, operations[1].due_us);
        }
        Story::KeyReused => {
            assert_ne!(place(0), place(1));
            assert!(ok(0));
            assert_eq!(operations[1].outcome, Outcome::Refused { status: 422 });
        }
        Story::InvalidBody => {
            assert!(matches!(operations[0].action, Action::PlaceBadly { .. }));
        }
        Story::Abandoned => {
            let Outcome::Unknown { why } = &operations[0].outcome else {
                panic!("{operations:?}")
            };
            assert_eq!(why, "no answer: the client hung up");
        }
        _ => assert!(ok(0), "{operations:?}"),
    }
}

#[test]
fn a_load_that_is_stopped_ends_what_is_in_flight_and_sends_nothing_more() {
    let (stop, stopped) = watch::channel(false);
    let came = AtomicU64::new(0);
    let shared = Arc::new((stop, came));
    // All that may be in flight are there: stop, and answer none of them.
    let placed = post(move || async move {
        let (stop, came) = &*shared;
        if came.fetch_add(1, Ordering::Relaxed) + 1 == 10 {
            stop.send_replace(true);
        }
        std::future::pending::<&str>().await
    });
    let address = serve(Router::new().route("/api/v1/orders", placed));
    let limits = Limits {
        in_flight_max: 10,
        ..Limits::default()
    };
    let began = Instant::now();
    let seen = send(address, plan(&only_real(200.0, 60.0)), limits, stopped);
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(seen.operations.len(), 10);
    for operation in &seen.operations {
        let why = "the load was stopped".to_owned();
        assert_eq!(operation.outcome, Outcome::Unknown { why });
    }
    assert_eq!(seen.sent.unknown, 10);
    assert_eq!(seen.sent.offered, 10 + seen.sent.dropped);
}

#[test]
fn starts_that_find_no_room_to_wait_are_counted() {
    let placed = post(|| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        (StatusCode::CREATED, ACCEPTED)
    });
    let address = serve(Router::new().route("/api/v1/orders", placed));
    let (_stop, stopped) = watch::channel(false);
    let limits = Limits {
        in_flight_max: 5,
        waiting_max: 5,
    };
    let seen = send(address, plan(&only_real(200.0, 0.5)), limits, stopped);
    let sent = seen.sent;
    assert!(
        sent.dropped > 50 && sent.dropped_share() > 0.5,
        "{}",
        sent.dropped
    );
    assert_eq!(sent.offered, sent.accepted + sent.dropped);
    assert_eq!(sent.accepted, seen.operations.len() as u64);
    assert_eq!(sent.waited, 5);
}

#[test]
fn what_nobody_writes_down_is_not_sent() {
    let address = orders(StatusCode::CREATED, ACCEPTED);
    let (_stop, stopped) = watch::channel(false);
    let workload = plan(&only_real(200.0, 0.2));
    let load = load(address, workload, Limits::default(), stopped);
    let (history, nobody) = mpsc::channel(1);
    drop(nobody);
    let sent = runtime().block_on(generator::send(load, Arc::default(), history));
    assert!(sent.offered > 0);
    assert_eq!(sent.dropped, sent.offered);
}
