//! A way to a collector for whoever has a request ready: over HTTP, or HTTPS with the trust of everything else.

use super::export::Http;
use super::{Settings, TelemetryError};
use bytes::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode, Uri, header};
use opentelemetry_http::HttpClient;
use std::time::Duration;

/// Why a collector did not take something.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// Nobody was reached, or the connection broke.
    #[error("{0}")]
    Broken(String),
    /// It did not want it.
    #[error("it answered {0}")]
    Refused(StatusCode),
    /// It did not answer.
    #[error("no answer within {0:?}")]
    Late(Duration),
}

/// A collector that takes OTLP as HTTP/protobuf.
pub struct Collector {
    http: Http,
    endpoint: Uri,
    headers: HeaderMap,
    timeout: Duration,
}

impl Collector {
    /// The one that `settings` name, with the path of the signal. Nothing is sent yet.
    ///
    /// # Errors
    /// For an address or a header that no request can have.
    pub fn new(settings: &Settings) -> Result<Self, TelemetryError> {
        let endpoint = &settings.endpoint;
        let wrong = |error| TelemetryError::Endpoint(format!("{endpoint}: {error}"));
        let mut headers = super::export::headers(settings)?;
        headers.insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/x-protobuf"),
        );
        Ok(Self {
            http: Http::new()?,
            endpoint: endpoint.parse().map_err(wrong)?,
            headers,
            timeout: settings.timeout,
        })
    }

    /// Hands over a request, once: who tries again keeps more and more. Returns the answer.
    ///
    /// # Errors
    /// When the collector did not say that it took it.
    pub async fn send(&self, body: Bytes) -> Result<Bytes, NotTaken> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        let answer = tokio::time::timeout(self.timeout, self.http.send_bytes(request)).await;
        let answer = answer.map_err(|_| NotTaken::Late(self.timeout))?;
        let answer = answer.map_err(|error| NotTaken::Broken(chain(&*error)))?;
        if answer.status().is_success() {
            Ok(answer.into_body())
        } else {
            Err(NotTaken::Refused(answer.status()))
        }
    }
}

/// An error with all its causes: the first of them mostly says only that something failed.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}
