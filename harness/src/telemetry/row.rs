//! From OTLP to one line a span: names and ids, without what nobody looks at again.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use platform::telemetry::SpanData;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use uuid::Uuid;

/// A span as a recording keeps it. Ids are hex, times microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpanLine<'a> {
    /// `service.name`.
    #[serde(borrow)]
    pub service: Cow<'a, str>,
    /// The trace, 32 digits.
    #[serde(borrow)]
    pub trace: Cow<'a, str>,
    /// The span, 16 digits.
    #[serde(borrow)]
    pub span: Cow<'a, str>,
    /// The span that brought it about; none for the root.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Cow<'a, str>>,
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// `server`, `consumer`, `producer`, `client` or `internal`.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// When it began.
    pub start_us: i64,
    /// When it ended.
    pub end_us: i64,
    /// `order.id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Uuid>,
    /// `messaging.message.id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Uuid>,
    /// `crashcart.outcome`, of a message that was heard.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Cow<'a, str>>,
    /// `http.response.status_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Whether it says that it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    /// How many others it links.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub links: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
const fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl SpanLine<'_> {
    /// The same, with texts of its own.
    pub fn into_owned(self) -> SpanLine<'static> {
        SpanLine {
            service: self.service.into_owned().into(),
            trace: self.trace.into_owned().into(),
            span: self.span.into_owned().into(),
            parent: self.parent.map(|parent| parent.into_owned().into()),
            name: self.name.into_owned().into(),
            kind: self.kind.into_owned().into(),
            outcome: self.outcome.map(|outcome| outcome.into_owned().into()),
            start_us: self.start_us,
            end_us: self.end_us,
            order: self.order,
            message: self.message,
            status: self.status,
            is_error: self.is_error,
            links: self.links,
        }
    }
}

/// The attribute that says which order a step is about.
const ORDER: &str = "order.id";

/// What a collector would have got of the spans of a service in a world.
pub fn otlp(service: &'static str, spans: Vec<SpanData>) -> ExportTraceServiceRequest {
    let resource = platform::telemetry::resource_in_a_world(service);
    let resource = ResourceAttributesWithSchema::from(&resource);
    ExportTraceServiceRequest {
        resource_spans: group_spans_by_resource_and_scope(spans, &resource),
    }
}

/// The spans of a request, in its order.
pub fn spans(request: &ExportTraceServiceRequest) -> impl Iterator<Item = SpanLine<'_>> {
    request.resource_spans.iter().flat_map(|of_resource| {
        let resource = of_resource.resource.as_ref();
        let service = service_of(resource.map_or(&[], |resource| &resource.attributes));
        let spans = of_resource.scope_spans.iter();
        let spans = spans.flat_map(|of_scope| of_scope.spans.iter());
        spans.map(move |span| line(service, span))
    })
}

fn line<'a>(service: &'a str, span: &'a Span) -> SpanLine<'a> {
    let attributes = &span.attributes;
    let id = |key| text(attributes, key).and_then(|text| text.parse().ok());
    let status = span.status.as_ref();
    SpanLine {
        service: service.into(),
        trace: hex(&span.trace_id).into(),
        span: hex(&span.span_id).into(),
        parent: span
            .parent_span_id
            .iter()
            .any(|byte| *byte != 0)
            .then(|| hex(&span.parent_span_id).into()),
        name: span.name.as_str().into(),
        kind: kind_of(span).into(),
        start_us: micros(span.start_time_unix_nano),
        end_us: micros(span.end_time_unix_nano),
        order: id(ORDER),
        message: id("messaging.message.id"),
        outcome: text(attributes, "crashcart.outcome").map(Into::into),
        status: number(attributes, "http.response.status_code"),
        is_error: status.is_some_and(|status| status.code() == StatusCode::Error),
        links: span.links.len(),
    }
}

/// Whose spans they are.
pub(super) fn service_of(resource: &[KeyValue]) -> &str {
    text(resource, "service.name").unwrap_or("unknown_service")
}

pub(super) fn kind_of(span: &Span) -> &'static str {
    match span.kind() {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal | SpanKind::Unspecified => "internal",
    }
}

fn micros(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000).unwrap_or(i64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref()?.value.as_ref()
}

pub(super) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn number(attributes: &[KeyValue], key: &str) -> Option<u16> {
    match value(attributes, key)? {
        Value::IntValue(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}
