//! Steps of made-up orders, and a client that sees whole answers.

use harness::telemetry::SpanLine;
use harness::ui::{Orders, Step};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use uuid::Uuid;

pub const START_US: i64 = 1_700_000_000_000_000;
/// How long something may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The `n`th order: ids of orders tell which is older.
pub fn order(n: u32) -> Uuid {
    Uuid::from_u128(0x01a1_ff15_0000_7000_8000_0000_0000_0000 + (u128::from(n) << 80))
}

/// The trace of the `n`th order.
pub fn trace(n: u32) -> String {
    format!("{:032x}", (0xfeed_u128 << 112) + u128::from(n))
}

/// A step of the `n`th order: which, after which, and its name.
pub fn step(n: u32, [span, parent]: [u64; 2], kind: &'static str, name: &'static str) -> Step {
    let since_us = 1_000 * i64::try_from(span).unwrap();
    let line = SpanLine {
        service: "orders".into(),
        trace: trace(n).into(),
        span: format!("{span:016x}").into(),
        parent: (parent > 0).then(|| format!("{parent:016x}").into()),
        name: name.into(),
        kind: kind.into(),
        start_us: START_US + 1_000_000 * i64::from(n) + since_us,
        end_us: START_US + 1_000_000 * i64::from(n) + since_us + 500,
        order: Some(order(n)),
        message: None,
        outcome: None,
        status: None,
        is_error: false,
        links: 0,
    };
    line.into()
}

/// The steps of an order that went well; `long` is how long its last one took.
pub fn finished(n: u32, long_us: i64) -> [Step; 2] {
    let mut last = step(
        n,
        [2, 1],
        "producer",
        "publish checkout.events:order.finished",
    );
    last.line.end_us += long_us;
    [step(n, [1, 0], "server", "POST /api/v1/orders"), last]
}

/// The steps of an order that was canceled, and of which one failed.
pub fn canceled(n: u32) -> [Step; 4] {
    let publish = |ids, name| step(n, ids, "producer", name);
    let mut charge = step(n, [2, 1], "client", "charge");
    charge.line.is_error = true;
    [
        step(n, [1, 0], "server", "POST /api/v1/orders"),
        charge,
        publish([3, 2], "publish checkout.events:reservation.canceled"),
        publish([4, 3], "publish checkout.events:order.canceled"),
    ]
}

/// Gives steps to those who keep them.
pub fn keep(orders: &Orders, steps: impl IntoIterator<Item = Step>) {
    steps.into_iter().for_each(|step| orders.add(step));
}

/// The steps as the lines of a recording.
pub fn lines(steps: impl IntoIterator<Item = Step>) -> String {
    let lines = steps
        .into_iter()
        .map(|step| serde_json::to_string(&step.line).unwrap() + "\n");
    lines.collect()
}

/// An answer: status, headers, body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        let json = serde_json::from_str(&self.body);
        json.unwrap_or_else(|error| panic!("{error}: {}\n{}", self.head, self.body))
    }
}

/// Sends a request as it stands and returns the answer.
pub fn send(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    send(address, &request)
}

pub fn post(address: SocketAddr, path: &str, body: &str) -> Value {
    let length = body.len();
    let head = "content-type: application/json\r\nconnection: close";
    let answer = send(
        address,
        &format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}"
        ),
    );
    assert_eq!(answer.status, 201, "{}", answer.body);
    answer.json()
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
