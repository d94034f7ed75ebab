//! Each planted bug shows from outside in the world that its words ask for, and nothing shows there without it.
//!
//! What a bug shows is read from answers, exports and the tap, as the checks of the harness do it.
#![cfg(feature = "planted")]

mod kit;

use contract::{Bug, Message};
use kit::{Seen, Trouble, id, number, text, under};
use platform::stage::play;
use platform::telemetry::SpanData;
use serde_json::Value;
use std::collections::BTreeSet;

/// A bug, the trouble that it needs, and whether it shows in what was seen.
type Case = (Bug, Trouble, fn(&Seen) -> bool);

const CASES: &[Case] = &[
    (Bug::FinishBeforeConsume, Trouble::None, |seen| {
        seen.order("cheap")["status"] == "finished"
    }),
    (Bug::IgnoreFailedPayment, Trouble::None, stuck),
    (Bug::KeepTheStock, Trouble::None, unbalanced),
    (Bug::ReturnOneUnit, Trouble::None, unbalanced),
    (Bug::ReadThenWrite, Trouble::None, unbalanced),
    (Bug::Oversell, Trouble::None, |seen| {
        seen.order("greedy")["status"] == "finished" && unbalanced(seen)
    }),
    (
        Bug::ApplyAgain,
        Trouble::Duplicates("reservation.consumed"),
        |seen| twice(seen, "order.finished"),
    ),
    (
        Bug::ApplyAgain,
        Trouble::Duplicates("payment.processed"),
        |seen| twice(seen, "reservation.consumed"),
    ),
    (
        Bug::ApplyAgain,
        Trouble::Duplicates("reservation.failed"),
        |seen| twice(seen, "order.canceled"),
    ),
    (
        Bug::ApplyAgain,
        Trouble::Duplicates("reservation.canceled"),
        |seen| twice(seen, "order.canceled"),
    ),
    (
        Bug::ApplyAgain,
        Trouble::Duplicates("payment.failed"),
        |seen| twice(seen, "reservation.canceled"),
    ),
    (Bug::FailAtTheMinimum, Trouble::None, |seen| {
        seen.order("dollar")["reason"] == "under_minimum"
    }),
    (Bug::DollarsForCents, Trouble::None, |seen| {
        seen.order("paid")["reason"] == "under_minimum"
    }),
    (Bug::OverflowTheAmount, Trouble::None, |seen| {
        seen.order("gold")["reason"] == "under_minimum"
    }),
    (Bug::OrderAgain, Trouble::None, |seen| {
        seen.orders_of("paid") == 2 && seen.ids_told_of("paid").len() == 1
    }),
    (Bug::ProcessAfterFailing, Trouble::Slow, |seen| {
        let failed = seen.subjects("payment.failed");
        !failed.is_disjoint(&seen.subjects("payment.processed"))
    }),
    (Bug::KeepTheVersion, Trouble::None, same_version_again),
    (Bug::CancelUnsaid, Trouble::None, |seen| {
        seen.order("cheap")["status"] == "canceled" && seen.said("order.canceled").count() == 0
    }),
    (Bug::ChargeTwice, Trouble::None, charged_for_nothing),
    (Bug::ChargeAnotherAmount, Trouble::None, |seen| {
        let amount = |charge| number(charge, "amountCents");
        let mut charges = seen.charges.iter();
        charges.any(|charge| amount(charge) != amount(seen.charged(charge)))
    }),
    (
        Bug::NewKeyOnRetry,
        Trouble::LostAnswers,
        charged_for_nothing,
    ),
    (Bug::TimeoutIsNo, Trouble::LostAnswers, |seen| {
        let mut charges = seen.charges.iter();
        charges.any(|charge| {
            charge["outcome"] == "charged" && seen.charged(charge)["status"] == "failed"
        })
    }),
    (Bug::ForgetTheQuantity, Trouble::None, |seen| {
        let order = seen.order("paid");
        let mut payments = seen.payments.iter();
        payments.any(|payment| {
            payment["orderId"] == order["id"] && payment["amountCents"] != order["amountCents"]
        })
    }),
    (Bug::SayAnotherQuantity, Trouble::None, |seen| {
        let order = seen.order("paid");
        let mut placed = seen.said("order.created");
        placed.any(|event| {
            event["subject"] == order["id"] && event["data"]["items"] != order["items"]
        })
    }),
    (Bug::ForgetKeys, Trouble::None, |seen| {
        seen.ids_told_of("paid").len() == 2
    }),
    (Bug::KeyForAnyBody, Trouble::None, |seen| {
        let mut told = seen.told.iter();
        told.any(|(name, status, _)| name == "paid, other body" && *status == 201)
    }),
    (
        Bug::ReplyBeforeCommit,
        Trouble::Crash("orders", 60),
        |seen| {
            let stored: BTreeSet<&str> =
                seen.orders.iter().map(|order| text(order, "id")).collect();
            let mut told = seen.told.iter().filter(|(_, status, _)| *status == 201);
            told.any(|(_, _, order)| !stored.contains(order.as_str()))
        },
    ),
    (Bug::ReadAStaleCopy, Trouble::None, |seen| {
        let mut reads = seen.read.iter();
        reads.any(|(first, then)| first != "created" && then == "created")
    }),
    (Bug::IdOfTheCause, Trouble::None, |seen| {
        seen.tap.iter().any(|one| {
            let mut others = seen.tap.iter();
            others.any(|other| one.id == other.id && one.kind != other.kind)
        })
    }),
    (Bug::CoarseClock, Trouble::None, |seen| {
        seen.ids_told_of("paid") == seen.ids_told_of("paid too")
    }),
    (
        Bug::MarkBeforePublish,
        Trouble::Crash("products", 40),
        marked_and_never_out,
    ),
    (Bug::LeaveOneBehind, Trouble::None, marked_and_never_out),
    (
        Bug::PublishBeforeCommit,
        Trouble::Crash("orders", 60),
        out_and_not_logged,
    ),
    (Bug::PublishUnlogged, Trouble::None, out_and_not_logged),
    (Bug::PublishAnotherPayload, Trouble::None, |seen| {
        seen.tap.iter().any(|message| {
            let data: Value = serde_json::from_str(&message.data).unwrap();
            logged(seen, message).is_some_and(|event| event["data"] != data)
        })
    }),
    (Bug::AckBeforeCommit, Trouble::Crash("products", 120), stuck),
    (Bug::AckBeforeCommit, Trouble::Outage, stuck),
    (Bug::AckWhatFailed, Trouble::Outage, stuck),
    (Bug::AckWhatFailed, Trouble::Poison, poison_is_gone),
    (Bug::InboxFirst, Trouble::Poison, poison_is_gone),
    (Bug::InboxFirst, Trouble::Crash("products", 115), stuck),
    (Bug::RelayDies, Trouble::None, unpublished),
    (Bug::CauseOfANeighbour, Trouble::None, |seen| {
        seen.events.iter().any(|event| {
            let mut causes = seen.events.iter();
            causes
                .any(|cause| cause["id"] == event["cause"] && cause["subject"] != event["subject"])
        })
    }),
    (Bug::SweepWithoutCause, Trouble::LostAnswers, |seen| {
        let mut processed = seen.said("payment.processed");
        processed.any(|event| event["cause"].is_null())
    }),
    (Bug::RequeueForEver, Trouble::Poison, |seen| {
        seen.dead.is_empty() && seen.retrying > 0
    }),
    (Bug::BlockTheQueue, Trouble::Poison, stuck),
    (Bug::ReturnUnsaid, Trouble::None, |seen| {
        let mut lines = seen.reservations.iter();
        lines.any(|line| line["status"] == "canceled")
            && seen.said("reservation.canceled").count() == 0
    }),
    (Bug::CompensateTwice, Trouble::None, |seen| {
        twice(seen, "reservation.canceled")
    }),
    (Bug::NewRoot, Trouble::None, |seen| {
        heard(seen).any(|span| parent(span) == [0; 8])
    }),
    (
        Bug::ForgetTheContext,
        Trouble::Crash(orders::NAME, 60),
        |seen| heard(seen).any(|span| parent(span) == [0; 8]),
    ),
    (Bug::SilentCompensation, Trouble::None, |seen| {
        !heard(seen).any(|span| attribute(span, KIND) == "payment.failed")
    }),
    (
        Bug::TracedBeforeCommit,
        Trouble::Crash(orders::NAME, 60),
        |seen| {
            let mut applied = BTreeSet::new();
            heard(seen).any(|span| !applied.insert(span.span_context.span_id().to_bytes()))
        },
    ),
    (Bug::ParentOfANeighbour, Trouble::None, |seen| {
        heard(seen).any(|span| {
            let mut others = seen.spans.iter().map(|other| &other.span_context);
            !others.any(|other| {
                other.trace_id() == span.span_context.trace_id()
                    && other.span_id() == span.parent_span_id
            })
        })
    }),
    (Bug::RenameAnAttribute, Trouble::None, |seen| {
        let mut calls = seen.spans.iter().filter(|span| span.name == "charge");
        calls.any(|span| attribute(span, "crashcart.payment.id").is_empty())
    }),
    (
        Bug::CountedBeforeCommit,
        Trouble::Crash(orders::NAME, 60),
        |seen| {
            let said = seen.said("order.created").count();
            let begin = "crashcart_events_said_total{type=\"order.created\"}";
            seen.sum(orders::NAME, begin) > number_of(said)
        },
    ),
    (
        Bug::RepeatsCountedAsApplied,
        Trouble::Duplicates("payment.processed"),
        |seen| {
            let said = seen.said("payment.processed").count();
            let begin = "crashcart_message_lag_seconds_count{type=\"payment.processed\"}";
            seen.sum(products::NAME, begin) > number_of(said)
        },
    ),
    (Bug::MillisecondsForSeconds, Trouble::Outage, |seen| {
        // No story takes as long.
        seen.sum(products::NAME, "crashcart_message_lag_seconds_sum") > 500.0
    }),
    (Bug::ForgetTheActive, Trouble::None, |seen| {
        seen.sum(orders::NAME, "http_server_active_requests") > 0.0
    }),
    (Bug::RefusalsUncounted, Trouble::None, |seen| {
        let mut told = seen.told.iter();
        let is_refused = told.any(|(_, status, _)| (400..500).contains(status));
        let mut counted = seen.counted(orders::NAME, "http_server_request_duration_seconds_count");
        is_refused && !counted.any(|line| line.contains("code=\"4"))
    }),
    (Bug::ExampleOfNowhere, Trouble::None, |seen| {
        let traces: BTreeSet<String> = seen
            .spans
            .iter()
            .map(|span| span.span_context.trace_id().to_string())
            .collect();
        let mut lines = seen.counted(products::NAME, "crashcart_message_lag_seconds_bucket");
        lines.any(|line| {
            let named = line.split_once("trace_id=\"");
            named.is_some_and(|(_, rest)| !traces.contains(&rest[..32]))
        })
    }),
    (Bug::OrderAsLabel, Trouble::None, |seen| {
        let order = text(seen.order("paid"), "id");
        let mut lines = seen.counted(orders::NAME, "crashcart_sagas_settled_total");
        !order.is_empty() && lines.any(|line| line.contains(order))
    }),
    (Bug::ConsumerDies, Trouble::None, stuck),
    (Bug::NoReconnect, Trouble::Outage, stuck),
    (Bug::NeverAskAgain, Trouble::LostAnswers, stuck),
    (Bug::SweeperOff, Trouble::Crash("products", 30), unpublished),
    (Bug::RetryWithoutBackoff, Trouble::Poison, |seen| {
        let soon_us = seen.poisoned_at_us + 500_000;
        let mut dead = seen.dead.iter();
        dead.any(|letter| number(letter, "deadAtUs") < soon_us)
    }),
];

