//! What can be wrong with what services count, and with the names of it.

use super::Corruption;
use crate::evidence::{End, Evidence, Scrape};
use crate::telemetry::Series;
use std::collections::BTreeSet;

/// In the order of the checks.
pub(super) const ALL: &[Corruption] = &[
    Corruption {
        name: "an attribute of another name",
        check: "T6",
        apply: rename,
    },
    Corruption {
        name: "a metric that nobody knows",
        check: "T6",
        apply: unlisted,
    },
    Corruption {
        name: "an event that is counted twice",
        check: "M1",
        apply: count_twice,
    },
    Corruption {
        name: "a message that is not counted",
        check: "M1",
        apply: forget_one,
    },
    Corruption {
        name: "an outcome that was another",
        check: "M1",
        apply: other_outcome,
    },
    Corruption {
        name: "a bucket that holds more than there are",
        check: "M2",
        apply: fuller_bucket,
    },
    Corruption {
        name: "a time that was measured and not traced",
        check: "M2",
        apply: measure_more,
    },
    Corruption {
        name: "a saga that is said to be in flight",
        check: "M3",
        apply: keep_in_flight,
    },
    Corruption {
        name: "requests that no client has sent",
        check: "M4",
        apply: hidden_requests,
    },
    Corruption {
        name: "an example without a trace",
        check: "M5",
        apply: example_of_nothing,
    },
    Corruption {
        name: "an order as a label",
        check: "M6",
        apply: order_as_label,
    },
];

fn rename(evidence: &mut Evidence, place: usize) -> bool {
    let shapes = evidence.shapes.iter_mut();
    let mut spans: Vec<_> = shapes
        .filter(|shape| shape.kind != "resource" && !shape.attributes.is_empty())
        .collect();
    let Some(at) = place.checked_rem(spans.len()) else {
        return false;
    };
    let attributes = &mut spans[at].attributes;
    let first = attributes.pop_first();
    first.is_some_and(|(key, seen)| {
        let renamed = attributes.insert(format!("x.{key}"), seen);
        renamed.is_none()
    })
}

fn unlisted(evidence: &mut Evidence, place: usize) -> bool {
    let n = evidence.scrapes.len();
    let Some(at) = place.checked_rem(n) else {
        return false;
    };
    let families = &mut evidence.scrapes[at].families;
    let Some((name, family)) = families.pop_first() else {
        return false;
    };
    families.insert(format!("x_{name}"), family);
    true
}

/// Changes a series in the last that a replica told.
fn change(
    evidence: &mut Evidence,
    (service, name): (&str, &str),
    how: impl FnOnce(&mut Series),
) -> bool {
    let last = |scrape: &Scrape| (scrape.life_us, scrape.at_us);
    let scrapes = evidence.scrapes.iter_mut();
    let of_service = scrapes.filter(|scrape| scrape.service == service);
    let Some(scrape) = of_service.max_by_key(|scrape| last(scrape)) else {
        return false;
    };
    let mut series = scrape.series.iter_mut();
    let found = series.find(|series| series.name == name);
    found.map(how).is_some()
}

/// Whether each replica of a service has lived once.
fn lived_once(evidence: &Evidence, service: &str) -> bool {
    let scrapes = evidence.scrapes.iter();
    let scrapes = scrapes.filter(|scrape| scrape.service == service);
    let lives: BTreeSet<_> = scrapes
        .map(|scrape| (scrape.replica, scrape.life_us))
        .collect();
    let replicas: BTreeSet<u32> = lives.iter().map(|(replica, _)| *replica).collect();
    lives.len() == replicas.len()
}

/// A service of which everything was counted for sure: nobody died, and nothing is unknown.
fn undoubted(evidence: &Evidence) -> Option<&'static str> {
    let mut services = ["orders", "products", "payments"].into_iter();
    services.find(|service| {
        let mut scrapes = evidence.scrapes.iter();
        let is_sure = scrapes
            .all(|scrape| scrape.service != *service || !scrape.has("crashcart_unknown_total"));
        is_sure && lived_once(evidence, service)
    })
}

