//! `crashcart run`: what it says while it runs and in the end, and what it leaves.

use crate::kit::{command, json, orders, path, run, shared};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_run_says_its_seed_first_then_how_it_goes_and_in_the_end_its_verdict() {
    let said = &shared().said;
    assert!(
        said.out.starts_with("crashcart run · seed 11\n\n"),
        "{}",
        said.all()
    );
    said.expect(
        0,
        &[
            "offered     60 in ",
            "60 accepted, 0 refused, 0 unknown, 0 dropped",
            "finished    59\n",
            "canceled    1 = 1 under_minimum\n",
            "VALID (exit code 0): every check that was due looked at something and found no violation",
        ],
    );
    // Not a terminal, so there are lines instead of a bar.
    assert!(said.err.contains(" offered · "), "{}", said.all());
    assert!(said.err.contains(" settled, "), "{}", said.all());
    let recording = shared().recording();
    for file in [
        "summary.json",
        "report.txt",
        "junit.xml",
        "plan.json",
        "history.jsonl",
    ] {
        assert!(recording.join(file).exists(), "{file}");
    }
}

#[test]
fn the_latest_recording_is_the_newest_and_the_quiet_say_nothing_but_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let (file, runs) = (orders(dir.path(), 20), dir.path().join("runs"));
    let latest = || fs::read_link(runs.join("latest")).unwrap();
    let mut before = None;
    for seed in ["1", "2"] {
        let args = [
            "-q",
            "--seed",
            seed,
            "-r",
            "40",
            "--orders",
            &file,
            "--stories",
            "none",
        ];
        let said = run(&runs, &[&args[..], &["--faults", "none"]].concat());
        said.expect(0, &[]);
        assert_eq!(said.err, "", "{}", said.all());
        let now = latest();
        assert!(path(&now).ends_with(&format!("-{seed}")), "{now:?}");
        assert_ne!(before.replace(now.clone()), Some(now.clone()));
        assert_eq!(json(&runs.join("latest/summary.json"))["run"], path(&now));
    }
}

#[test]
fn with_half_the_stock_the_rest_is_canceled_and_the_run_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let file = orders(dir.path(), 60);
    let args = [
        "--stock",
        "50",
        "-r",
        "40",
        "--orders",
        &file,
        "--stories",
        "none",
    ];
    let said = run(dir.path(), &[&args[..], &["--faults", "none"]].concat());
    said.expect(0, &["out_of_stock", "finished", "VALID"]);
}

#[test]
fn a_threshold_that_is_missed_is_said_with_what_it_was_and_code_99() {
    let dir = tempfile::tempdir().unwrap();
    let file = orders(dir.path(), 20);
    let args = [
        "-r",
        "40",
        "--orders",
        &file,
        "--stories",
        "none",
        "--faults",
        "none",
    ];
    let asked = [
        "--threshold",
        "accept p(99)<0.001ms",
        "--threshold",
        "accept count>=20",
    ];
    let said = run(dir.path(), &[&args[..], &asked].concat());
    said.expect(
        99,
        &[
            "✗ accept p(99)<0.001ms  it was ",
            "✓ accept count>=20      it was 20",
            "VALID (exit code 99): every check is valid, and a threshold was missed",
            "--threshold 'accept p(99)<0.001ms' --threshold 'accept count>=20'",
        ],
    );
    let again = crate::kit::crashcart(&["check", path(&dir.path().join("latest"))]);
    again.expect(99, &["because     accept p(99)<0.001ms: it was "]);
}

/// Runs again on data of a valid run, in which something was changed behind the shop's back.
fn tampered(database: &str, sql: &str) -> crate::kit::Said {
    let (dir, data) = (tempfile::tempdir().unwrap(), shared().data());
    let connection = rusqlite::Connection::open(data.path().join(database)).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0);
    drop(connection);
    let (file, data) = (shared().orders(), path(data.path()).to_owned());
    let args = ["-q", "-r", "40", "--orders", path(&file), "--data", &data];
    run(
        dir.path(),
        &[&args[..], &["--stories", "none", "--faults", "none"]].concat(),
    )
}

#[test]
fn stock_that_comes_from_nowhere_is_invalid_with_code_111() {
    let said = tampered(
        "products.db",
        "update products set received = received + 1 where id = (select min(id) from products)",
    );
    // Both runs are judged, the figures are those of the second.
    said.expect(
        111,
        &[
            "finished    59\n",
            "✗ S2  stock conserved",
            "INVALID",
            "run again   crashcart run --seed ",
        ],
    );
}

#[test]
fn a_table_that_cannot_be_read_is_unknown_with_code_112() {
    let said = tampered(
        "provider.db",
        "update charges set order_id = 'no order' where key = (select min(key) from charges)",
    );
    said.expect(112, &["? S9  money", "UNKNOWN"]);
}

/// What of a plan comes from its seed.
fn planned(recording: &Path) -> (serde_json::Value, Vec<String>) {
    let plan = json(&recording.join("plan.json"));
    let load_from_us = plan["loadFromUs"].as_i64().unwrap();
    let faults = fs::read_to_string(recording.join("faults.jsonl")).unwrap();
    let faults = faults.lines().map(|line| {
        let fault: serde_json::Value = serde_json::from_str(line).unwrap();
        let after_us = fault["askedUs"].as_i64().unwrap() - load_from_us;
        format!("{} {} {after_us}", fault["id"], fault["service"])
    });
    let of_the_seed =
        ["seed", "starts", "stories", "faults", "rate"].map(|field| plan[field].clone());
    (of_the_seed.into_iter().collect(), faults.collect())
}

#[test]
fn the_same_seed_plans_the_same_orders_stories_and_faults() {
    let dir = tempfile::tempdir().unwrap();
    let plans = ["first", "second", "other"].map(|name| {
        let runs = dir.path().join(name);
        let seed = if name == "other" { "6" } else { "5" };
        let args = [
            "-q",
            "--seed",
            seed,
            "-r",
            "60",
            "-d",
            "1s",
            "--faults",
            "crash,duplicates",
        ];
        let said = run(&runs, &args);
        // In so short a run not every fault need show.
        assert!([0, 114].contains(&said.code), "{}", said.all());
        planned(&runs.join("latest"))
    });
    assert_eq!(plans[0], plans[1]);
    assert_ne!(plans[0].1, plans[2].1);
    assert_eq!(plans[0].1.len(), 2, "{:?}", plans[0].1);
}

#[test]
fn an_interrupted_run_ends_at_once_without_a_verdict_and_with_code_105() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = command(&[
        "run",
        "-r",
        "20",
        "-d",
        "2m",
        "--faults",
        "none",
        "--runs",
        path(dir.path()),
    ])
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    let first = lines.next().expect("it says how it goes").unwrap();
    assert!(first.contains(" offered · "), "{first}");
    let kill = format!("kill -INT {}", running.id());
    let told = Instant::now();
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let rest = rest.join("\n");
    assert_eq!(running.wait().unwrap().code(), Some(105), "{rest}");
    assert!(
        rest.contains("interrupted: there is no verdict; what was recorded so far is in "),
        "{rest}"
    );
    // What is in flight may take two seconds; the plan would have taken two minutes.
    assert!(
        told.elapsed() < Duration::from_secs(60),
        "{:?}",
        told.elapsed()
    );
    assert!(!dir.path().join("latest").exists());
}