/// Some order that was accepted never settles.
fn stuck(seen: &Seen) -> bool {
    seen.orders.iter().any(|order| order["status"] == "created")
}

/// The message that nobody can apply is neither given up nor tried again.
fn poison_is_gone(seen: &Seen) -> bool {
    seen.dead.is_empty() && seen.retrying == 0
}

/// Units appeared or disappeared.
fn unbalanced(seen: &Seen) -> bool {
    seen.products.iter().any(|product| {
        let holds =
            |line: &&Value| line["productId"] == product["id"] && line["status"] != "canceled";
        let lines = seen.reservations.iter().filter(holds);
        let held: i64 = lines.map(|line| number(line, "quantity")).sum();
        number(product, "available") + held != number(product, "received")
    })
}

/// The logs hold two events of this type for one order.
fn twice(seen: &Seen, kind: &str) -> bool {
    seen.said(kind).count() > seen.subjects(kind).len()
}

/// A product had the same version after two reservations.
fn same_version_again(seen: &Seen) -> bool {
    let reserved = seen.said("reservation.created");
    let lines = reserved.flat_map(|event| under(&event["data"], "lines"));
    let versions: Vec<(String, i64)> = lines
        .map(|line| (id(line, "productId"), number(line, "productVersion")))
        .collect();
    versions.iter().collect::<BTreeSet<_>>().len() < versions.len()
}

