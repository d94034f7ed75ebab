//! The provider as another process: asked over HTTP, on connections that are kept.
//!
//! Whatever is not an answer is an error, and an error is *unknown*: the charge may have been made. The payment is
//! the key, so asking again is harmless, and a kept connection that broke is replaced by a fresh one at once.

use super::Provider;
use super::api::Answer;
use bytes::Bytes;
use contract::http::{ChargeOutcome, ChargeRequest};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use platform::{BoxFuture, Context, Error, Result, Trace};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Requests under way at a time, and connections kept; one more request waits.
const CALLS_MAX: usize = 256;
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// Where the provider is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderUrl {
    /// Host and port.
    authority: String,
}

impl From<SocketAddr> for ProviderUrl {
    fn from(address: SocketAddr) -> Self {
        let authority = address.to_string();
        Self { authority }
    }
}

impl FromStr for ProviderUrl {
    type Err = String;

    /// `http://host:port`; the error says what would be right.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("must look like http://host:8004, got {text:?}");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let with_port = format!("{}:{}", authority.host(), uri.port_u16().unwrap_or(80));
        // Neither a user nor a port that is no number.
        let is_plain = authority.as_str() == authority.host() || authority.as_str() == with_port;
        let is_bare = uri.path() == "/" && uri.query().is_none();
        if uri.scheme_str() != Some("http") || !is_plain || !is_bare {
            return Err(wrong());
        }
        let authority = with_port;
        Ok(Self { authority })
    }
}

/// The provider, asked over HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Http(Arc<Inner>);

struct Inner {
    ctx: Context,
    url: ProviderUrl,
    calls: Semaphore,
    kept: Mutex<Vec<Connection>>,
}

type Connection = SendRequest<Full<Bytes>>;

impl Http {
    /// The provider at `url`, asked by the service of `ctx`. Connects when it is first asked.
    pub fn new(ctx: &Context, url: ProviderUrl) -> Self {
        Self(Arc::new(Inner {
            ctx: ctx.clone(),
            url,
            calls: Semaphore::new(CALLS_MAX),
            kept: Mutex::default(),
        }))
    }

    async fn ask(&self, request: &ChargeRequest, trace: &Trace) -> Result<ChargeOutcome> {
        let body = Bytes::from(serde_json::to_vec(request)?);
        // An error cannot happen: nobody closes the semaphore.
        let _call = self.0.calls.acquire().await.map_err(|_| Error::Stopped)?;
        let (status, body) = self.exchange(body, trace).await?;
        if status == StatusCode::OK {
            return Ok(serde_json::from_slice::<Answer>(&body)?.outcome);
        }
        let said = String::from_utf8_lossy(&body);
        Err(Error::Outside(format!("{status}: {}", said.trim())))
    }

    async fn exchange(&self, body: Bytes, trace: &Trace) -> Result<(StatusCode, Bytes)> {
        if let Some(connection) = self.take() {
            match self.send(connection, body.clone(), trace).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tracing::debug!(%error, "a kept connection broke, asking again"),
            }
        }
        let connection = self.connect().await?;
        self.send(connection, body, trace).await
    }

    async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.0.url.authority).await;
        let stream = stream.map_err(outside)?;
        // Requests are small and each is waited for; without this the kernel holds them back.
        let _ = stream.set_nodelay(true);
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (connection, driver) = shaken.map_err(outside)?;
        self.0.ctx.spawn("provider connection", async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to the provider ended early");
            }
        });
        Ok(connection)
    }

    /// Sends one request; the connection is kept when the answer came whole.
    async fn send(
        &self,
        mut connection: Connection,
        body: Bytes,
        trace: &Trace,
    ) -> Result<(StatusCode, Bytes)> {
        connection.ready().await.map_err(outside)?;
        let request = Request::post("/api/v1/charges")
            .header(header::HOST, &self.0.url.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header("traceparent", trace.traceparent())
            .body(Full::new(body))
            .map_err(outside)?;
        let answer = connection.send_request(request).await.map_err(outside)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.map_err(outside)?.to_bytes();
        let mut kept = self.kept();
        if kept.len() < CALLS_MAX {
            kept.push(connection);
        }
        Ok((status, body))
    }

    /// The connection that was used last, so that those nobody needs any more time out at the other side.
    fn take(&self) -> Option<Connection> {
        let mut kept = self.kept();
        kept.retain(|connection| !connection.is_closed());
        kept.pop()
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Http {
    fn charge(
        &self,
        request: ChargeRequest,
        trace: Trace,
    ) -> BoxFuture<'static, Result<ChargeOutcome>> {
        let http = self.clone();
        Box::pin(async move { http.ask(&request, &trace).await })
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "used as a function in map_err"
)]
fn outside(error: impl ToString) -> Error {
    Error::Outside(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_plain_http_with_a_host_and_nothing_after_it() {
        let at = |text: &str| text.parse::<ProviderUrl>().map(|url| url.authority);
        assert_eq!(at("http://127.0.0.1:8004").as_deref(), Ok("127.0.0.1:8004"));
        assert_eq!(at("http://provider:81/").as_deref(), Ok("provider:81"));
        assert_eq!(at("http://[::1]").as_deref(), Ok("[::1]:80"));
        for wrong in [
            "",
            "provider:8004",
            "https://provider:8004",
            "http://",
            "http://provider/charges",
            "http://provider:8004/?a=b",
            "http://user:secret@provider:8004",
            "http://provider:port",
        ] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }
}
