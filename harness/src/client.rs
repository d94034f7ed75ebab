//! An HTTP client that tells three answers apart: ok, refused, unknown.
//!
//! One pool of kept connections per address. A request that certainly never left is sent again on a fresh
//! connection; one that may have left is unknown and never sent again by itself.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Everything, one row a line.
pub const NDJSON: &str = "application/x-ndjson";
/// Metrics with examples.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";

/// An answer: the status and the body.
pub type Answer = (StatusCode, Bytes);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody was reached: it certainly did not happen.
    #[error("cannot connect to {address}: {source}")]
    NotSent {
        /// Where to.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// It was sent, or may have been, and no answer came.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// A client of one service. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    address: SocketAddr,
    host: String,
    timeout: Duration,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// What to send.
pub struct Call<'a> {
    /// GET, POST, …
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// JSON.
    pub body: Option<Bytes>,
    /// Idempotency-Key.
    pub key: Option<&'a str>,
    /// Which format to ask for, where there are several.
    pub accept: Option<&'static str>,
}

impl<'a> Call<'a> {
    /// `GET path`
    pub const fn get(path: &'a str) -> Self {
        Self {
            method: Method::GET,
            path,
            body: None,
            key: None,
            accept: None,
        }
    }

    /// `POST path` with a JSON body and a key.
    pub const fn post(path: &'a str, body: Bytes, key: &'a str) -> Self {
        Self {
            method: Method::POST,
            path,
            body: Some(body),
            key: Some(key),
            accept: None,
        }
    }
}

impl Client {
    /// A client of the service at `address`; no answer within `timeout` is unknown.
    pub fn new(address: SocketAddr, timeout: Duration) -> Self {
        let host = address.to_string();
        Self(Arc::new(Inner {
            address,
            host,
            timeout,
            idle: Mutex::default(),
        }))
    }

    /// Where the service is.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// A client of the same service that shares no connection with this one: they live where they were opened.
    pub fn with_own_connections(&self) -> Self {
        Self::new(self.0.address, self.0.timeout)
    }

    /// Sends `call` and returns the answer.
    ///
    /// # Errors
    /// [`ClientError`]: whether it certainly did not happen, or nobody knows.
    pub async fn send(&self, call: Call<'_>) -> Result<Answer, ClientError> {
        self.send_at(call, &mut Instant::now()).await
    }

    /// Sends `call`, and notes in `began` when it went to its connection: to one that was open, or to a new one
    /// that begins with connecting.
    ///
    /// # Errors
    /// [`ClientError`]: whether it certainly did not happen, or nobody knows.
    pub async fn send_at(
        &self,
        call: Call<'_>,
        began: &mut Instant,
    ) -> Result<Answer, ClientError> {
        let timed = tokio::time::timeout(self.0.timeout, self.exchange(call, began)).await;
        timed.unwrap_or_else(|_| {
            Err(ClientError::Unknown(format!(
                "none within {:?}",
                self.0.timeout
            )))
        })
    }

    /// Sends `call` on a connection of its own, waits for `pause`, and hangs up without having read anything.
    /// It may have happened or not; if nobody was reached, it has not. Notes in `began` when it started.
    pub async fn hang_up(
        &self,
        call: Call<'_>,
        pause: Duration,
        began: &mut Instant,
    ) -> ClientError {
        *began = Instant::now();
        let sent = async {
            let mut stream = self.stream().await?;
            stream.write_all(&self.raw(&call)).await.map_err(unknown)?;
            tokio::time::sleep(pause).await;
            Ok(())
        };
        match tokio::time::timeout(self.0.timeout, sent).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => unknown("the client hung up"),
        }
    }

    /// The JSON that `call` posts, as it stands on the wire.
    fn raw(&self, call: &Call<'_>) -> Vec<u8> {
        let body = call.body.clone().unwrap_or_default();
        let (method, path, host) = (&call.method, call.path, &self.0.host);
        let key = call.key.map(|key| format!("idempotency-key: {key}\r\n"));
        let (key, length) = (key.unwrap_or_default(), body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{key}content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), &body].concat()
    }

    /// Sends `call` and gives what is answered away as it comes, in pieces of whole lines: an export may be larger
    /// than anybody wants to keep in memory. Each piece may take as long as a whole answer otherwise.
    ///
    /// # Errors
    /// [`ClientError::Unknown`] for every answer but 200, also when some of it came.
    pub async fn lines(
        &self,
        call: Call<'_>,
        each: &mut dyn FnMut(&str),
    ) -> Result<(), ClientError> {
        let path = call.path;
        let request = self.request(call)?;
        let mut sender = self.connect().await?;
        let late = || unknown(format!("{path}: nothing more within {:?}", self.0.timeout));
        let answer = tokio::time::timeout(self.0.timeout, sender.send_request(request)).await;
        let answer = answer.map_err(|_| late())?.map_err(unknown)?;
        if answer.status() != StatusCode::OK {
            return Err(unknown(format!("{path}: {}", answer.status())));
        }
        let (mut body, mut rest) = (answer.into_body(), Vec::new());
        loop {
            let frame = tokio::time::timeout(self.0.timeout, body.frame()).await;
            let Some(frame) = frame.map_err(|_| late())? else {
                break;
            };
            let Ok(data) = frame.map_err(unknown)?.into_data() else {
                continue;
            };
            rest.extend_from_slice(&data);
            let whole = rest
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            let left = rest.split_off(whole);
            each(std::str::from_utf8(&rest).map_err(unknown)?);
            rest = left;
        }
        each(std::str::from_utf8(&rest).map_err(unknown)?);
        Ok(())
    }

    async fn exchange(&self, call: Call<'_>, began: &mut Instant) -> Result<Answer, ClientError> {
        let mut request = self.request(call)?;
        loop {
            let idle = self.idle().pop();
            let (mut sender, kept) = if let Some(sender) = idle {
                (sender, true)
            } else {
                *began = Instant::now();
                (self.connect().await?, false)
            };
            if kept {
                if sender.ready().await.is_err() {
                    continue;
                }
                *began = Instant::now();
            }
            match sender.try_send_request(request).await {
                Ok(response) => {
                    let status = response.status();
                    let body = response
                        .into_body()
                        .collect()
                        .await
                        .map_err(unknown)?
                        .to_bytes();
                    self.idle().push(sender);
                    return Ok((status, body));
                }
                // The connection had ended before the request was written; it comes back whole.
                Err(mut error) if kept && error.message().is_some() => {
                    request = error.take_message().expect("just seen");
                }
                Err(error) => return Err(unknown(error.into_error())),
            }
        }
    }

    fn request(&self, call: Call<'_>) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(call.path)
            .header(header::HOST, &self.0.host);
        if let Some(key) = call.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(accept) = call.accept {
            request = request.header(header::ACCEPT, accept);
        }
        if call.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request
            .body(Full::new(call.body.unwrap_or_default()))
            .map_err(unknown)
    }

    async fn stream(&self) -> Result<TcpStream, ClientError> {
        let address = self.0.address;
        let not_sent = |source| ClientError::NotSent { address, source };
        let stream = TcpStream::connect(address).await.map_err(not_sent)?;
        stream.set_nodelay(true).map_err(not_sent)?;
        Ok(stream)
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let stream = self.stream().await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(unknown)?;
        // Its end shows at the sender; there is nothing more to learn from it here.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<SendRequest<Full<Bytes>>>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unknown(error: impl std::fmt::Display) -> ClientError {
    ClientError::Unknown(error.to_string())
}
