//! What a good run on paper counts, and which forms its spans have: added up from its other lines.

#![allow(
    clippy::cast_precision_loss,
    reason = "nothing on paper counts to 2^53"
)]

use crate::recorded::{BEGAN_US, Recipe, json};
use contract::http::{Order, OrderStatus, Product};
use harness::evidence::{ScrapeLine, Service, Source};
use harness::history::{Action, Outcome};
use harness::telemetry::{REGISTRY, Shape, SpanLine, registry::SpanKind};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

/// When each service began, and how long each message takes until it is applied.
const LIFE_S: f64 = 1_700_000_000.1;
const LAG_US: u64 = 100;

/// Values by service, metric, and labels as text.
#[derive(Default)]
struct Counted(BTreeMap<(&'static str, String, String), f64>);

impl Counted {
    fn add(&mut self, service: &'static str, (name, labels): (&str, String), value: f64) {
        *self
            .0
            .entry((service, name.to_owned(), labels))
            .or_default() += value;
    }

    fn one(&mut self, service: &'static str, name: &str, labels: String) {
        self.add(service, (name, labels), 1.0);
    }
}

/// Tells the metrics of each service at rest.
pub fn metrics(recipe: &Recipe, line: &mut dyn FnMut(&str)) {
    let mut counted = Counted::default();
    said(recipe, &mut counted);
    let trace = applied(recipe, &mut counted);
    sagas(recipe, &mut counted);
    stock(recipe, &mut counted);
    requests(recipe, &mut counted);
    for service in Service::ALL.map(Service::as_str) {
        for name in [
            "crashcart_outbox_pending",
            "crashcart_outbox_oldest_age_seconds",
            "crashcart_saga_oldest_age_seconds",
            "crashcart_loops_ended",
        ] {
            counted.add(service, (name, String::new()), 0.0);
        }
        for name in [
            "http_server_active_requests",
            "crashcart_consuming",
            "crashcart_store_up",
            "crashcart_build_info",
        ] {
            counted.one(service, name, String::new());
        }
        for state in ["ready", "dead"] {
            let labels = format!("state=\"{state}\"");
            counted.add(service, ("crashcart_queue_messages", labels), 0.0);
        }
        let name = "crashcart_start_time_seconds";
        counted.add(service, (name, String::new()), LIFE_S);
        line(&json(&ScrapeLine {
            service: service.into(),
            replica: 0,
            at_us: recipe.plan().rest_us,
            text: text(&counted, service, &trace).into(),
        }));
    }
}

fn lines(recipe: &Recipe, source: Source, mut each: impl FnMut(&str)) {
    recipe.tell(source, &mut each);
}

fn typed(kind: &str) -> String {
    format!("type=\"{kind}\"")
}

fn said(recipe: &Recipe, counted: &mut Counted) {
    #[derive(Deserialize)]
    struct Logged<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    for (service, source) in [
        ("orders", Source::LogOrders),
        ("products", Source::LogProducts),
        ("payments", Source::LogPayments),
    ] {
        lines(recipe, source, |line| {
            let logged: Logged<'_> = serde_json::from_str(line).unwrap();
            counted.one(service, "crashcart_events_said_total", typed(&logged.kind));
        });
    }
}

/// Counts what was applied, and returns the trace of the first.
fn applied(recipe: &Recipe, counted: &mut Counted) -> String {
    #[derive(Deserialize)]
    struct Inbox {
        seen: u32,
    }
    let mut trace = String::new();
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    lines(recipe, Source::Spans, |line| {
        let span: SpanLine<'_> = serde_json::from_str(line).unwrap();
        trace = span.trace.to_string();
        if span.kind == "consumer" {
            let kind = span.name.split(':').nth(1).unwrap().to_owned();
            let service = Service::parse(&span.service).unwrap().as_str();
            kinds.entry(service).or_default().push(kind);
        }
    });
    for (service, source) in [
        ("orders", Source::InboxOrders),
        ("products", Source::InboxProducts),
        ("payments", Source::InboxPayments),
    ] {
        // Inboxes and traces are told in the same order.
        let mut kinds = kinds.remove(service).unwrap_or_default().into_iter();
        lines(recipe, source, |line| {
            let Inbox { seen } = serde_json::from_str(line).unwrap();
            let kind = typed(&kinds.next().unwrap());
            let lag = "crashcart_message_lag_seconds";
            counted.one(service, &format!("{lag}_count"), kind.clone());
            let took_s = LAG_US as f64 / 1e6;
            counted.add(service, (&format!("{lag}_sum"), kind.clone()), took_s);
            let repeats = f64::from(seen - 1);
            let name = "crashcart_duplicates_absorbed_total";
            counted.add(service, (name, kind), repeats);
        });
    }
    trace
}

fn sagas(recipe: &Recipe, counted: &mut Counted) {
    let mut open = 0.0;
    lines(recipe, Source::Orders, |line| {
        let order: Order = serde_json::from_str(line).unwrap();
        counted.one("orders", "crashcart_sagas_started_total", String::new());
        let outcome = order.status.as_str();
        if order.status == OrderStatus::Created {
            open += 1.0;
            return;
        }
        let reason = order.reason.map_or("", contract::Reason::as_str);
        let labels = format!("outcome=\"{outcome}\",reason=\"{reason}\"");
        counted.one("orders", "crashcart_sagas_settled_total", labels);
        let from_us = order.created_at_us;
        let (took, labels) = (
            "crashcart_saga_duration_seconds",
            format!("outcome=\"{outcome}\""),
        );
        counted.one("orders", &format!("{took}_count"), labels.clone());
        let took_s = (order.settled_at_us.unwrap() - from_us) as f64 / 1e6;
        counted.add("orders", (&format!("{took}_sum"), labels), took_s);
    });
    let name = "crashcart_sagas_in_flight";
    counted.add("orders", (name, String::new()), open);
    let name = "crashcart_payments_open";
    counted.add("payments", (name, String::new()), 0.0);
}

fn stock(recipe: &Recipe, counted: &mut Counted) {
    let name = "crashcart_products_sold_out";
    counted.add("products", (name, String::new()), 0.0);
    lines(recipe, Source::Products, |line| {
        let product: Product = serde_json::from_str(line).unwrap();
        let (available, received) = (product.available as f64, product.received as f64);
        for (name, value) in [
            ("crashcart_products", 1.0),
            (name, f64::from(u8::from(product.available == 0))),
            ("crashcart_stock_available_units", available),
            ("crashcart_stock_taken_units", received - available),
        ] {
            counted.add("products", (name, String::new()), value);
        }
    });
}

fn requests(recipe: &Recipe, counted: &mut Counted) {
    lines(recipe, Source::History, |line| {
        let did: harness::history::Operation = serde_json::from_str(line).unwrap();
        let (service, route) = match did.action {
            Action::CreateProduct { .. } => ("products", "/api/v1/products"),
            Action::Place { .. } | Action::PlaceBadly { .. } => ("orders", "/api/v1/orders"),
            Action::Read { .. } => return,
        };
        let status = match did.outcome {
            Outcome::Created { .. } | Outcome::Ok { .. } => 201,
            Outcome::Refused { status } => status,
            Outcome::Unknown { .. } => return,
        };
        let labels = format!(
            "http_request_method=\"POST\",http_route=\"{route}\",http_response_status_code=\"{status}\""
        );
        let name = "http_server_request_duration_seconds_count";
        counted.one(service, name, labels.clone());
        let sum = "http_server_request_duration_seconds_sum";
        counted.add(service, (sum, labels), 0.001);
    });
}

fn text(counted: &Counted, service: &str, trace: &str) -> String {
    let mut text = String::new();
    for metric in &REGISTRY.metrics {
        let name = metric.name.as_str();
        let is_part = |series: &str| {
            let ending = series.strip_prefix(name);
            ending.is_some_and(|ending| ["", "_count", "_sum"].contains(&ending))
        };
        let of = counted.0.iter();
        let mut series = of
            .filter(|((of, series, _), _)| *of == service && is_part(series))
            .peekable();
        if series.peek().is_none() {
            continue;
        }
        let (called, brief) = (name.trim_end_matches("_total"), &metric.brief);
        writeln!(
            text,
            "# TYPE {called} {}\n# HELP {called} {brief}",
            metric.kind
        )
        .unwrap();
        let mut example = trace;
        for ((_, series, labels), value) in series {
            writeln!(text, "{series}{{{labels}}} {value}").unwrap();
            if !series.ends_with("_count") || metric.kind != "histogram" {
                continue;
            }
            write!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {value}").unwrap();
            if metric.exemplars && !example.is_empty() {
                let named = format!("{{trace_id=\"{example}\",span_id=\"01\"}}");
                write!(text, " # {named} 0.0001 {LIFE_S}").unwrap();
                example = "";
            }
            text.push('\n');
        }
    }
    text + "# EOF\n"
}

/// Tells the forms of spans: each that the registry has, of each service that has it.
pub fn shapes(line: &mut dyn FnMut(&str)) {
    for span in &REGISTRY.spans {
        for service in Service::ALL.map(Service::as_str) {
            if span.by.is_empty() || span.by.iter().any(|by| by == service) {
                line(&json(&shape(span, service)));
            }
        }
    }
}

fn shape(span: &SpanKind, service: &str) -> Shape {
    let attributes = span.attributes.iter().map(|attribute| {
        let seen = harness::telemetry::Seen {
            kind: attribute.kind.clone(),
            example: "x".to_owned(),
        };
        (attribute.key.clone(), seen)
    });
    let mut name = span.name.clone();
    for attribute in &span.attributes {
        name = name.replace(&format!("{{{}}}", attribute.key), "x");
    }
    Shape {
        service: service.to_owned(),
        name,
        kind: span.kind.clone(),
        attributes: attributes.collect(),
        count: u64::try_from(BEGAN_US).unwrap(),
    }
}