/// The provider was asked for a payment that does not exist.
fn charged_for_nothing(seen: &Seen) -> bool {
    let mut charges = seen.charges.iter();
    charges.any(|charge| seen.charged(charge).is_null())
}

/// The attribute that says of which type a message is.
const KIND: &str = "messaging.rabbitmq.destination.routing_key";

/// The steps in which a message was applied.
fn heard(seen: &Seen) -> impl Iterator<Item = &SpanData> {
    let spans = seen.spans.iter();
    spans.filter(|span| attribute(span, "crashcart.outcome") == "applied")
}

/// What an attribute says; empty if it is not there.
fn attribute(span: &SpanData, key: &str) -> String {
    let mut attributes = span.attributes.iter();
    let found = attributes.find(|attribute| attribute.key.as_str() == key);
    found.map_or(String::new(), |found| found.value.as_str().into_owned())
}

fn parent(span: &SpanData) -> [u8; 8] {
    span.parent_span_id.to_bytes()
}

fn number_of(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

/// The event in a log that was published as `message`.
fn logged<'a>(seen: &'a Seen, message: &Message) -> Option<&'a Value> {
    let id = message.id.to_string();
    seen.events.iter().find(|event| text(event, "id") == id)
}

/// An event is marked as published that was never on the exchange.
fn marked_and_never_out(seen: &Seen) -> bool {
    let out: BTreeSet<String> = seen.tap.iter().map(|m| m.id.to_string()).collect();
    let marked = |event: &&Value| !event["publishedAtUs"].is_null();
    let mut marked = seen.events.iter().filter(marked);
    marked.any(|event| !out.contains(text(event, "id")))
}