fn add(evidence: &mut Evidence, name: &str, n: f64) -> bool {
    let Some(service) = undoubted(evidence) else {
        return false;
    };
    change(evidence, (service, name), |series| series.value += n)
}

fn count_twice(evidence: &mut Evidence, _: usize) -> bool {
    add(evidence, "crashcart_events_said_total", 1.0)
}

fn forget_one(evidence: &mut Evidence, _: usize) -> bool {
    add(evidence, "crashcart_message_lag_seconds_count", -1.0)
}

fn measure_more(evidence: &mut Evidence, _: usize) -> bool {
    let lost = evidence.plan.spans_lost.values().any(|lost| *lost > 0);
    !lost && add(evidence, "crashcart_message_lag_seconds_count", 1.0)
}

fn other_outcome(evidence: &mut Evidence, _: usize) -> bool {
    if undoubted(evidence) != Some("orders") {
        return false;
    }
    let scrapes = evidence.scrapes.iter_mut();
    let orders = scrapes.filter(|scrape| scrape.service == "orders");
    let series = orders.flat_map(|scrape| &mut scrape.series);
    let finished = series.filter(|series| {
        series.name == "crashcart_sagas_settled_total"
            && series.value > 0.0
            && series.has(&[("outcome", "finished")])
    });
    let renamed = finished.map(|series| {
        let canceled = "canceled".to_owned();
        series.labels.insert("outcome".to_owned(), canceled)
    });
    renamed.count() > 0
}

fn fuller_bucket(evidence: &mut Evidence, place: usize) -> bool {
    let series = evidence
        .scrapes
        .iter_mut()
        .flat_map(|scrape| &mut scrape.series);
    let mut buckets: Vec<&mut Series> = series
        .filter(|series| series.has(&[("le", "+Inf")]))
        .collect();
    let at = place.checked_rem(buckets.len());
    at.map(|at| buckets[at].value += 1.0).is_some()
}

fn keep_in_flight(evidence: &mut Evidence, _: usize) -> bool {
    let name = "crashcart_sagas_in_flight";
    change(evidence, ("orders", name), |series| series.value += 1.0)
}

fn hidden_requests(evidence: &mut Evidence, _: usize) -> bool {
    if !lived_once(evidence, "orders") {
        return false;
    }
    let unknown = evidence
        .history
        .iter()
        .filter(|did| did.end == End::Unknown);
    let more = u32::try_from(unknown.count() + 1).unwrap_or(u32::MAX);
    let is_place = |series: &&mut Series| {
        series.name == "http_server_request_duration_seconds_count"
            && series.has(&[
                ("http_request_method", "POST"),
                ("http_route", "/api/v1/orders"),
            ])
    };
    let scrapes = evidence.scrapes.iter_mut();
    let last = scrapes
        .filter(|scrape| scrape.service == "orders")
        .max_by_key(|scrape| (scrape.life_us, scrape.at_us));
    let series = last.and_then(|scrape| scrape.series.iter_mut().find(is_place));
    series
        .map(|series| series.value += f64::from(more))
        .is_some()
}

fn example_of_nothing(evidence: &mut Evidence, _: usize) -> bool {
    if evidence.plan.spans_lost.values().any(|lost| *lost > 0) {
        return false;
    }
    let scrapes = evidence.scrapes.iter_mut();
    let last = scrapes
        .filter(|scrape| scrape.service == "orders")
        .max_by_key(|scrape| (scrape.life_us, scrape.at_us));
    let mut examples = last
        .into_iter()
        .flat_map(|scrape| &mut scrape.series)
        .filter_map(|series| series.example.as_mut());
    examples.next().map(|example| example.trace ^= 1).is_some()
}

fn order_as_label(evidence: &mut Evidence, _: usize) -> bool {
    let order = evidence.orders.first();
    let Some(order) = order.map(|row| evidence.order_id(row.order).to_string()) else {
        return false;
    };
    change(
        evidence,
        ("orders", "crashcart_sagas_settled_total"),
        |series| {
            series.labels.insert("reason".to_owned(), order);
        },
    )
}
