//! What is kept has a bound, whatever comes; and an order is kept whole or not at all.

use crate::kit::{canceled, finished, keep, order, step};
use harness::telemetry::Sink;
use harness::ui::{Bounds, Orders, Show, Wanted};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::Value as Json;

fn orders(orders: usize, bytes: usize, steps: usize) -> Orders {
    Orders::new(Bounds {
        orders,
        bytes,
        steps,
    })
}

fn list(orders: &Orders) -> Json {
    let wanted = Wanted {
        limit: 100,
        ..Wanted::default()
    };
    serde_json::from_str(&orders.list(&wanted)).unwrap()
}

fn ids(list: &Json) -> Vec<String> {
    let orders = list["orders"].as_array().unwrap().iter();
    orders
        .map(|order| order["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_oldest_orders_go_first_and_each_is_counted() {
    let orders = orders(3, usize::MAX, 512);
    // They need not come in their order.
    for n in [1, 3, 2, 5, 4] {
        keep(&orders, finished(n, 0));
    }
    let list = list(&orders);
    assert_eq!(ids(&list), [5, 4, 3].map(|n| order(n).to_string()));
    assert_eq!((&list["kept"], &list["forgotten"]), (&3.into(), &2.into()));
    assert!(orders.whole(order(1)).is_none() && orders.may_be_forgotten(order(1)));
    assert!(!orders.may_be_forgotten(order(6)));
}

#[test]
fn a_late_step_brings_no_half_order_back() {
    let orders = orders(2, usize::MAX, 512);
    for n in 1..=3 {
        keep(&orders, finished(n, 0));
    }
    orders.add(step(1, [3, 2], "consumer", "late"));
    // Of an order that nobody has heard of, and that would be the next to go.
    orders.add(step(0, [1, 0], "server", "POST /api/v1/orders"));
    assert_eq!(orders.size().0, 2);
    assert!(orders.whole(order(1)).is_none() && orders.whole(order(0)).is_none());
    // A step of one that is kept is never too late.
    orders.add(step(2, [3, 2], "consumer", "late"));
    let whole: Json = serde_json::from_str(&orders.whole(order(2)).unwrap()).unwrap();
    assert_eq!(whole["spans"].as_array().unwrap().len(), 3);
}

#[test]
fn the_memory_has_a_bound_and_so_has_a_single_order() {
    let bytes_max = 100_000;
    let orders = orders(usize::MAX, bytes_max, 20);
    for n in 1..2_000 {
        for step in finished(n, 0) {
            orders.add(step);
            assert!(orders.size().1 <= bytes_max);
        }
    }
    let (kept, bytes) = orders.size();
    assert!(
        kept > 10 && bytes > bytes_max / 2,
        "{kept} orders, {bytes} bytes"
    );
    let one = orders.whole(order(1_999)).unwrap();
    assert!(one.contains(r#""leftOut":0"#), "{one}");
    for span in 3..=50 {
        orders.add(step(1_999, [span, 1], "consumer", "again"));
    }
    let one: Json = serde_json::from_str(&orders.whole(order(1_999)).unwrap()).unwrap();
    assert_eq!(
        (&one["steps"], &one["leftOut"]),
        (&20.into(), &30.into()),
        "{one}"
    );
}

#[test]
fn a_step_that_is_sent_again_counts_once() {
    let orders = orders(10, usize::MAX, 512);
    for _ in 0..3 {
        keep(&orders, finished(1, 0));
    }
    assert_eq!(list(&orders)["orders"][0]["steps"], 2);
}

#[test]
fn slow_canceled_and_failed_orders_can_be_found_among_all() {
    let orders = orders(10, usize::MAX, 512);
    for (n, long_us) in [(1, 9_000), (2, 0), (3, 50_000)] {
        keep(&orders, finished(n, long_us));
    }
    keep(&orders, canceled(4));
    let shown = |show, limit| {
        let wanted = Wanted {
            limit,
            show,
            ..Wanted::default()
        };
        ids(&serde_json::from_str(&orders.list(&wanted)).unwrap())
    };
    assert_eq!(shown(Show::Slow, 2), [3, 1].map(|n| order(n).to_string()));
    assert_eq!(shown(Show::Canceled, 9), [order(4).to_string()]);
    assert_eq!(shown(Show::Failed, 9), [order(4).to_string()]);
    let list = list(&orders);
    let canceled = &list["orders"][0];
    assert_eq!(
        (
            &canceled["outcome"],
            &canceled["compensated"],
            &canceled["errors"]
        ),
        (&"canceled".into(), &true.into(), &1.into())
    );
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[test]
fn a_huge_text_is_cut_and_what_is_about_no_order_is_left_alone() {
    let span = |attributes: Vec<KeyValue>| Span {
        trace_id: vec![7; 16],
        span_id: vec![u8::try_from(attributes.len()).unwrap(); 8],
        name: "step".to_owned(),
        attributes,
        ..Span::default()
    };
    let id = || attribute("order.id", Value::StringValue(order(1).to_string()));
    let huge = attribute("huge", Value::StringValue("ö".repeat(1_000_000)));
    let large = attribute("large", Value::IntValue(i64::MAX));
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![span(vec![id(), huge, large]), span(vec![])],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let orders = Orders::new(Bounds::default());
    assert!(orders.take(&request));
    assert!(orders.size().1 < 10_000, "{:?}", orders.size());
    let whole: Json = serde_json::from_str(&orders.whole(order(1)).unwrap()).unwrap();
    assert_eq!(whole["steps"], 1);
    let attributes = &whole["spans"][0]["attributes"];
    assert!(attributes["huge"].as_str().unwrap().ends_with("ö…"));
    assert_eq!(attributes["large"], i64::MAX.to_string());
}
