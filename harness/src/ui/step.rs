//! A step of an order with everything that is told of it. What comes over OTLP has attributes, links and a resource; what
//! was recorded has its line only.

use crate::telemetry::{SpanLine, spans};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Otlp};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use std::sync::Arc;

/// The longest text of an attribute that is kept, in bytes; the rest of it is left out.
const TEXT_BYTES_MAX: usize = 4_096;
/// What an entry of a list or a map takes besides its text.
const ENTRY_BYTES: usize = 64;

/// A step.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What a recording would have of it.
    #[serde(flatten)]
    pub line: SpanLine<'static>,
    /// What OTLP has besides.
    #[serde(flatten)]
    pub more: Option<More>,
}

/// What OTLP says of a step, and a recording does not.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct More {
    attributes: Attributes,
    /// Of the process; shared by the steps that came with it.
    resource: Attributes,
    /// Trace and span of each step that is linked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    linked: Vec<[String; 2]>,
    /// Why it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
}

/// Names and values, in their order. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Attributes(Arc<[(String, Value)]>);

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Attributes {
    fn of(attributes: &[KeyValue]) -> Self {
        let pairs = attributes.iter().map(|attribute| {
            let value = attribute.value.as_ref().map_or(Value::Null, value);
            (cut(&attribute.key), value)
        });
        Self(pairs.collect())
    }

    fn bytes(&self) -> usize {
        let each = self.0.iter();
        each.map(|(key, value)| ENTRY_BYTES + key.len() + bytes(value))
            .sum()
    }
}

impl Step {
    /// About how much memory it takes, and never less: what is shared counts for each.
    pub fn bytes(&self) -> usize {
        let line = &self.line;
        let texts = [
            &line.service,
            &line.trace,
            &line.span,
            &line.name,
            &line.kind,
        ];
        let more = self.more.as_ref().map_or(0, |more| {
            let linked = more.linked.len() * 2 * ENTRY_BYTES;
            more.attributes.bytes() + more.resource.bytes() + linked + more.error.len()
        });
        let of_texts: usize = texts.iter().map(|text| text.len()).sum();
        // An id and an outcome are short.
        size_of::<Self>() + 2 * ENTRY_BYTES + of_texts + more
    }
}

impl From<SpanLine<'static>> for Step {
    fn from(line: SpanLine<'static>) -> Self {
        Self { line, more: None }
    }
}

/// The steps in a request that are about an order. Others are nobody's: batches, the looks of clients, products.
pub fn steps(request: &ExportTraceServiceRequest) -> impl Iterator<Item = Step> {
    // The same spans in the same order.
    let told = spans(request).zip(whole(request));
    let about_an_order = told.filter(|(line, _)| line.order.is_some());
    about_an_order.map(|(line, (resource, span))| Step {
        line: bounded(line.into_owned()),
        more: Some(More {
            attributes: Attributes::of(&span.attributes),
            resource,
            linked: linked(span),
            error: span
                .status
                .as_ref()
                .map_or(String::new(), |status| cut(&status.message)),
        }),
    })
}

fn whole(request: &ExportTraceServiceRequest) -> impl Iterator<Item = (Attributes, &Span)> {
    request.resource_spans.iter().flat_map(|of_resource| {
        let told = of_resource.resource.as_ref();
        let told = told.map(|resource| Attributes::of(&resource.attributes));
        let resource = told.unwrap_or_default();
        let spans = of_resource.scope_spans.iter();
        let spans = spans.flat_map(|of_scope| of_scope.spans.iter());
        spans.map(move |span| (resource.clone(), span))
    })
}

/// The same without texts that are too long to keep.
fn bounded(mut line: SpanLine<'static>) -> SpanLine<'static> {
    for text in [&mut line.service, &mut line.name] {
        if text.len() > TEXT_BYTES_MAX {
            *text = cut(text).into();
        }
    }
    line
}

fn linked(span: &Span) -> Vec<[String; 2]> {
    let hex = |id: &[u8]| {
        let number = id.iter().fold(0_u128, |n, byte| n << 8 | u128::from(*byte));
        format!("{number:0digits$x}", digits = 2 * id.len())
    };
    let links = span.links.iter();
    links
        .map(|link| [hex(&link.trace_id), hex(&link.span_id)])
        .collect()
}

/// A value as JSON. Numbers beyond what a page can count become texts.
fn value(value: &AnyValue) -> Value {
    match &value.value {
        None | Some(Otlp::StringValueStrindex(_)) => Value::Null,
        Some(Otlp::StringValue(text)) => cut(text).into(),
        Some(Otlp::BoolValue(is)) => (*is).into(),
        Some(Otlp::IntValue(n)) if n.unsigned_abs() < 1 << 53 => (*n).into(),
        Some(Otlp::IntValue(n)) => n.to_string().into(),
        Some(Otlp::DoubleValue(n)) => (*n).into(),
        Some(Otlp::ArrayValue(list)) => list.values.iter().map(self::value).collect(),
        Some(Otlp::KvlistValue(list)) => {
            serde_json::to_value(Attributes::of(&list.values)).unwrap_or_default()
        }
        Some(Otlp::BytesValue(bytes)) => format!("{} bytes", bytes.len()).into(),
    }
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_BYTES_MAX)
        .rev()
        .find(|end| text.is_char_boundary(*end));
    format!("{}…", &text[..end.unwrap_or(0)])
}

fn bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(|value| ENTRY_BYTES + bytes(value)).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| ENTRY_BYTES + key.len() + bytes(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
