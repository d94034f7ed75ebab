//! `crashcart` as somebody at a terminal meets it: what it prints, and its exit codes.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn crashcart(args: &[&str]) -> Output {
    let crashcart = env!("CARGO_BIN_EXE_crashcart");
    Command::new(crashcart)
        .args(args)
        .env_remove("RUST_LOG")
        .output()
        .expect("crashcart runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A file of `n` orders of different sizes, one of them for nothing.
fn orders(dir: &Path, n: usize) -> String {
    let row = |k: usize| {
        format!(
            "1997-01-01,{k:05},{},{}\n",
            1 + k % 7,
            if k == 3 { 0 } else { 900 + 13 * (k % 50) }
        )
    };
    let rows: String = (0..n).map(row).collect();
    let path = dir.join("orders.csv");
    fs::write(
        &path,
        format!("date,customer,quantity,amount_cents\n{rows}"),
    )
    .unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn all_real_orders_end_as_they_should() {
    let output = crashcart(&["run", "-r", "1500", "--seed", "1"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("crashcart run · seed 1\n"), "{said}");
    for line in [
        "finished   6 911",
        "canceled   8 under_minimum",
        "6 919 accepted, 0 refused, 0 unknown",
        "VALID",
    ] {
        assert!(said.contains(line), "{line:?} is missing in\n{said}");
    }
}

#[test]
fn with_half_the_stock_the_rest_is_canceled_and_the_run_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let output = crashcart(&[
        "run",
        "-q",
        "-r",
        "500",
        "--stock",
        "50",
        "--orders",
        &orders(dir.path(), 300),
    ]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains("out_of_stock") && said.contains("finished") && said.contains("VALID"),
        "{said}"
    );
}

#[test]
fn progress_is_shown_in_lines_where_there_is_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let output = crashcart(&["run", "-r", "60", "--orders", &orders(dir.path(), 200)]);
    let progress = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(progress.contains("/200 settled · "), "{progress}");
}

/// Runs on `data`, then changes a database behind the shop's back, then runs again.
fn tampered(database: &str, sql: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), orders(dir.path(), 50));
    let args = [
        "run",
        "-q",
        "--orders",
        &file,
        "--data",
        data.to_str().unwrap(),
    ];
    let before = crashcart(&args);
    assert_eq!(before.status.code(), Some(0), "{}", text(&before));
    let connection = rusqlite::Connection::open(data.join(database)).unwrap();
    assert!(connection.execute(sql, []).unwrap() > 0);
    drop(connection);
    crashcart(&args)
}

#[test]
fn stock_that_comes_from_nowhere_is_invalid_with_code_111() {
    let sql =
        "update products set received = received + 1 where id = (select min(id) from products)";
    let output = tampered("products.db", sql);
    let said = text(&output);
    // Both runs are judged, the figures are those of the second.
    assert!(said.contains("  finished   49\n"), "{said}");
    assert_eq!(output.status.code(), Some(111), "{said}");
    assert!(
        said.contains("✗ S2 stock conserved") && said.contains("INVALID"),
        "{said}"
    );
    assert!(said.contains("again: crashcart run --seed "), "{said}");
}

#[test]
fn a_table_that_cannot_be_read_is_unknown_with_code_112() {
    let sql = "update charges set order_id = 'no order' where key = (select min(key) from charges)";
    let output = tampered("provider.db", sql);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(112), "{said}");
    assert!(
        said.contains("? S9 money") && said.contains("UNKNOWN"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_used_is_said_with_its_place_and_code_104() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.csv");
    fs::write(
        &file,
        "date,customer,quantity,amount_cents\n1997-01-01,1,0,5\n",
    )
    .unwrap();
    let output = crashcart(&["run", "--orders", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(104));
    assert!(
        text(&output).contains("line 2: quantity must be between 1 and 1000, got 0"),
        "{}",
        text(&output)
    );
    let output = crashcart(&["run", "--orders", "no/such/file.csv"]);
    assert_eq!(output.status.code(), Some(104));
    assert!(
        text(&output).contains("no/such/file.csv"),
        "{}",
        text(&output)
    );
    for flags in [
        ["run", "-r", "0"],
        ["run", "--stock", "-1"],
        ["run", "--speed", "9"],
    ] {
        let output = crashcart(&flags);
        assert_eq!(
            output.status.code(),
            Some(104),
            "{flags:?}: {}",
            text(&output)
        );
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_code_100() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = crashcart(&["serve", "--port", &port]);
    assert_eq!(output.status.code(), Some(100));
    let said = text(&output);
    assert!(
        said.contains(&format!("orders cannot listen on 127.0.0.1:{port}"))
            && said.contains("--port"),
        "{said}"
    );
}

#[test]
fn data_that_another_process_uses_is_refused_with_code_100() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut first = Command::new(env!("CARGO_BIN_EXE_crashcart"))
        .args(["serve", "--data", data])
        .env("RUST_LOG", "error")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = std::io::BufReader::new(first.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    let second = crashcart(&["serve", "--data", data]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.status.code(), Some(100), "{}", text(&second));
    assert!(
        text(&second).contains("is in use by another crashcart"),
        "{}",
        text(&second)
    );
}

#[test]
fn data_in_a_place_that_cannot_be_used_is_named_with_code_100() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    fs::write(&file, "").unwrap();
    let output = crashcart(&["serve", "--data", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(100));
    assert!(text(&output).contains("a-file"), "{}", text(&output));
}

#[test]
fn help_tells_the_flags_the_exit_codes_and_examples() {
    let said = text(&crashcart(&["run", "--help"]));
    for word in [
        "--rate",
        "--orders",
        "--stock",
        "--seed",
        "--data",
        "--quiet",
        "111",
        "112",
        "Examples:",
    ] {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
    assert!(text(&crashcart(&["--help"])).contains("serve"));
}

/// Sends what the printed curl line would send.
fn place_as_told(said: &str) -> String {
    let curl = &said[said.find("curl -s http://").unwrap()..];
    let (address, rest) = curl["curl -s http://".len()..].split_once('/').unwrap();
    let (path, rest) = rest.split_once(" -H '").unwrap();
    let (header, rest) = rest.split_once('\'').unwrap();
    let body = rest.split('\'').nth(1).unwrap();
    let length = body.len();
    let request = format!(
        "POST /{path} HTTP/1.1\r\nhost: {address}\r\n{header}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_served_shop_says_how_to_place_an_order_and_stops_when_told() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crashcart"))
        .arg("serve")
        .env("RUST_LOG", "warn")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    while !said.contains("Ctrl-C") {
        said.push_str(&lines.next().expect("it says how to stop it").unwrap());
        said.push('\n');
    }
    let placed = place_as_told(&said);
    assert!(
        placed.contains(r#""status":"created""#),
        "{placed}\nfrom\n{said}"
    );
    let kill = format!("kill -TERM {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
    assert!(child.wait().unwrap().success());
}
