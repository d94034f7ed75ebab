//! The registry as a page for people: `dashboards/telemetry.md`.

use super::registry::{Attribute, Level, Metric, Registry, SpanKind};
use std::fmt::Write;

const HEAD: &str = "\
# What crashcart tells of itself

Made from `services/platform/telemetry.yaml` by `crashcart telemetry`; check T6 holds every run against the same list.
Names follow the OpenTelemetry semantic conventions 1.44 where there is one; what is ours begins with `crashcart`.
";

const SPANS: &str = "\
## Spans

Sent over OTLP, HTTP/protobuf or gRPC, where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector. One trace an order; each
batch is a small trace of its own, linked to the messages in it. In a name, what stands in braces is an attribute of the
same span.
";

const METRICS: &str = "\
## Metrics

At `GET /metrics` of each service, in Prometheus' text format, or in that of OpenMetrics with examples (`◆`: the trace
of something that took so long) when it is accepted. Durations are in seconds.
";

const LOGS: &str = "\
## Log lines

JSON, one object a line (`--log json`), or one line of text for people. `RUST_LOG` says which are written; at `debug`
there is one for each decision.
";

/// The page.
pub fn page(registry: &Registry) -> String {
    let mut page = HEAD.to_owned();
    // Writing into a string cannot fail.
    let _ = write(&mut page, registry);
    page
}

fn write(page: &mut String, registry: &Registry) -> std::fmt::Result {
    write!(page, "\n{SPANS}\n### Resource\n\n")?;
    attributes(page, &registry.resource)?;
    for span in &registry.spans {
        self::span(page, span)?;
    }
    write!(
        page,
        "\n{METRICS}\n| metric | type | unit | labels | told by | what |\n|---|---|---|---|---|---|\n"
    )?;
    for metric in &registry.metrics {
        self::metric(page, metric)?;
    }
    write!(page, "\n{LOGS}\n| field | what |\n|---|---|\n")?;
    for field in &registry.logs {
        writeln!(page, "| `{}` | {} |", field.key, field.brief)?;
    }
    Ok(())
}

fn span(page: &mut String, span: &SpanKind) -> std::fmt::Result {
    let SpanKind {
        name, kind, brief, ..
    } = span;
    let by = by(&span.by, "all services");
    write!(
        page,
        "\n### `{name}`\n\n{brief} Kind {kind}; told by {by}.\n"
    )?;
    if !span.attributes.is_empty() {
        page.push('\n');
        attributes(page, &span.attributes)?;
    }
    Ok(())
}

fn attributes(page: &mut String, all: &[Attribute]) -> std::fmt::Result {
    page.push_str("| attribute | type | there | what |\n|---|---|---|---|\n");
    for attribute in all {
        let Attribute {
            key, kind, brief, ..
        } = attribute;
        let there = match (attribute.level, &attribute.when) {
            (Level::Required, _) => "always".to_owned(),
            (Level::Conditional, when) => format!("if {}", when.as_deref().unwrap_or("known")),
        };
        writeln!(page, "| `{key}` | {kind} | {there} | {brief} |")?;
    }
    Ok(())
}

fn metric(page: &mut String, metric: &Metric) -> std::fmt::Result {
    let Metric {
        name,
        kind,
        unit,
        brief,
        ..
    } = metric;
    let labels = metric.labels.iter().map(|label| format!("`{label}`"));
    let labels: Vec<String> = labels.collect();
    let examples = if metric.exemplars { " ◆" } else { "" };
    let mut by = by(&metric.by, "all services");
    if let Some(engine) = &metric.engine {
        by = format!("{by}, on {engine}");
    }
    let labels = labels.join(", ");
    writeln!(
        page,
        "| `{name}`{examples} | {kind} | {unit} | {labels} | {by} | {brief} |"
    )
}

fn by(services: &[String], all: &str) -> String {
    if services.is_empty() {
        all.to_owned()
    } else {
        services.join(", ")
    }
}
