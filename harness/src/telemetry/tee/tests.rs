//! Who is kept, who is not, and that nothing grows.

use super::deciding::{Bounds, Deciding};
use super::wire;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, status};
use prost::Message;
use std::collections::BTreeMap;
use std::time::Duration;

const MS: u64 = 1_000_000;

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(Value::StringValue(value.to_owned()));
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value }),
        ..KeyValue::default()
    }
}

/// A span of a trace, from 0 ms to here.
fn span(trace: u128, ends_ms: u64) -> Span {
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: vec![1; 8],
        name: "step".to_owned(),
        start_time_unix_nano: MS,
        end_time_unix_nano: (1 + ends_ms) * MS,
        ..Span::default()
    }
}

/// A span that is about an order: something was said or heard.
fn said(trace: u128, event: &str, ends_ms: u64) -> Span {
    let key = "messaging.rabbitmq.destination.routing_key";
    Span {
        attributes: vec![attribute(key, event)],
        ..span(trace, ends_ms)
    }
}

/// An order that went well.
fn order(trace: u128, took_ms: u64) -> Vec<Span> {
    vec![
        said(trace, "order.created", 1),
        said(trace, "order.finished", took_ms),
    ]
}

fn request(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![attribute("service.name", service)],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "crashcart".to_owned(),
        version: "1".to_owned(),
        ..InstrumentationScope::default()
    };
    let of_scope = ScopeSpans {
        scope: Some(scope),
        spans,
        schema_url: "of the scope".to_owned(),
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![of_scope],
            schema_url: "of the resource".to_owned(),
        }],
    }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Everything that goes out now, as a collector reads it.
fn sent(deciding: &mut Deciding) -> Vec<ExportTraceServiceRequest> {
    let mut sent = Vec::new();
    while let Some(pieces) = deciding.outgoing.next() {
        let request = wire::request(&pieces);
        sent.push(ExportTraceServiceRequest::decode(request).unwrap());
        deciding.outgoing.taken(0);
    }
    sent
}

fn kept(deciding: &Deciding) -> BTreeMap<String, u64> {
    deciding.figures().kept
}

/// What is kept of these spans, which came at once, after all is over.
fn decided(share: f64, spans: Vec<Span>) -> BTreeMap<String, u64> {
    let mut deciding = Deciding::new(Bounds::default(), share);
    deciding.take(&request("orders", spans), seconds(0));
    deciding.look(seconds(20));
    assert_eq!(deciding.size().0, 0);
    kept(&deciding)
}

#[test]
fn each_reason_to_keep_a_trace_has_a_name() {
    let failed = Status {
        code: status::StatusCode::Error.into(),
        ..Status::default()
    };
    let failed = Span {
        status: Some(failed),
        ..span(1, 1)
    };
    let heard = |outcome| Span {
        attributes: vec![attribute("crashcart.outcome", outcome)],
        ..span(1, 1)
    };
    let wait = Span {
        name: "GET /api/v1/orders/{id}".to_owned(),
        kind: SpanKind::Server.into(),
        ..span(1, 5_000)
    };
    for (spans, why) in [
        (vec![failed], "failed"),
        (vec![heard("rolled_back")], "failed"),
        (vec![heard("refused")], "failed"),
        (vec![heard("unknown")], "failed"),
        (vec![said(1, "order.canceled", 1)], "canceled"),
        (vec![said(1, "payment.created", 1)], "open"),
        (order(1, 1_000), "slow"),
        (vec![span(1, 1_000)], "slow"),
        (order(1, 999), ""),
        (vec![heard("applied"), heard("duplicate")], ""),
        (vec![said(1, "product.created", 1)], ""),
        // Whoever asks may wait for the end of an order on purpose.
        (vec![wait], ""),
    ] {
        let found = decided(0.0, spans);
        let found: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(found.join(" "), why);
    }
    assert_eq!(decided(1.0, order(1, 1)), [("share".to_owned(), 1)].into());
}

#[test]
fn slower_than_99_in_100_before_it_is_slow_too() {
    let mut deciding = Deciding::new(Bounds::default(), 0.0);
    let usual = (1..=400).flat_map(|trace| order(trace, 10 + u64::try_from(trace % 7).unwrap()));
    deciding.take(&request("orders", usual.collect()), seconds(0));
    let late = [order(501, 16), order(502, 17)].concat();
    deciding.take(&request("orders", late), seconds(5));
    deciding.look(seconds(20));
    assert_eq!(kept(&deciding), [("slow".to_owned(), 1)].into());
    assert_eq!(deciding.figures().left_out, 401);
}