/// A message was on the exchange that nobody has in a log.
fn out_and_not_logged(seen: &Seen) -> bool {
    seen.tap
        .iter()
        .any(|message| logged(seen, message).is_none())
}

/// An event is left that nobody publishes.
fn unpublished(seen: &Seen) -> bool {
    let mut events = seen.events.iter();
    events.any(|event| event["publishedAtUs"].is_null())
}

/// How many passages of port calls are tried to find one at which a crash makes the bug show.
const PLACES: u64 = 60;

#[test]
fn every_bug_shows_in_the_world_that_its_words_ask_for_and_only_with_it() {
    let mut wrong = Vec::new();
    for (bug, trouble, shows) in CASES {
        let places = match trouble {
            Trouble::Crash(..) => 0..PLACES,
            _ => 0..1,
        };
        let seen = |planted, place| shows(&play(kit::story(planted, *trouble, place)));
        let mut places = places.into_iter();
        match places.find(|place| seen(Some(*bug), *place)) {
            None => wrong.push(format!("{bug} does not show under {trouble:?}")),
            Some(place) if seen(None, place) => {
                wrong.push(format!(
                    "{bug} shows without it, {trouble:?}, {place} later"
                ));
            }
            Some(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_bug_has_a_case() {
    let told: BTreeSet<Bug> = CASES.iter().map(|(bug, _, _)| *bug).collect();
    let untold: Vec<&Bug> = Bug::ALL.iter().filter(|bug| !told.contains(bug)).collect();
    assert!(untold.is_empty(), "{untold:?}");
}
