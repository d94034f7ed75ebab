//! Metrics as text: Prometheus' own format, and OpenMetrics, which has examples.

use super::Timing;
use super::timing::Example;
use crate::metrics::seconds;
use prometheus::proto::{Histogram, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};
use std::fmt::{Display, Write};

/// In Prometheus' text format.
pub(super) fn plain(families: &[MetricFamily]) -> String {
    let mut text = Vec::new();
    if let Err(error) = TextEncoder::new().encode(families, &mut text) {
        tracing::error!(%error, "metrics could not be encoded");
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// In the format of OpenMetrics 1.0.
pub(super) fn open_metrics(families: &[MetricFamily], timings: &[Timing]) -> String {
    let mut text = String::new();
    for family in families {
        let timing = timings.iter().find(|timing| timing.name() == family.name());
        // Writing into a string cannot fail.
        let _ = write_family(&mut text, family, timing);
    }
    text.push_str("# EOF\n");
    text
}

fn write_family(
    text: &mut String,
    family: &MetricFamily,
    timing: Option<&Timing>,
) -> std::fmt::Result {
    let name = family.name();
    let kind = family.get_field_type();
    // A counter is called by its name without the ending, and counts under its name with it.
    let (called, kind_name) = match kind {
        MetricType::COUNTER => (name.strip_suffix("_total").unwrap_or(name), "counter"),
        MetricType::HISTOGRAM => (name, "histogram"),
        _ => (name, "gauge"),
    };
    writeln!(text, "# TYPE {called} {kind_name}")?;
    writeln!(text, "# HELP {called} {}", escaped(family.help()))?;
    for metric in family.get_metric() {
        match kind {
            MetricType::COUNTER => line(text, name, metric, metric.get_counter().get_value())?,
            MetricType::HISTOGRAM => {
                let examples = timing.map(|timing| timing.examples(|label| value(metric, label)));
                write_histogram(text, name, metric, &examples.unwrap_or_default())?;
            }
            _ => line(text, name, metric, metric.get_gauge().get_value())?,
        }
    }
    Ok(())
}

fn write_histogram(
    text: &mut String,
    name: &str,
    metric: &Metric,
    examples: &[Option<Example>],
) -> std::fmt::Result {
    let histogram: &Histogram = metric.get_histogram();
    let all = histogram.get_sample_count();
    let bounded = histogram.get_bucket().iter();
    let bounded = bounded.filter(|bucket| bucket.upper_bound().is_finite());
    let buckets = bounded.map(|bucket| {
        // A float with its point: `1` would be another label than `1.0`.
        let bound = format!("{:?}", bucket.upper_bound());
        (bound, bucket.cumulative_count())
    });
    for (nth, (bound, count)) in buckets.chain([("+Inf".to_owned(), all)]).enumerate() {
        let le = format!("le=\"{bound}\"");
        write!(text, "{name}_bucket{} {count}", labels(metric, Some(&le)))?;
        if let Some(Some(example)) = examples.get(nth) {
            let Example {
                trace,
                span,
                seconds: value,
                at_us,
            } = example;
            let at = seconds(*at_us);
            write!(
                text,
                " # {{trace_id=\"{trace:032x}\",span_id=\"{span:016x}\"}} {value} {at:.6}"
            )?;
        }
        text.push('\n');
    }
    line(
        text,
        &format!("{name}_sum"),
        metric,
        histogram.get_sample_sum(),
    )?;
    line(text, &format!("{name}_count"), metric, all)
}

fn line(text: &mut String, name: &str, metric: &Metric, value: impl Display) -> std::fmt::Result {
    writeln!(text, "{name}{} {value}", labels(metric, None))
}

fn labels(metric: &Metric, more: Option<&str>) -> String {
    let pairs = metric.get_label().iter();
    let pairs = pairs.map(|pair| format!("{}=\"{}\"", pair.name(), escaped(pair.value())));
    let all: Vec<String> = pairs.chain(more.map(str::to_owned)).collect();
    if all.is_empty() {
        return String::new();
    }
    format!("{{{}}}", all.join(","))
}

fn value(metric: &Metric, label: &str) -> String {
    let pairs = metric.get_label().iter();
    let mut found = pairs.filter(|pair| pair.name() == label);
    found
        .next()
        .map_or(String::new(), |pair| pair.value().to_owned())
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
