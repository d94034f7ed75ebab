//! HTTP/1.1 by hand: a request may be broken in any way, an answer is read to its last byte.

use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer that takes longer than this is none.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request that is taken apart and put together in ways that no HTTP client allows.
#[derive(Clone)]
pub struct Request {
    pub service: &'static str,
    line: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    chunked: bool,
}

/// A request without a body.
pub fn ask(service: &'static str, method: &str, path: &str) -> Request {
    Request {
        service,
        line: format!("{method} {path} HTTP/1.1"),
        headers: vec![
            ("host", b"shop".to_vec()),
            ("connection", b"close".to_vec()),
        ],
        body: Vec::new(),
        chunked: false,
    }
}

/// `GET path`
pub fn get(service: &'static str, path: &str) -> Request {
    ask(service, "GET", path)
}

/// A request with a JSON body.
pub fn send(service: &'static str, method: &str, path: &str, body: impl AsRef<[u8]>) -> Request {
    let body = body.as_ref().to_vec();
    let length = body.len().to_string();
    Request {
        body,
        ..ask(service, method, path)
            .with("content-type", "application/json")
            .with("content-length", length)
    }
}

/// `POST path`
pub fn post(service: &'static str, path: &str, body: impl AsRef<[u8]>) -> Request {
    send(service, "POST", path, body)
}

impl Request {
    /// One header more, also when there is one with this name.
    pub fn with(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// The headers but those with this name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    /// This value instead of the header's own.
    pub fn having(self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).with(name, value)
    }

    /// Another first line.
    pub fn line(mut self, line: &str) -> Self {
        line.clone_into(&mut self.line);
        self
    }

    /// The same request with another body.
    pub fn with_body(&self, body: &[u8]) -> Self {
        let length = body.len().to_string();
        Self {
            body: body.to_vec(),
            ..self.clone().having("content-length", length)
        }
    }

    /// The same body in chunks.
    pub fn chunked(self) -> Self {
        let mut chunks = Vec::new();
        for chunk in self.body.chunks(16 * 1_024) {
            chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            chunks.extend_from_slice(chunk);
            chunks.extend_from_slice(b"\r\n");
        }
        chunks.extend_from_slice(b"0\r\n\r\n");
        self.in_chunks(chunks)
    }

    /// `chunks` as they are, whether or not they can be read as such.
    pub fn in_chunks(self, chunks: impl Into<Vec<u8>>) -> Self {
        Self {
            body: chunks.into(),
            chunked: true,
            ..self.without("content-length")
        }
    }

    /// The first line and the headers.
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = format!("{}\r\n", self.line).into_bytes();
        let chunked = self
            .chunked
            .then(|| ("transfer-encoding", "chunked".into()));
        for (name, value) in self.headers.iter().chain(&chunked) {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// Everything that goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends `bytes` and reads until the server closes. None: it closed without an answer.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let stream = TcpStream::connect(address).await.expect("the shop listens");
    let (mut reading, mut writing) = stream.into_split();
    // Both at once: who refuses a body answers before it is all there, and hangs up.
    let (_, answer) = tokio::join!(writing.write_all(bytes), read(&mut reading));
    answer
}

/// Reads an answer until the server closes. None: it closed without one.
pub async fn read(from: &mut (impl AsyncReadExt + Unpin)) -> Option<Answer> {
    let mut bytes = Vec::new();
    // An error is a connection that was reset; what came before it counts.
    let ended = tokio::time::timeout(PATIENCE, from.read_to_end(&mut bytes)).await;
    assert!(
        ended.is_ok(),
        "neither an answer nor an end after {PATIENCE:?}"
    );
    parse(&bytes)
}

/// The first answer in `bytes` that is final.
fn parse(bytes: &[u8]) -> Option<Answer> {
    if bytes.is_empty() {
        return None;
    }
    let end = find(bytes, b"\r\n\r\n").expect("an answer whose headers are complete");
    let (head, rest) = (&bytes[..end], &bytes[end + 4..]);
    let head = std::str::from_utf8(head).expect("headers are ASCII");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status: u16 = status.and_then(|text| text.parse().ok()).expect("a status");
    if status < 200 {
        return parse(rest);
    }
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let mut answer = Answer {
        status,
        headers: lines.filter_map(header).collect(),
        body: rest.to_vec(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = dechunked(rest);
    } else {
        let length = answer
            .header("content-length")
            .and_then(|text| text.parse().ok());
        assert_eq!(length, Some(rest.len()), "the body is as long as it says");
    }
    Some(answer)
}

/// The body in `chunks`; panics if they do not end properly.
fn dechunked(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = find(chunks, b"\r\n").expect("a chunk begins with its size");
        let size = std::str::from_utf8(&chunks[..end]).expect("a size in hex");
        let size = usize::from_str_radix(size, 16).expect("a size in hex");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 4 + size..];
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
