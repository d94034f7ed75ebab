//! Every kind of fault, in every service that can suffer it, under load: seen, healed, recovered from, and right.

use crate::kit::{Load, start, tell};
use harness::faults::{FaultKind, FaultRecord, Injector, Planned, plan};
use harness::target::{Place, Shop};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One window after another: each kind in each of its places.
fn one_after_another(kinds: &[FaultKind], every: Duration, lasts: Duration) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::new();
    for kind in kinds {
        let services: &[&str] = match kind {
            FaultKind::ProviderSlow | FaultKind::ProviderTimeouts => &["provider"],
            _ => &["orders", "products", "payments"],
        };
        for service in services {
            let n = u32::try_from(planned.len()).unwrap();
            planned.push(Planned {
                id: format!("{kind}-{service}"),
                kind: *kind,
                service: Some((*service).to_owned()),
                side: None,
                at: every * n,
                lasts,
            });
        }
    }
    planned
}

/// Loads a shop in this process while `planned` happens to it, and judges it.
async fn loaded(planned: Vec<Planned>) -> Vec<FaultRecord> {
    let data = tempfile::tempdir().unwrap();
    let shop = start(data.path(), &Place::Here);
    let addresses = shop.addresses();
    let load = Load::start(&addresses, 8).await;
    let shop = Arc::new(Mutex::new(shop));
    let began_us = platform::Clock::Os.now_us();
    let injector = Injector::new(Arc::clone(&shop), began_us);
    let records = injector.run(planned).await;
    for record in &records {
        println!("{} ms {record:?}", record.recovery_ms().unwrap_or(-1));
    }
    let acknowledged = load.ends_well(&addresses).await;
    assert!(acknowledged > 100, "{acknowledged}: the load was too small");
    let shop: Mutex<Shop> = Arc::into_inner(shop).expect("the injector has ended");
    shop.into_inner().unwrap().stop();
    records
}

fn was_seen_and_is_over(record: &FaultRecord) {
    assert!(record.fired_us >= Some(record.asked_us), "{record:?}");
    assert!(record.healed_us >= record.fired_us, "{record:?}");
    assert!(record.fired > 0, "{record:?}");
    let is_told_later = record.kind.is_seen_in_evidence();
    assert_eq!(record.observed == 0, is_told_later, "{record:?}");
    let recovery = record.recovery_ms().expect("it recovered");
    assert!((0..20_000).contains(&recovery), "{record:?}");
}

#[test]
fn each_kind_in_each_service_is_seen_and_everything_is_right_in_the_end() {
    tell(async {
        let kinds: Vec<FaultKind> = FaultKind::ALL
            .into_iter()
            .filter(|kind| {
                kind.has_window()
                    && !kind.needs_child()
                    && !kind.needs_distributed()
                    && *kind != FaultKind::Crash
            })
            .collect();
        let (every, lasts) = (Duration::from_millis(700), Duration::from_millis(400));
        let records = loaded(one_after_another(&kinds, every, lasts)).await;
        assert_eq!(records.len(), 2 + 5 * 3);
        records.iter().for_each(was_seen_and_is_over);
    });
}

#[test]
fn a_service_that_crashes_under_load_keeps_what_was_acknowledged() {
    tell(async {
        let (every, lasts) = (Duration::from_millis(900), Duration::from_millis(200));
        let crash = [FaultKind::Crash, FaultKind::Crash];
        let records = loaded(one_after_another(&crash, every, lasts)).await;
        records.iter().for_each(was_seen_and_is_over);
        let how: Vec<&str> = records.iter().map(|record| record.how.as_str()).collect();
        assert_eq!(how[0], "incarnation 1 → 2");
        assert_eq!(how[5], "incarnation 2 → 3");
    });
}

#[test]
fn what_the_workload_brings_is_in_the_ledger_and_seen_in_the_evidence() {
    tell(async {
        let kinds = [FaultKind::OutOfStock, FaultKind::StoreErrors];
        let records = loaded(plan(&kinds, 1, Duration::from_secs(2))).await;
        assert_eq!(records[0].kind, FaultKind::OutOfStock);
        assert_eq!(
            (records[0].observed, records[0].how.as_str()),
            (0, "in the evidence")
        );
        assert_eq!(records[0].fired_us, Some(records[0].asked_us));
        was_seen_and_is_over(&records[1]);
    });
}

#[test]
fn a_fault_that_cannot_be_brought_about_is_in_the_ledger_with_the_reason() {
    tell(async {
        let planned = Planned {
            id: "kill-1".to_owned(),
            kind: FaultKind::Kill,
            service: None,
            side: None,
            at: Duration::ZERO,
            lasts: Duration::ZERO,
        };
        let data = tempfile::tempdir().unwrap();
        let shop = Arc::new(Mutex::new(start(data.path(), &Place::Here)));
        let record = Injector::new(shop, 0).run(vec![planned]).await.remove(0);
        assert_eq!((record.fired_us, record.observed), (None, 0), "{record:?}");
        assert_eq!(record.how, "a shop in this process cannot be killed");
    });
}

#[test]
fn a_record_is_one_line_with_the_names_of_its_fields() {
    let record = FaultRecord {
        id: "crash-1".to_owned(),
        kind: FaultKind::Crash,
        service: Some("orders".to_owned()),
        asked_us: 1_000_000,
        fired_us: Some(1_001_000),
        healed_us: Some(1_201_000),
        recovered_us: Some(1_301_000),
        fired: 1,
        observed: 1,
        how: "incarnation 1 → 2".to_owned(),
    };
    assert_eq!(record.recovery_ms(), Some(300), "from its death");
    let json = serde_json::to_string(&record).unwrap();
    let line = r#"{"id":"crash-1","kind":"crash","service":"orders","askedUs":1000000,"firedUs":1001000,"healedUs":1201000,"recoveredUs":1301000,"fired":1,"observed":1,"how":"incarnation 1 → 2"}"#;
    assert_eq!(json, line);
    assert_eq!(serde_json::from_str::<FaultRecord>(line).unwrap(), record);
}
