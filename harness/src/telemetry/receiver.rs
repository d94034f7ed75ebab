//! Takes OTLP over HTTP and gRPC on one port, on a thread of its own, so that what it costs is not the shop's.

use crate::served::Served;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

/// The largest request that is taken: far above what two thousand spans take.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The service and method of gRPC.
const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Why nothing can be received.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be received: {0}")]
pub struct ReceiverError(#[from] std::io::Error);

/// Whoever wants what comes. It is asked on the receiver's only thread, so it must not wait for anything.
pub trait Sink: Send + Sync {
    /// Takes a request; false when it cannot, and the sender is told so.
    fn take(&self, request: &ExportTraceServiceRequest) -> bool;
}

/// A collector that gives what it gets to its sinks.
pub struct Receiver(Served);

type Sinks = Arc<[Arc<dyn Sink>]>;

impl Receiver {
    /// Takes what comes to `address` (port 0: a free one), and gives it to each of `sinks`.
    ///
    /// # Errors
    /// When there is no port or no thread.
    pub fn start(address: SocketAddr, sinks: Vec<Arc<dyn Sink>>) -> Result<Self, ReceiverError> {
        let listener = TcpListener::bind(address)?;
        let served = Served::start(listener, "collector", router(sinks.into()))?;
        Ok(Self(served))
    }

    /// A free port of this machine, for [`Receiver::start`].
    pub const fn anywhere() -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
    }

    /// Where it listens, for both protocols; those over HTTP add `/v1/traces`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.0.address())
    }
}

/// Gives a request to everybody; false when somebody cannot take it.
fn hand_out(sinks: &Sinks, request: &ExportTraceServiceRequest) -> bool {
    let mut is_taken = true;
    for sink in sinks.iter() {
        is_taken &= sink.take(request);
    }
    is_taken
}

fn router(sinks: Sinks) -> Router {
    let grpc =
        TraceServiceServer::new(Grpc(Arc::clone(&sinks))).max_decoding_message_size(BODY_BYTES_MAX);
    Router::new()
        .route("/v1/traces", post(http))
        .with_state(sinks)
        .route_service(GRPC, grpc)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn http(State(sinks): State<Sinks>, headers: HeaderMap, body: Bytes) -> Response {
    let is = |name, value: &str| {
        let found = headers.get(name).and_then(|found| found.to_str().ok());
        found.is_some_and(|found| found.starts_with(value))
    };
    if !is(header::CONTENT_TYPE, "application/x-protobuf") {
        let why =
            "only application/x-protobuf is taken here (OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf)";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response();
    }
    if headers.contains_key(header::CONTENT_ENCODING) && !is(header::CONTENT_ENCODING, "identity") {
        let why = "nothing compressed is taken here (OTEL_EXPORTER_OTLP_COMPRESSION=none)";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, why).into_response();
    }
    let request = match ExportTraceServiceRequest::decode(body) {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    if !hand_out(&sinks, &request) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    ([(header::CONTENT_TYPE, "application/x-protobuf")], answer).into_response()
}

struct Grpc(Sinks);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        if hand_out(&self.0, request.get_ref()) {
            Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
        } else {
            Err(tonic::Status::unavailable("nothing can be taken now"))
        }
    }
}
