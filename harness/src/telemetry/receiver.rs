//! Takes OTLP over HTTP and gRPC on one port, on a thread of its own, so that what it costs is not the shop's.

use super::spans;
use crate::recording::{Recorded, RecordingError};
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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// The largest request that is taken: far above what two thousand spans take.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The service and method of gRPC.
const GRPC: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Why nothing can be received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    /// No port, no thread, or no runtime.
    #[error("traces cannot be received: {0}")]
    System(#[from] std::io::Error),
    /// What came could not be written down.
    #[error("traces were not written down: {0}")]
    Recording(#[from] RecordingError),
    /// The file was given away before.
    #[error("traces were written down before")]
    Done,
}

/// A collector that writes down what it gets.
pub struct Receiver {
    address: SocketAddr,
    taking: Arc<Taking>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What came so far.
struct Taking {
    spans: AtomicU64,
    file: Mutex<Keeping>,
}

/// What becomes of spans.
enum Keeping {
    Open(Recorded),
    Failed(RecordingError),
    Done,
}

impl Receiver {
    /// Takes what comes to a free port of this machine, and writes it into `file`.
    ///
    /// # Errors
    /// When there is no port or no thread.
    pub fn start(file: Recorded) -> Result<Self, ReceiverError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let taking = Arc::new(Taking {
            spans: AtomicU64::new(0),
            file: Mutex::new(Keeping::Open(file)),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, mut stopped) = watch::channel(false);
        let router = router(Arc::clone(&taking));
        let thread = std::thread::Builder::new()
            .name("collector".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let listener = tokio::net::TcpListener::from_std(listener)
                        .expect("a listener that does not block");
                    tokio::select! {
                        biased;
                        // A sender that is gone wants to stop, too.
                        _ = stopped.wait_for(|stopped| *stopped) => {}
                        _ = axum::serve(listener, router) => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            taking,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens, for both protocols; those over HTTP add `/v1/traces`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many spans have come.
    pub fn received(&self) -> u64 {
        self.taking.spans.load(Ordering::Relaxed)
    }

    /// The file, which is whole now. What comes later is taken and not kept, so that nobody complains of a collector
    /// that is gone before him.
    ///
    /// # Errors
    /// When something could not be written down.
    pub fn finish(&self) -> Result<Recorded, ReceiverError> {
        let file = std::mem::replace(&mut *self.taking.file(), Keeping::Done);
        match file {
            Keeping::Open(file) => Ok(file),
            Keeping::Failed(error) => Err(error.into()),
            Keeping::Done => Err(ReceiverError::Done),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

impl Taking {
    fn file(&self) -> std::sync::MutexGuard<'_, Keeping> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the spans down; false when that failed, now or before.
    fn take(&self, request: &ExportTraceServiceRequest) -> bool {
        let mut file = self.file();
        let open = match &mut *file {
            Keeping::Open(open) => open,
            Keeping::Failed(_) => return false,
            Keeping::Done => return true,
        };
        let mut n = 0;
        for span in spans(request) {
            if let Err(error) = open.row(&span) {
                *file = Keeping::Failed(error);
                return false;
            }
            n += 1;
        }
        self.spans.fetch_add(n, Ordering::Relaxed);
        true
    }
}

fn router(taking: Arc<Taking>) -> Router {
    let grpc = TraceServiceServer::new(Grpc(Arc::clone(&taking)))
        .max_decoding_message_size(BODY_BYTES_MAX);
    Router::new()
        .route("/v1/traces", post(http))
        .with_state(taking)
        .route_service(GRPC, grpc)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

async fn http(State(taking): State<Arc<Taking>>, headers: HeaderMap, body: Bytes) -> Response {
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
    if !taking.take(&request) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    ([(header::CONTENT_TYPE, "application/x-protobuf")], answer).into_response()
}

struct Grpc(Arc<Taking>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        if self.0.take(request.get_ref()) {
            Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
        } else {
            Err(tonic::Status::unavailable("nothing can be written down"))
        }
    }
}
