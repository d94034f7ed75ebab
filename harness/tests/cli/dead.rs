//! `crashcart dead-letters`: what a shop gave up, seen and decided from a terminal.

use crate::kit::{command, crashcart};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A shop that is served from a folder, and where its services are.
struct Served {
    child: Child,
    targets: Vec<String>,
}

impl Served {
    fn start(data: &Path) -> Self {
        let mut child = command(&["serve", "--data", data.to_str().unwrap()])
            .env("RUST_LOG", "off")
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut targets = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(at) = line.find(" http://").filter(|_| targets.len() < 3) {
                targets.push(line[at + 1..].to_owned());
            }
            if line.contains("Ctrl-C") {
                break;
            }
        }
        Self { child, targets }
    }

    /// Asks about dead letters of this shop.
    fn dead(&self, args: &[&str]) -> crate::kit::Said {
        let targets = self.targets.join(",");
        crashcart(&[&["dead-letters"], args, &["--target", &targets]].concat())
    }

    fn stop(mut self) {
        let kill = format!("kill -TERM {}", self.child.id());
        let told = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(told.success() && self.child.wait().unwrap().success());
    }
}

/// Products and orders gave up the shop's first message, and payments something that is no message.
fn spoil(data: &Path) {
    let file = rusqlite::Connection::open(data.join("broker.db")).unwrap();
    file.execute_batch(
        "insert into messages (seq, body)
             select max(seq) + 1, 'gibberish' from messages;
         update queues set mark = (select max(seq) from messages);
         insert into exceptions (queue, seq, attempts, due_us, reason, at_us) values
             ('products', (select min(seq) from messages), 3, null, 'no such' || char(10) || 'table', 1000000),
             ('orders', (select min(seq) from messages), 3, null, 'no such table', 1500000),
             ('payments', (select max(seq) from messages), 0, null, 'not a message', 2000000);",
    )
    .unwrap();
}

#[test]
fn dead_letters_are_listed_replayed_and_discarded() {
    let dir = tempfile::tempdir().unwrap();
    Served::start(dir.path()).stop();
    spoil(dir.path());
    let shop = Served::start(dir.path());

    let said = shop.dead(&["list"]);
    said.expect(0, &["QUEUE", "product.created", "no such table"]);
    let rows: Vec<Vec<&str>> = said
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), 4, "{}", said.out);
    assert_eq!(
        (rows[1][0], rows[1][2], rows[1][4]),
        ("products", "product.created", "3")
    );
    assert_eq!((rows[2][0], rows[2][1]), ("orders", rows[1][1]));
    assert_eq!((rows[3][0], rows[3][2], rows[3][3]), ("payments", "-", "-"));
    let (readable, unreadable) = (rows[1][1], rows[3][1]);
    let json = shop.dead(&["list", "--json"]);
    json.expect(
        0,
        &[r#""message":"gibberish""#, r#""reason":"no such\ntable""#],
    );

    let (of_products, of_orders) = (
        format!("replayed {readable} products"),
        format!("replayed {readable} orders"),
    );
    shop.dead(&["replay", readable])
        .expect(0, &[&of_products, &of_orders]);
    shop.dead(&["replay", readable])
        .expect(100, &[&format!("{readable} is no dead letter")]);
    shop.dead(&["discard", "--all"]).expect(104, &["add --yes"]);
    shop.dead(&["discard", "--all", "--yes"])
        .expect(0, &[&format!("discarded {unreadable} payments")]);
    shop.dead(&["list"])
        .expect(0, &["There are no dead letters."]);
    shop.dead(&["replay", "--all"])
        .expect(0, &["There are no dead letters."]);
    shop.stop();
}

#[test]
fn a_service_that_cannot_be_asked_is_named_with_code_100() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    for what in [
        &["list"][..],
        &["replay", "--all"],
        &["discard", "019f5f2a-7c1e-8a52-9d0e-3c5d1f0b7a11"],
    ] {
        let all = [&["dead-letters"], what, &["-t", &nobody]].concat();
        crashcart(&all).expect(100, &[&nobody, "cannot connect"]);
    }
}

#[test]
fn flags_that_cannot_be_used_are_named_with_code_104() {
    for (flags, why) in [
        (
            &["list", "-t", "https://127.0.0.1:1"][..],
            "must look like http://127.0.0.1:8001",
        ),
        (&["replay"], "<ID|--all>"),
        (&["replay", "x"], "invalid value 'x'"),
        (
            &["replay", "--all", "019f5f2a-7c1e-8a52-9d0e-3c5d1f0b7a11"],
            "cannot be used with",
        ),
    ] {
        crashcart(&[&["dead-letters"], flags].concat()).expect(104, &[why]);
    }
}
