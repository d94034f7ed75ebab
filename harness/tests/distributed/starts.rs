//! What cannot start says why, and what only a shop on real engines can do.

use crate::kit::{Fleet, block_on, config, databases, run};
use harness::client::{Call, Client};
use harness::target::{Distributed, EngineUrls, Replica, SERVICES, ShopError};
use platform::engines::Engines;
use shop::{Answer, Command};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

#[test]
fn a_service_that_does_not_come_up_is_named_with_its_last_words() {
    let Some(engines) = Engines::find("a service that does not come up") else {
        return;
    };
    // A port on which nobody listens.
    let nobody = EngineUrls {
        postgres: "postgres://postgres@127.0.0.1:1/nobody".to_owned(),
        amqp: engines.amqp.clone(),
    };
    let mut config = config(
        &engines,
        1,
        SERVICES.map(|name| (name, nobody.clone())).into(),
    );
    config.starts_within = Duration::from_secs(1);
    let error = Distributed::start(config, &AtomicBool::new(false)).map(drop);
    let Err(error @ ShopError::ServiceStart { .. }) = error else {
        panic!("{error:?}");
    };
    let error = error.to_string();
    assert!(error.starts_with("provider 1 did not start: "), "{error}");
    assert!(error.contains("Connection refused"), "{error}");
}

#[test]
fn engines_that_cannot_be_used_are_named_before_anything_is_made() {
    let Some(engines) = Engines::find("engines that cannot be used") else {
        return;
    };
    let runs = tempfile::tempdir().unwrap();
    let (nowhere, secret) = ("127.0.0.1:1", "postgres://postgres:secret@127.0.0.1:1/x");
    let broker = format!("amqp://guest:guest@{nowhere}/%2f");
    for urls in [
        ["--postgres", &engines.postgres, "--amqp", &broker],
        ["--postgres", secret, "--amqp", &engines.amqp],
    ] {
        let args = [&["--engine", "distributed", "-d", "1s"][..], &urls].concat();
        let said = run(runs.path(), &args);
        said.expect(100, &["the shop could not be set up", nowhere]);
        assert!(!said.all().contains("secret"), "{}", said.all());
    }
    assert_eq!(databases(&engines, runs.path()), [""; 0]);
}

#[test]
fn a_crash_kills_one_replica_and_the_restart_brings_it_back_where_it_was() {
    let Some(engines) = Engines::find("a crash of one replica") else {
        return;
    };
    let mut fleet = Fleet::start(engines, 2);
    let before = fleet.places();
    let shop = fleet.shop();
    let pids = |shop: &Distributed| -> Vec<Option<u32>> {
        let replicas = shop.replicas().iter();
        replicas.map(Replica::pid).collect()
    };
    let crash = |service: &str| Command::Crash {
        service: service.to_owned(),
    };
    let first = pids(shop);
    shop.obey(crash("orders")).unwrap();
    let dead = pids(shop);
    assert_eq!(dead.iter().filter(|pid| pid.is_none()).count(), 1);
    let gone = dead.iter().position(Option::is_none).unwrap();
    let restart = Command::Restart {
        service: "orders".to_owned(),
    };
    shop.obey(restart).unwrap();
    let again = pids(shop);
    let changed = |n: &usize| first[*n] != again[*n];
    assert_eq!((0..first.len()).filter(changed).collect::<Vec<_>>(), [gone]);
    assert_eq!(shop.places(), before);
    let Ok(Answer::Fired(states)) = shop.obey(Command::Fired) else {
        panic!("no states");
    };
    // Two replicas began, one of them twice.
    assert_eq!(states["orders"].incarnation, 3);
    assert!(states["orders"].runs);
    // The next crash is the other one's.
    shop.obey(crash("orders")).unwrap();
    let other = pids(shop).iter().position(Option::is_none);
    assert!(other.is_some_and(|other| other != gone), "{other:?} {gone}");
    assert!(shop.obey(crash("provider")).is_err());
    shop.kill();
    let left = shop.replicas().iter().filter(|one| one.pid().is_some());
    let left: Vec<String> = left.map(Replica::name).collect();
    assert_eq!(left, ["provider 1"]);
    shop.start_again().unwrap();
    for service in SERVICES {
        for address in before.of(service) {
            let client = Client::new(*address, Duration::from_secs(5));
            let health = block_on(client.send(Call::get("/health")));
            assert!(health.is_ok_and(|(status, _)| status == 200), "{service}");
        }
    }
}
