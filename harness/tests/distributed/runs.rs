//! `crashcart run --engine distributed`, from nothing to nothing.

use crate::kit::{command, databases, run, summary, verdict};
use platform::engines::Engines;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn a_run_on_real_engines_is_judged_like_any_other_and_leaves_nothing_there() {
    let Some(engines) = Engines::find("a run on real engines") else {
        return;
    };
    let runs = tempfile::tempdir().unwrap();
    let urls = ["--postgres", &engines.postgres, "--amqp", &engines.amqp];
    let args = "-q --engine distributed -r 50 -d 5s --faults none --routing topic --batch-max 64";
    let args: Vec<&str> = args.split(' ').chain(urls).collect();
    let said = run(runs.path(), &args);
    said.expect(0, &["distributed, 1 replica, topic, PostgreSQL ", "VALID"]);
    assert_eq!(said.err, "", "{}", said.all());
    let summary = summary(runs.path());
    for tapped in ["D1", "D2", "D3", "S14"] {
        assert_eq!(verdict(&summary, tapped), "valid", "{tapped}");
    }
    assert_eq!(summary["engine"]["name"], "distributed");
    assert!(summary["engine"]["rabbitmq"].is_string(), "{summary}");
    for group in ["all", "services", "harness"] {
        let ms = summary["cpuMsPerSaga"][group].as_f64();
        assert!(ms.is_some_and(|ms| ms > 0.0), "{group}: {summary}");
    }
    assert_eq!(databases(&engines, runs.path()), [""; 0]);
}

#[test]
fn two_replicas_that_are_killed_and_made_to_fail_keep_every_promise() {
    let Some(engines) = Engines::find("two replicas that are killed") else {
        return;
    };
    let runs = tempfile::tempdir().unwrap();
    let urls = ["--postgres", &engines.postgres, "--amqp", &engines.amqp];
    let args = "--engine distributed --replicas 2 -r 50 -d 10s --stories happy,retry,reread \
                --faults kill,crash,duplicates,store-errors";
    let args: Vec<&str> = args.split_whitespace().chain(urls).collect();
    let said = run(runs.path(), &args);
    said.expect(
        0,
        &[
            "creating a PostgreSQL database for each service",
            "starting 7 processes",
            "waiting until all services are ready",
            "distributed, 2 replicas, fanout",
        ],
    );
    let summary = summary(runs.path());
    for fault in summary["faults"].as_array().unwrap() {
        assert!(fault["seen"].as_u64().unwrap() > 0, "{fault}");
    }
    assert!(!said.err.contains("could not be removed"), "{}", said.all());
    assert_eq!(databases(&engines, runs.path()), [""; 0]);
}

#[test]
fn a_run_that_is_interrupted_takes_everything_away() {
    let Some(engines) = Engines::find("an interrupted run") else {
        return;
    };
    // Once while the processes start, once under load.
    for line in ["starting 4 processes", " offered · "] {
        let runs = tempfile::tempdir().unwrap();
        let urls = ["--postgres", &engines.postgres, "--amqp", &engines.amqp];
        let args = "--engine distributed -r 50 -d 60s --faults none";
        let args: Vec<&str> = args.split(' ').chain(urls).collect();
        let mut command = command(runs.path(), &args);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut crashcart = command.spawn().unwrap();
        let mut err = BufReader::new(crashcart.stderr.take().unwrap()).lines();
        let seen = err.by_ref().map_while(Result::ok);
        let seen: Vec<String> = seen.take_while(|said| !said.contains(line)).collect();
        let kill = Command::new("kill")
            .args(["-INT", &crashcart.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let rest: Vec<String> = err.map_while(Result::ok).collect();
        let code = crashcart.wait().unwrap().code();
        assert_eq!(code, Some(105), "{seen:?} {rest:?}");
        let failed = rest.iter().find(|said| said.contains("not be removed"));
        assert_eq!(failed, None);
        assert_eq!(databases(&engines, runs.path()), [""; 0], "{line}");
    }
}
