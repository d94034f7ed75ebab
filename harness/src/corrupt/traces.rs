//! What can be wrong with the traces.

use super::{Corruption, drop_one};
use crate::evidence::{Evidence, Outcome, SpanRow, Traced};

/// In the order of the checks.
pub(super) const ALL: &[Corruption] = &[
    Corruption {
        name: "a step in a trace of its own",
        check: "T1",
        apply: strays,
    },
    Corruption {
        name: "a second root",
        check: "T1",
        apply: second_root,
    },
    Corruption {
        name: "a step that is not told of",
        check: "T2",
        apply: drop_process,
    },
    Corruption {
        name: "a publish that is not told of",
        check: "T2",
        apply: drop_publish,
    },
    Corruption {
        name: "a step that hangs on nothing",
        check: "T2",
        apply: orphan,
    },
    Corruption {
        name: "applied twice",
        check: "T3",
        apply: twice,
    },
    Corruption {
        name: "applied, says the trace alone",
        check: "T3",
        apply: never_applied,
    },
    Corruption {
        name: "a step that hangs on itself",
        check: "T4",
        apply: on_itself,
    },
    Corruption {
        name: "a step before its parent",
        check: "T5",
        apply: early,
    },
];

/// How far the life of an order is from every death of a service, so that nothing in it is explained by one.
const FAR_US: i64 = 2_500_000;

/// Steps that were applied, of orders in whose time nobody died, where nobody lost anything: whatever is wrong with
/// those has no excuse.
fn undoubted(evidence: &Evidence) -> Vec<bool> {
    let deaths = evidence.faults.iter().filter(|fault| fault.kind.kills());
    let deaths = deaths.flat_map(|fault| [fault.fired_us, fault.healed_us]);
    let deaths = deaths.flatten();
    let deaths: Vec<i64> = deaths.collect();
    let mut is_far = vec![false; evidence.names.orders.len()];
    if evidence.plan.spans_lost.values().all(|lost| *lost == 0) {
        for row in evidence.orders.iter().filter(|row| row.settled_us > 0) {
            let near = row.created_us - FAR_US..=row.settled_us + FAR_US;
            is_far[row.order.index()] = !deaths.iter().any(|death| near.contains(death));
        }
    }
    let is_far = |span: &SpanRow| span.order.some().is_some_and(|order| is_far[order.index()]);
    evidence.spans.iter().map(is_far).collect()
}

/// Where a span is that fits.
fn find(evidence: &Evidence, place: usize, fits: impl Fn(&SpanRow) -> bool) -> Option<usize> {
    let undoubted = undoubted(evidence);
    let spans = evidence.spans.iter().zip(undoubted);
    let fitting = spans.enumerate();
    let fitting = fitting.filter(|(_, (span, is_undoubted))| *is_undoubted && fits(span));
    let fitting: Vec<usize> = fitting.map(|(at, _)| at).collect();
    fitting.get(place.checked_rem(fitting.len())?).copied()
}

fn is_applied(span: &SpanRow) -> bool {
    span.what == Traced::Process(Outcome::Applied)
}

fn strays(evidence: &mut Evidence, place: usize) -> bool {
    let other = std::sync::Arc::make_mut(&mut evidence.names).trace(u128::MAX);
    change(evidence, place, |span| span.trace = other)
}

fn second_root(evidence: &mut Evidence, place: usize) -> bool {
    change(evidence, place, |span| span.parent = 0)
}

fn drop_process(evidence: &mut Evidence, place: usize) -> bool {
    drop_span(evidence, place, is_applied)
}

fn drop_publish(evidence: &mut Evidence, place: usize) -> bool {
    // Whatever was published twice would still be there once.
    let mut times = vec![0_u8; evidence.names.messages.len()];
    for span in evidence
        .spans
        .iter()
        .filter(|span| span.what == Traced::Publish)
    {
        if let Some(message) = span.message.some() {
            times[message.index()] = times[message.index()].saturating_add(1);
        }
    }
    let is_only = |span: &SpanRow| {
        let message = span.message.some().filter(|_| span.what == Traced::Publish);
        message.is_some_and(|message| times[message.index()] == 1)
    };
    drop_span(evidence, place, is_only)
}

fn drop_span(evidence: &mut Evidence, place: usize, fits: impl Fn(&SpanRow) -> bool) -> bool {
    let found = find(evidence, place, fits);
    found.map(|at| evidence.spans.remove(at)).is_some()
}

fn orphan(evidence: &mut Evidence, place: usize) -> bool {
    change(evidence, place, |span| span.parent ^= 1)
}

fn twice(evidence: &mut Evidence, place: usize) -> bool {
    let Some(at) = find(evidence, place, is_applied) else {
        return false;
    };
    let mut span = evidence.spans[at];
    span.span ^= 1;
    evidence.spans.push(span);
    true
}

fn never_applied(evidence: &mut Evidence, place: usize) -> bool {
    let Some(at) = find(evidence, place, is_applied) else {
        return false;
    };
    let span = evidence.spans[at];
    drop_one(&mut evidence.applied, 0, |applied| {
        applied.id == span.message && Some(applied.service) == span.service
    })
}

fn on_itself(evidence: &mut Evidence, place: usize) -> bool {
    change(evidence, place, |span| span.parent = span.span)
}

fn early(evidence: &mut Evidence, place: usize) -> bool {
    change(evidence, place, |span| span.start_us = 0)
}

/// Changes one step that was applied.
fn change(evidence: &mut Evidence, place: usize, how: impl FnOnce(&mut SpanRow)) -> bool {
    let found = find(evidence, place, is_applied);
    found.map(|at| how(&mut evidence.spans[at])).is_some()
}
