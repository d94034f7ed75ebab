//! Each source is taken away in turn. Exactly the checks that need it know nothing then, and nobody else notices:
//! neither when it is marked as missing only, nor when it is really gone.

use crate::good::objections;
use crate::recorded::Recipe;
use harness::check::{self, CHECKS, Finding, Verdict};
use harness::corrupt;
use harness::evidence::{Evidence, Service, Source};
use std::collections::BTreeSet;

const WHY: &str = "the disk was full";

/// Empties the columns of a source and marks it as missing.
fn remove(evidence: &mut Evidence, source: Source) {
    evidence.missing.insert(source, WHY.to_owned());
    match source {
        Source::History => {
            evidence.history.clear();
            evidence.created.clear();
        }
        Source::Orders => evidence.orders.clear(),
        Source::Products => evidence.products.clear(),
        Source::Reservations => evidence.reservations.clear(),
        Source::Payments => evidence.payments.clear(),
        Source::Charges => evidence.charges.clear(),
        Source::LogOrders => evidence.said.retain(|said| said.service != Service::Orders),
        Source::LogProducts => evidence
            .said
            .retain(|said| said.service != Service::Products),
        Source::LogPayments => evidence
            .said
            .retain(|said| said.service != Service::Payments),
        Source::Tap => evidence.tap.clear(),
        Source::InboxOrders => evidence
            .applied
            .retain(|applied| applied.service != Service::Orders),
        Source::InboxProducts => evidence
            .applied
            .retain(|applied| applied.service != Service::Products),
        Source::InboxPayments => evidence
            .applied
            .retain(|applied| applied.service != Service::Payments),
        Source::Queues => evidence.queues.clear(),
        Source::DeadLetters => evidence.dead.clear(),
        Source::Faults => evidence.faults.clear(),
        Source::Metrics => {
            evidence.scrapes.clear();
            evidence.examples.clear();
        }
        Source::Spans => {
            evidence.spans.clear();
            evidence.asked.clear();
            evidence
                .examples
                .values_mut()
                .for_each(|is_there| *is_there = false);
        }
        Source::Shapes => evidence.shapes.clear(),
    }
}

/// What a check claims, without the words for it: those may tell more where more is known.
fn claim(finding: &Finding) -> (Verdict, usize, usize) {
    (finding.verdict, finding.evaluated, finding.violations)
}

/// Compares the findings without some sources with those of the whole evidence.
fn compare(whole: &Evidence, without: &[Source], story: &str) {
    let mut part = whole.clone();
    for source in without {
        remove(&mut part, *source);
    }
    for ((check, before), after) in CHECKS
        .iter()
        .zip(check::judge(whole))
        .zip(check::judge(&part))
    {
        let id = check.id;
        if check.needs.iter().any(|source| without.contains(source)) {
            assert_eq!(
                after.verdict,
                Verdict::Unknown,
                "{story}: {id} without {without:?}"
            );
            assert_eq!(
                after.why.as_deref(),
                Some(WHY),
                "{story}: {id} without {without:?}"
            );
        } else {
            assert_eq!(
                claim(&after),
                claim(&before),
                "{story}: {id} without {without:?}: {after:?}"
            );
        }
    }
}

#[test]
fn without_a_source_exactly_the_checks_that_need_it_know_nothing() {
    let evidence = Recipe::every(3, 222).evidence();
    for source in Source::ALL {
        let mut marked = evidence.clone();
        marked.missing.insert(source, WHY.to_owned());
        for (check, finding) in CHECKS.iter().zip(check::judge(&marked)) {
            let due = if check.needs.contains(&source) {
                Verdict::Unknown
            } else {
                Verdict::Valid
            };
            assert_eq!(finding.verdict, due, "{} without {source:?}", check.id);
        }
        compare(&evidence, &[source], "a good run");
    }
}

