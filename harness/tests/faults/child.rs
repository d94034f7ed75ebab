//! The shop as a child: killed, started again where it was, and never alone.

use crate::kit::{Load, PATIENCE, config, in_a_child, start, tell};
use harness::client::{Call, Client};
use harness::faults::{FaultKind, Injector, Planned};
use harness::target::{Place, Shop};
use hyper::Method;
use shop::{Answer, Command};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[test]
fn a_child_that_is_killed_under_load_keeps_what_was_acknowledged_and_its_ports() {
    tell(async {
        let data = tempfile::tempdir().unwrap();
        let shop = start(data.path(), &in_a_child());
        let (addresses, pid) = (shop.addresses(), shop.pid());
        assert!(
            shop.peak_bytes() > Some(1_000_000),
            "{:?}",
            shop.peak_bytes()
        );
        assert_ne!(pid, Some(std::process::id()));
        let load = Load::start(&addresses, 8).await;
        let shop = Arc::new(Mutex::new(shop));
        let kill = |n: u32, kind, service: Option<&str>| Planned {
            id: format!("{kind}-{n}"),
            kind,
            service: service.map(str::to_owned),
            side: None,
            at: Duration::from_millis(700) * n,
            lasts: Duration::ZERO,
        };
        let planned = vec![
            kill(1, FaultKind::Kill, None),
            kill(2, FaultKind::Crash, Some("payments")),
            kill(3, FaultKind::Kill, None),
        ];
        let began_us = platform::Clock::Os.now_us();
        let provider = Client::new(addresses.provider, PATIENCE);
        let strict = r#"{"declineAmountsCents":[4711]}"#;
        let put = Call {
            method: Method::PUT,
            body: Some(strict.into()),
            ..Call::get("/api/v1/settings")
        };
        let before = provider.send(put).await.expect("settings");
        let injector = Injector::new(Arc::clone(&shop), began_us);
        let records = tokio::spawn(injector.run(planned)).await.unwrap();
        let after = provider.send(Call::get("/api/v1/settings")).await;
        assert_eq!(after.ok(), Some(before), "the outside forgets nothing");
        for record in &records {
            assert_eq!((record.fired, record.observed), (1, 1), "{record:?}");
            assert!(record.recovery_ms() < Some(20_000), "{record:?}");
            assert!(record.recovery_ms().is_some(), "{record:?}");
        }
        let shop = Arc::into_inner(shop).unwrap().into_inner().unwrap();
        assert_eq!(shop.addresses(), addresses);
        let how = format!("→ {}", shop.pid().unwrap());
        assert!(records[2].how.ends_with(&how), "{records:?}");
        assert!(load.ends_well(&addresses).await > 100);
        shop.stop();
    });
}

#[test]
fn a_dead_child_does_not_answer_and_one_that_runs_is_not_started_twice() {
    let data = tempfile::tempdir().unwrap();
    let mut shop = start(data.path(), &in_a_child());
    let twice = shop.start_again().unwrap_err();
    assert_eq!(twice.to_string(), "the shop runs already");
    shop.kill().unwrap();
    assert_eq!((shop.pid(), shop.peak_bytes()), (None, None));
    let dead = shop.obey(Command::Fired).unwrap_err();
    assert_eq!(dead.to_string(), "the shop does not answer: it was killed");
    shop.start_again().unwrap();
    assert!(matches!(shop.obey(Command::Fired), Ok(Answer::Fired(_))));
    shop.stop();
}

#[test]
fn a_child_that_cannot_start_says_why() {
    let data = tempfile::tempdir().unwrap();
    let here = start(data.path(), &Place::Here);
    let error = Shop::start(&config(data.path()), &in_a_child()).map(|_| ());
    let why = error.unwrap_err().to_string();
    assert!(why.contains("is in use by another crashcart"), "{why}");
    here.stop();
    let program = "/not/there".into();
    let error = Shop::start(&config(data.path()), &Place::Child { program }).map(|_| ());
    let why = error.unwrap_err().to_string();
    assert!(why.contains("/not/there"), "{why}");
}

#[test]
fn a_child_obeys_line_by_line_and_ends_with_its_input() {
    let data = tempfile::tempdir().unwrap();
    let config = serde_json::json!({
        "data": data.path(), "survivesPowerLoss": false, "provider": {}, "jsonLog": false,
        "logFilter": "error", "seed": 1, "tapMax": 1_000,
    });
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_crashcart"))
        .args(["serve", "--child", &config.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("crashcart starts");
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut heard = || lines.next().expect("a line").expect("text");
    assert!(heard().starts_with(r#"{"orders":"127.0.0.1:"#));
    writeln!(input, r#"{{"do":"crash","service":"payments"}}"#).unwrap();
    assert_eq!(heard(), r#""done""#);
    writeln!(input, r#"{{"do":"dance"}}"#).unwrap();
    assert!(heard().starts_with(r#"{"failed":"unknown variant `dance`"#));
    // What a parent leaves behind when it dies, however it dies: a pipe that nobody writes to.
    drop(input);
    let until = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < until, "it outlives its parent");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{status:?}");
}
