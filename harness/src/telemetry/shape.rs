//! The forms that spans have: names and attributes without their many values. A run has some dozens.

use super::row::{kind_of, service_of};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// So many are told apart; what comes after that is another finding.
const SHAPES_MAX: usize = 2_000;

/// A form of spans, or of the resource that a sender says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    /// `service.name`.
    pub service: String,
    /// The name of the span; `resource` for a resource.
    pub name: String,
    /// Its kind; `resource` for a resource.
    pub kind: String,
    /// By key: the type of the value, and what it was the first time.
    pub attributes: BTreeMap<String, Seen>,
    /// How many had it.
    pub count: u64,
}

/// An attribute as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// `string`, `int`, or something that we never send.
    #[serde(rename = "type")]
    pub kind: String,
    /// The first value.
    pub example: String,
}

/// Forms, counted.
#[derive(Debug, Default)]
pub struct Shapes {
    by_hash: HashMap<u64, usize>,
    shapes: Vec<Shape>,
    /// Spans with forms for which there was no room.
    pub beyond: u64,
}

impl Shapes {
    /// Counts the spans of a request.
    pub fn take(&mut self, request: &ExportTraceServiceRequest) {
        for of_resource in &request.resource_spans {
            let resource = of_resource.resource.as_ref();
            let resource = resource.map_or(&[][..], |resource| &resource.attributes);
            let service = service_of(resource);
            self.count((service, "resource", "resource"), resource);
            for span in of_resource
                .scope_spans
                .iter()
                .flat_map(|scope| &scope.spans)
            {
                self.count((service, &span.name, kind_of(span)), &span.attributes);
            }
        }
    }

    fn count(&mut self, about: (&str, &str, &str), attributes: &[KeyValue]) {
        let mut hasher = DefaultHasher::new();
        about.hash(&mut hasher);
        for attribute in attributes {
            (&attribute.key, type_of(attribute)).hash(&mut hasher);
        }
        let hash = hasher.finish();
        if let Some(at) = self.by_hash.get(&hash) {
            self.shapes[*at].count += 1;
        } else if self.shapes.len() < SHAPES_MAX {
            self.by_hash.insert(hash, self.shapes.len());
            self.shapes.push(shape(about, attributes));
        } else {
            self.beyond += 1;
        }
    }

    /// All of them.
    pub fn finish(self) -> Vec<Shape> {
        self.shapes
    }
}

fn shape((service, name, kind): (&str, &str, &str), attributes: &[KeyValue]) -> Shape {
    let attributes = attributes.iter().map(|attribute| {
        let seen = Seen {
            kind: type_of(attribute).to_owned(),
            example: example(attribute),
        };
        (attribute.key.clone(), seen)
    });
    Shape {
        service: service.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        attributes: attributes.collect(),
        count: 1,
    }
}

fn value(attribute: &KeyValue) -> Option<&Value> {
    attribute.value.as_ref()?.value.as_ref()
}

fn type_of(attribute: &KeyValue) -> &'static str {
    match value(attribute) {
        Some(Value::StringValue(_)) => "string",
        Some(Value::IntValue(_)) => "int",
        Some(Value::DoubleValue(_)) => "double",
        Some(Value::BoolValue(_)) => "bool",
        Some(_) => "other",
        None => "none",
    }
}

fn example(attribute: &KeyValue) -> String {
    match value(attribute) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
