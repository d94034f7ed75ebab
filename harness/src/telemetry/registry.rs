//! What the shop may tell of itself: `telemetry.yaml`, read once.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The registry of this build.
pub static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    serde_saphyr::from_str(platform::telemetry::REGISTRY).expect("our own file, which a test reads")
});

/// Everything that is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// What every sender says of itself.
    pub resource: Vec<Attribute>,
    /// The kinds of spans.
    pub spans: Vec<SpanKind>,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// The fields of log lines.
    pub logs: Vec<LogField>,
}

/// An attribute of a span or a resource.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Its name.
    pub key: String,
    /// `string` or `int`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is always there.
    pub level: Level,
    /// When it is, if it is not always.
    pub when: Option<String>,
    /// What it says.
    pub brief: String,
}

/// How sure one can be to find an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It is always there.
    Required,
    /// It is there when something is so.
    Conditional,
}

/// A kind of span.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanKind {
    /// What it is called here.
    pub id: String,
    /// Its name; in braces, attributes of the same span.
    pub name: String,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// Who tells of it; everybody if it is not said.
    #[serde(default)]
    pub by: Vec<String>,
    /// What it is.
    pub brief: String,
    /// What is told of it.
    pub attributes: Vec<Attribute>,
}

/// A metric.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name, with its unit.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In the words of UCUM.
    pub unit: String,
    /// Whether its buckets name traces.
    #[serde(default)]
    pub exemplars: bool,
    /// Who tells of it; everybody but the harness if it is not said.
    #[serde(default)]
    pub by: Vec<String>,
    /// On which engine alone, if not on all.
    pub engine: Option<String>,
    /// Its labels.
    pub labels: Vec<String>,
    /// What it is: its help text.
    pub brief: String,
}

/// A field of a log line.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogField {
    /// Its name.
    pub key: String,
    /// What it says.
    pub brief: String,
}

impl Registry {
    /// The kind of a span: the one whose name comes out with these attributes.
    pub fn span(
        &self,
        name: &str,
        kind: &str,
        value: &BTreeMap<String, String>,
    ) -> Option<&SpanKind> {
        let mut spans = self.spans.iter().filter(|span| span.kind == kind);
        spans.find(|span| filled(&span.name, value).as_deref() == Some(name))
    }

    /// The metric with this name.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

/// A name with the values of attributes in it; none when one is not there.
fn filled(template: &str, value: &BTreeMap<String, String>) -> Option<String> {
    let mut name = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (key, after) = after.split_once('}')?;
        name.push_str(before);
        name.push_str(value.get(key)?);
        rest = after;
    }
    Some(name + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_once_and_every_condition_is_said() {
        let registry = &*REGISTRY;
        let mut names: Vec<&str> = registry.metrics.iter().map(|m| m.name.as_str()).collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "a metric stands twice");
        for span in &registry.spans {
            for attribute in &span.attributes {
                let is_conditional = attribute.level == Level::Conditional;
                assert_eq!(
                    attribute.when.is_some(),
                    is_conditional,
                    "{}",
                    attribute.key
                );
            }
        }
        for metric in &registry.metrics {
            let is_counter = metric.kind == "counter";
            assert_eq!(
                metric.name.ends_with("_total"),
                is_counter,
                "{}",
                metric.name
            );
            assert_eq!(
                metric.unit == "s",
                metric.name.contains("_seconds"),
                "{}",
                metric.name
            );
        }
    }

    #[test]
    fn a_name_comes_out_of_its_attributes() {
        let value = BTreeMap::from([("a".to_owned(), "x".to_owned())]);
        assert_eq!(filled("do {a}:{a}", &value).as_deref(), Some("do x:x"));
        assert_eq!(filled("do {b}", &value), None);
    }
}
