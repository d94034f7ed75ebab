//! Flags and files that cannot be used, and the help that says which can.

use crate::kit::{crashcart, orders, path};
use harness::faults::FaultKind;
use harness::report::Exit;
use harness::run::default_stories;
use std::fs;

#[test]
fn flags_that_cannot_be_used_are_named_with_code_104() {
    for (flags, why) in [
        (&["run", "-r", "0"][..], "must be between 0.01 and 1000000"),
        (&["run", "-r", "fast"], "must be a number"),
        (
            &["run", "-d", "15"],
            "must be a number with ms, s, m or h, such as 15s",
        ),
        (&["run", "-d", "1ms"], "must be between 100ms and 24h"),
        (&["run", "--stock", "-1"], "unexpected argument '-1'"),
        (&["run", "--stock", "1001"], "1001 is not in 0..=1000"),
        (&["run", "--seed", "x"], "--seed <N>"),
        (&["run", "--speed", "9"], "unexpected argument '--speed'"),
        (
            &["run", "--threshold", "fast"],
            "must look like `accept p(99)<10ms`",
        ),
        (
            &["check", "--threshold", "accept p(99)<10"],
            "must look like `accept p(99)<10ms`",
        ),
        (&["serve", "--port", "0"], "0 is not in 1..=65532"),
        (
            &["serve", "--synchronous", "off"],
            "possible values: normal, full",
        ),
        (&["run", "--replicas", "9"], "9 is not in 1..=8"),
        (&["run", "--batch-max", "0"], "0 is not in 1..=1024"),
        (
            &["run", "--engine", "cloud"],
            "possible values: embedded, distributed",
        ),
        (
            &["run", "--routing", "direct"],
            "possible values: fanout, topic",
        ),
        (
            &["run", "--target", "orders"],
            "must look like orders=http://host:8001",
        ),
        (
            &["run", "--target", "shipping=http://h:1"],
            "there is no service \"shipping\"; there are: orders products payments provider",
        ),
        (
            &["run", "--target", "orders=https://h:1"],
            "must look like http://host:port",
        ),
        (&["run", "--otlp-keep", "2"], "must be between 0 and 1"),
        (&["walk"], "unrecognized subcommand 'walk'"),
    ] {
        let said = crashcart(flags);
        said.expect(104, &[why]);
        assert!(said.out.is_empty(), "{}", said.all());
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_names_that_there_are_and_code_104() {
    let stories: Vec<&str> = default_stories()
        .iter()
        .map(|story| story.as_str())
        .collect();
    let faults = FaultKind::ALL.map(FaultKind::as_str);
    let bugs: Vec<&str> = contract::Bug::ALL.iter().map(|bug| bug.as_str()).collect();
    for (flag, given, what, known) in [
        (
            "--stories",
            "happy,tall",
            "story \"tall\"",
            stories.join(" "),
        ),
        ("--faults", "crash,fire", "fault \"fire\"", faults.join(" ")),
        ("--plant", "ivy", "bug \"ivy\"", bugs.join(" ")),
        // What every run has cannot be asked for.
        ("--stories", "real", "story \"real\"", stories.join(" ")),
    ] {
        let said = crashcart(&["run", flag, given]);
        said.expect(104, &[&format!("there is no {what}; there are: {known}")]);
    }
}

#[test]
fn what_can_only_be_done_otherwise_says_how_with_code_104() {
    crashcart(&["run", "--faults", "kill"]).expect(
        104,
        &["only a shop in a child process can be killed; add --child"],
    );
    crashcart(&["run", "--faults", "declines", "--stories", "happy"]).expect(
        104,
        &["the workload brings it about; add declined to --stories"],
    );
}

#[test]
fn flags_that_do_not_go_together_say_what_would_with_code_104() {
    let all = ["orders", "products", "payments", "provider"];
    let all = all.map(|service| format!("{service}=http://127.0.0.1:1"));
    let target = all.join(",");
    let distributed = ["--engine", "distributed"];
    for (flags, why) in [
        (
            &["--replicas", "2"][..],
            "--replicas: the embedded shop has none; add --engine distributed",
        ),
        (
            &["--amqp", "amqp://h"],
            "--amqp: the embedded shop has a broker of its own",
        ),
        (&["--prefix", "x"], "--prefix: only a --target has names"),
        (
            &[&distributed[..], &["--child"]].concat(),
            "--child: a distributed shop has processes",
        ),
        (
            &[&distributed[..], &["--data", "x"]].concat(),
            "--data: a distributed shop has processes and databases of its own",
        ),
        (
            &[&distributed[..], &["--postgres", "localhost"]].concat(),
            "--postgres: must look like postgres://",
        ),
        (
            &["--target", &all[0]],
            "missing are products=URL,payments=URL,provider=URL",
        ),
        (
            &["--target", &target, "--replicas", "2"],
            "--replicas: a --target runs already",
        ),
        (
            &["--target", &target, "--otlp-endpoint", "http://h:4318"],
            "--otlp-endpoint: the traces of a --target do not come to the run",
        ),
        (
            &["--traces", "0", "--otlp-endpoint", "http://h:4318"],
            "--otlp-endpoint: --traces 0 records nothing to hand on",
        ),
        (
            &["--otlp-endpoint", "h:4318"],
            "--otlp-endpoint: must look like http://host:4318, got \"h:4318\"",
        ),
        (
            &["--otlp-keep", "1"],
            "--otlp-keep: there is no collector to keep traces for; add --otlp-endpoint",
        ),
        (
            &["--target", &target, "--child"],
            "--child: a --target runs already",
        ),
        (
            &["--target", &target, "--prefix", "x"],
            "they say what to listen to on the broker; add --amqp",
        ),
        (
            &["--target", &target, "--faults", "crash"],
            "--faults crash: a shop that runs already is not ours to break",
        ),
    ] {
        crashcart(&[&["run"], flags].concat()).expect(104, &[why]);
    }
}

#[cfg(not(feature = "planted"))]
#[test]
fn a_build_without_bugs_says_how_to_get_one_with_them_and_code_104() {
    let how = "cargo run --release --features planted -- run --plant charge-twice";
    crashcart(&["run", "--plant", "charge-twice"])
        .expect(104, &["this build has no bugs to switch on", how]);
}

#[test]
fn orders_that_cannot_be_used_are_named_with_their_line_and_code_104() {
    let dir = tempfile::tempdir().unwrap();
    let head = "date,customer,quantity,amount_cents";
    for (text, why) in [
        (
            format!("{head}\n1997-01-01,1,0,5\n"),
            "line 2: quantity must be between 1 and 1000, got 0",
        ),
        (
            format!("{head}\n1997-01-01,1,1,-5\n"),
            "line 2: amount_cents",
        ),
        (
            format!("{head}\n1997-01-01,1,1,5\n1997-01-01,1\n"),
            "line 3: ",
        ),
        (
            "a,b\n".to_owned(),
            "line 1: the header must be `date,customer,quantity,amount_cents`, got `a,b`",
        ),
        (format!("{head}\n"), "the file has no orders"),
    ] {
        let file = dir.path().join("bad.csv");
        fs::write(&file, &text).unwrap();
        crashcart(&["run", "--orders", path(&file)]).expect(104, &[why]);
    }
    crashcart(&["run", "--orders", "no/such/file.csv"]).expect(104, &["no/such/file.csv"]);
}

#[test]
fn recordings_in_a_place_that_cannot_be_used_are_named_with_code_100() {
    let dir = tempfile::tempdir().unwrap();
    let file = orders(dir.path(), 1);
    crashcart(&["run", "--runs", &file]).expect(100, &["orders.csv"]);
}

#[test]
fn every_command_has_a_help_that_names_all_that_can_be_asked_for() {
    for (command, word) in [
        ("run", "--threshold"),
        ("check", "--json"),
        ("serve", "--port"),
    ] {
        for flag in ["-h", "--help"] {
            let said = crashcart(&[command, flag]);
            said.expect(0, &[&format!("Usage: crashcart {command}"), word]);
            assert!(said.err.is_empty(), "{}", said.all());
            let longest = said.out.lines().map(|line| line.chars().count()).max();
            assert!(longest.unwrap() <= 120, "{}", said.out);
        }
    }
    for flag in ["-h", "--help"] {
        crashcart(&[flag]).expect(0, &["run", "check", "serve", "Without a command it runs"]);
    }
    crashcart(&["--version"]).expect(0, &["crashcart "]);
}

#[test]
fn the_help_of_a_run_lists_each_story_and_each_fault_and_each_exit_code() {
    let said = crashcart(&["run", "--help"]);
    said.expect(0, &["Examples:"]);
    let words: Vec<&str> = said.out.split([' ', ',', '\n']).collect();
    let stories = default_stories();
    let names = stories.iter().map(|story| story.as_str());
    for name in names.chain(FaultKind::ALL.map(FaultKind::as_str)) {
        assert!(words.contains(&name), "{name} is missing in\n{}", said.out);
    }
    for command in ["run", "check"] {
        let said = crashcart(&[command, "--help"]);
        let codes = Exit::ALL.map(|exit| format!("{:>5}  {}", exit.code(), exit.meaning()));
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        said.expect(0, &codes);
    }
}
