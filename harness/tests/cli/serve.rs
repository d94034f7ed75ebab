//! `crashcart serve`: a shop to try things with.

use crate::kit::{command, crashcart, path};
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

#[test]
fn a_port_that_is_taken_is_named_with_code_100() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = crashcart(&["serve", "--port", &port]);
    let named = format!("orders cannot listen on 127.0.0.1:{port}");
    said.expect(100, &[&named, "--port"]);
}

#[test]
fn data_that_another_process_uses_is_refused_with_code_100() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let mut first = command(&["serve", "--data", data])
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
    second.expect(100, &["is in use by another crashcart"]);
}

#[test]
fn data_in_a_place_that_cannot_be_used_is_named_with_code_100() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    fs::write(&file, "").unwrap();
    crashcart(&["serve", "--data", path(&file)]).expect(100, &["a-file"]);
}

/// Sends what the printed curl line would send.
pub fn place_as_told(said: &str) -> String {
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
    let mut child = command(&["serve"])
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