#[test]
fn the_share_is_drawn_by_the_id_of_the_trace_the_same_each_time() {
    let ids = (1..=4_000_u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    let spans: Vec<Span> = ids.flat_map(|id| order(id, 1)).collect();
    let first = decided(0.1, spans.clone());
    assert!((340..460).contains(&first["share"]), "{first:?}");
    assert_eq!(first, decided(0.1, spans));
}

#[test]
fn a_trace_that_goes_on_is_decided_when_it_is_quiet_and_goes_out_whole() {
    let mut deciding = Deciding::new(Bounds::default(), 0.0);
    deciding.take(&request("orders", vec![order(7, 10).remove(0)]), seconds(0));
    deciding.take(&request("products", vec![span(7, 5)]), seconds(2));
    deciding.look(seconds(4));
    assert!(sent(&mut deciding).is_empty(), "it was heard of 2 s ago");
    let end = said(7, "order.canceled", 5_000);
    deciding.take(&request("orders", vec![end]), seconds(5));
    deciding.look(seconds(8));
    let requests = sent(&mut deciding);
    let [request_sent] = &requests[..] else {
        panic!("one request")
    };
    let n = |n: usize| request_sent.resource_spans[n].scope_spans[0].spans.len();
    assert_eq!((request_sent.resource_spans.len(), n(0), n(1)), (2, 2, 1));
    // What comes later follows it, and is no trace of its own.
    deciding.take(&request("orders", vec![span(7, 1)]), seconds(60));
    assert_eq!(sent(&mut deciding).len(), 1);
    assert_eq!(kept(&deciding).values().sum::<u64>(), 1);
    assert_eq!(deciding.figures().sent, 4);
}

#[test]
fn resource_scope_and_span_survive_as_they_came() {
    let mut deciding = Deciding::new(Bounds::default(), 1.0);
    let came = request("orders", order(7, 10));
    deciding.take(&came, seconds(0));
    deciding.close();
    assert_eq!(sent(&mut deciding), [came]);
}

#[test]
fn a_trace_that_a_metric_names_is_kept_before_and_after_it_was_found_dull() {
    let mut deciding = Deciding::new(Bounds::default(), 0.0);
    deciding.examples(&[1]);
    let spans = [order(1, 1), order(2, 1), order(3, 1)].concat();
    deciding.take(&request("orders", spans), seconds(0));
    deciding.look(seconds(4));
    assert_eq!(kept(&deciding), [("example".to_owned(), 1)].into());
    deciding.examples(&[1, 2, 99]);
    deciding.look(seconds(20));
    deciding.examples(&[3]);
    assert_eq!(kept(&deciding), [("example".to_owned(), 2)].into());
    assert_eq!(deciding.figures().left_out, 1);
}

#[test]
fn the_batches_of_a_kept_order_are_kept_and_no_order_because_of_a_batch() {
    let link = |trace: u128| Link {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: vec![2; 8],
        ..Link::default()
    };
    let linked = |span: Span, to| Span {
        links: vec![link(to)],
        ..span
    };
    let mut deciding = Deciding::new(Bounds::default(), 0.0);
    let canceled = [
        linked(said(1, "order.created", 1), 11),
        said(1, "order.canceled", 1),
    ];
    let dull = [
        linked(said(2, "order.created", 1), 12),
        said(2, "order.finished", 1),
    ];
    // Both batches link both orders; batch 12 was found dull before the order with which it came was decided.
    let batches = [linked(span(11, 1), 2), linked(span(12, 1), 1)];
    deciding.take(&request("products", batches.to_vec()), seconds(0));
    deciding.look(seconds(4));
    let orders = [canceled.to_vec(), dull.to_vec()].concat();
    deciding.take(&request("orders", orders), seconds(5));
    deciding.look(seconds(30));
    let both = [("canceled".to_owned(), 1), ("linked".to_owned(), 1)];
    assert_eq!(kept(&deciding), both.into());
    assert_eq!(deciding.figures().left_out, 2);
}

#[test]
fn without_room_the_oldest_are_decided_by_what_is_known_and_nothing_grows() {
    let bounds = Bounds {
        traces: 500,
        bytes: 100_000,
        outgoing: 50_000,
        remembered: 1_000,
        ..Bounds::default()
    };
    let mut deciding = Deciding::new(bounds, 0.0);
    for n in 0..20_000_u128 {
        let spans = if n % 10 == 0 {
            vec![said(n + 1, "order.canceled", 1)]
        } else {
            vec![said(n + 1, "order.created", 1)]
        };
        deciding.take(&request("orders", spans), seconds(0));
        let (traces, bytes) = deciding.size();
        assert!(traces <= 500 && bytes <= 150_000, "{traces}, {bytes}");
    }
    deciding.outgoing.close();
    let figures = deciding.figures();
    assert!(figures.left_out > 17_000, "{figures:?}");
    assert!(figures.kept["canceled"] > 1_900, "{figures:?}");
    assert_eq!(figures.dropped, figures.kept["canceled"], "nobody sent any");
}

#[test]
fn what_no_trace_can_be_made_of_is_dropped_and_counted() {
    let mut deciding = Deciding::new(Bounds::default(), 1.0);
    let bad = [vec![], vec![0; 16], vec![1; 7]].map(|trace_id| Span {
        trace_id,
        ..span(1, 1)
    });
    deciding.take(&request("orders", bad.to_vec()), seconds(0));
    let huge = request(&"x".repeat(100_000), order(1, 1));
    deciding.take(&huge, seconds(0));
    assert_eq!((deciding.figures().dropped, deciding.size()), (5, (0, 0)));
}