#[test]
fn what_a_check_does_not_need_it_does_not_look_at_in_spoiled_evidence_either() {
    let evidence = Recipe::every(4, 208).evidence();
    for (place, corruption) in (0..).zip(corrupt::all()) {
        let mut spoiled = evidence.clone();
        (corruption.apply)(&mut spoiled, place * 7);
        for source in Source::ALL {
            compare(&spoiled, &[source], corruption.name);
        }
    }
}

#[test]
fn without_a_service_exactly_the_checks_that_need_one_of_its_sources_know_nothing() {
    let evidence = Recipe::every(5, 222).evidence();
    for service in ["orders", "products", "payments", "provider"] {
        let of_service =
            |source: &Source| source.exports().iter().any(|(from, _)| *from == service);
        let sources: Vec<Source> = Source::ALL.into_iter().filter(of_service).collect();
        assert!(!sources.is_empty());
        compare(&evidence, &sources, service);
    }
}

/// Which checks know nothing without a source, read off the sentences and not off the table.
const LITERAL: [(Source, &[&str]); 12] = [
    (Source::Spans, &["T1", "T2", "T3", "T4", "T5", "M2", "M5"]),
    (Source::Metrics, &["T6", "M1", "M2", "M3", "M4", "M5", "M6"]),
    (Source::Shapes, &["T6"]),
    (
        Source::History,
        &[
            "S2", "S5", "S6", "S10", "S11", "S12", "S13", "S14", "L3", "V2", "V7", "M4",
        ],
    ),
    (Source::Charges, &["S5", "S9", "V1"]),
    (Source::Tap, &["S14", "D1", "D2", "D3"]),
    (Source::Queues, &["D3", "D5", "D7", "L2", "M3"]),
    (Source::DeadLetters, &["D3", "D5", "D7", "M1"]),
    (Source::Faults, &["L3", "L4", "T2", "V1"]),
    (Source::Reservations, &["S1", "S2", "S6", "S8", "S10"]),
    (
        Source::Payments,
        &["S1", "S5", "S6", "S8", "S9", "S10", "S14", "M3"],
    ),
    (
        Source::LogPayments,
        &[
            "S4", "S7", "S8", "S10", "S14", "D1", "D2", "D4", "D6", "D7", "D8", "L1", "T2", "T4",
            "M1", "M2",
        ],
    ),
];

#[test]
fn without_these_sources_these_checks_know_nothing() {
    let evidence = Recipe::every(6, 222).evidence();
    for (source, ids) in LITERAL {
        let mut part = evidence.clone();
        remove(&mut part, source);
        let findings = check::judge(&part);
        let unknown: BTreeSet<&str> = (findings.iter())
            .filter(|finding| finding.verdict == Verdict::Unknown)
            .map(|finding| finding.id.as_str())
            .collect();
        assert_eq!(unknown, ids.iter().copied().collect(), "without {source:?}");
        let other = findings
            .into_iter()
            .filter(|finding| finding.verdict != Verdict::Unknown);
        let other: Vec<Finding> = other.collect();
        assert!(
            objections(&other).is_empty(),
            "without {source:?}: {:#?}",
            objections(&other)
        );
    }
}

#[test]
fn a_service_that_tells_nothing_of_its_queue_makes_the_queues_unreadable() {
    let recipe = Recipe::every(7, 194);
    let mut reader = harness::evidence::Reader::default();
    reader.evidence().plan = recipe.plan();
    for source in Source::ALL {
        let mut number = 0;
        recipe.tell(source, &mut |line| {
            number += 1;
            if !(source == Source::Queues && line.contains("payments")) {
                reader.read_line(source, number, line);
            }
        });
    }
    let evidence = reader.finish();
    let finding = check::judge_one(&evidence, "D5").expect("a check");
    assert_eq!(finding.verdict, Verdict::Unknown);
    assert_eq!(
        finding.why.as_deref(),
        Some("nothing is known of the queue of payments")
    );
}
