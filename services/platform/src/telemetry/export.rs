//! Sends spans to a collector, over HTTP or gRPC.

use super::{Protocol, Settings, TelemetryError};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{Protocol as Wire, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_otlp::{RetryPolicy, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Sends the spans of one service. Call it in the runtime that it will send from.
pub(super) fn exporter(
    settings: &Settings,
    resource: &Resource,
) -> Result<SpanExporter, TelemetryError> {
    let failed = |error: &dyn std::fmt::Display| TelemetryError::Endpoint(error.to_string());
    let mut exporter = match settings.protocol {
        Protocol::Http => SpanExporter::builder()
            .with_http()
            .with_protocol(Wire::HttpBinary)
            .with_http_client(Http::new()?)
            .with_headers(settings.headers.iter().cloned().collect())
            // Never again: who waits for a collector that is in trouble keeps more and more.
            .with_retry_policy(RetryPolicy::disabled())
            .with_endpoint(&settings.endpoint)
            .with_timeout(settings.timeout)
            .build(),
        Protocol::Grpc => {
            let mut builder = SpanExporter::builder()
                .with_tonic()
                .with_protocol(Wire::Grpc)
                .with_metadata(MetadataMap::from_headers(headers(settings)?))
                .with_retry_policy(RetryPolicy::disabled())
                .with_endpoint(&settings.endpoint)
                .with_timeout(settings.timeout);
            if settings.endpoint.starts_with("https") {
                builder = builder.with_tls_config(ClientTlsConfig::new().with_native_roots());
            }
            builder.build()
        }
    }
    .map_err(|error| failed(&error))?;
    exporter.set_resource(resource);
    Ok(exporter)
}

/// What is sent along with each request.
pub(super) fn headers(settings: &Settings) -> Result<hyper::HeaderMap, TelemetryError> {
    let mut headers = hyper::HeaderMap::new();
    for (name, value) in &settings.headers {
        let parsed = name.parse::<hyper::header::HeaderName>();
        let pair = parsed.ok().zip(value.parse().ok());
        // The value may be a secret.
        let (name, value) = pair.ok_or_else(|| TelemetryError::Header(format!("{name:?}")))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// A client on the telemetry thread's own runtime: the SDK's own ones need another.
#[derive(Debug)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Http {
    pub(super) fn new() -> Result<Self, TelemetryError> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .map_err(|error| TelemetryError::Endpoint(error.to_string()))?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(Client::builder(TokioExecutor::new()).build(connector)))
    }
}

#[async_trait]
impl HttpClient for Http {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = self.0.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX)
            .collect()
            .await?
            .to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}
