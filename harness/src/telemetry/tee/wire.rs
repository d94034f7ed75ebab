//! Spans as they lie and as they travel: in the bytes of OTLP, beside those of whoever recorded them.

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a span takes in memory besides its own bytes, about.
pub(super) const PIECE_BYTES: usize = 64;
/// Origins that are told apart at a time; a run has a dozen, and some more for each life that ends.
const ORIGINS_MAX: usize = 64;
/// The largest origin that is taken.
const ORIGIN_BYTES_MAX: usize = 64 * 1024;

/// Who recorded a span: its resource and its scope, as they came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    resource: Bytes,
    resource_schema: String,
    scope: Bytes,
    scope_schema: String,
}

impl Origin {
    fn of(resource: &ResourceSpans, scope: &ScopeSpans) -> Self {
        let bytes = |part: Option<Vec<u8>>| Bytes::from(part.unwrap_or_default());
        Self {
            resource: bytes(resource.resource.as_ref().map(Message::encode_to_vec)),
            resource_schema: resource.schema_url.clone(),
            scope: bytes(scope.scope.as_ref().map(Message::encode_to_vec)),
            scope_schema: scope.schema_url.clone(),
        }
    }

    fn bytes(&self) -> usize {
        let schemas = self.resource_schema.len() + self.scope_schema.len();
        self.resource.len() + self.scope.len() + schemas
    }
}

/// The latest origins, so that the spans of one share it.
#[derive(Debug, Default)]
pub(super) struct Origins(VecDeque<Arc<Origin>>);

impl Origins {
    /// The one of a part of a request; none when it is larger than any that is taken.
    pub(super) fn of(
        &mut self,
        resource: &ResourceSpans,
        scope: &ScopeSpans,
    ) -> Option<Arc<Origin>> {
        let origin = Origin::of(resource, scope);
        if let Some(known) = self.0.iter().find(|known| ***known == origin) {
            return Some(Arc::clone(known));
        }
        if origin.bytes() > ORIGIN_BYTES_MAX {
            return None;
        }
        if self.0.len() >= ORIGINS_MAX {
            self.0.pop_front();
        }
        let origin = Arc::new(origin);
        self.0.push_back(Arc::clone(&origin));
        Some(origin)
    }
}

/// A span.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    origin: Arc<Origin>,
    span: Bytes,
}

impl Piece {
    pub(super) fn new(origin: &Arc<Origin>, span: &Span) -> Self {
        Self {
            origin: Arc::clone(origin),
            span: span.encode_to_vec().into(),
        }
    }

    /// About what it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.span.len() + PIECE_BYTES
    }
}

/// `ExportTraceServiceRequest`, whose innermost messages are bytes already: on the wire that is the same.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<OfResource>,
}

#[derive(Clone, PartialEq, Message)]
struct OfResource {
    #[prost(bytes = "bytes", tag = "1")]
    resource: Bytes,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<OfScope>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
struct OfScope {
    #[prost(bytes = "bytes", tag = "1")]
    scope: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

/// All of them in one request, by origin.
pub(super) fn request(pieces: &[Piece]) -> Bytes {
    let mut by_origin: Vec<(&Arc<Origin>, Vec<Bytes>)> = Vec::new();
    for Piece { origin, span } in pieces {
        let known = by_origin
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, origin));
        match known {
            Some((_, spans)) => spans.push(span.clone()),
            None => by_origin.push((origin, vec![span.clone()])),
        }
    }
    let resources = by_origin.into_iter().map(|(origin, spans)| OfResource {
        resource: origin.resource.clone(),
        scopes: vec![OfScope {
            scope: origin.scope.clone(),
            spans,
            schema_url: origin.scope_schema.clone(),
        }],
        schema_url: origin.resource_schema.clone(),
    });
    let resources = resources.collect();
    Request { resources }.encode_to_vec().into()
}
