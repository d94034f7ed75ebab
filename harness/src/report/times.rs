//! Where the time of an order goes, from the client's intended start to its end: what its trace explains, and what
//! nothing does.
//!
//! Each instant belongs to the first of these that was going on: the generator, the network, the provider, a step of a
//! service, the broker, the outbox, the wait for a payment. What is left is unexplained, and so the parts add up.

use crate::evidence::{
    Act, Did, End, OrderNo, OrderRow, Outcome, SpanRow, Traced, View, ends_a_payment,
};
use crate::history::Story;
use contract::EventType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the time of the orders of a story went, on average, milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Times {
    /// How many orders.
    pub orders: u64,
    /// From the intended start to the end of the order.
    pub total_ms: f64,
    /// In the generator, before the request was sent.
    pub generator_ms: f64,
    /// From the client to the service, and before the service had read it.
    pub network_ms: f64,
    /// In the services: requests and messages from the begin of a transaction to its commit.
    pub services_ms: f64,
    /// With the broker, and in the queue: from the publish to the begin of the transaction that applies it.
    pub broker_ms: f64,
    /// At the provider.
    pub provider_ms: f64,
    /// Said, and not yet handed to the broker: its commit, and whatever comes between.
    pub outbox_ms: f64,
    /// A payment that is heard of and has no outcome, while nobody asks the provider: pauses, and waiting to ask again.
    pub waiting_ms: f64,
    /// None of these.
    pub unexplained_ms: f64,
}

impl Times {
    /// The share that nothing explains, 0 to 1.
    pub fn unexplained_share(&self) -> f64 {
        if self.total_ms > 0.0 {
            self.unexplained_ms / self.total_ms
        } else {
            0.0
        }
    }
}

/// What may be going on; the first that is takes the instant.
const PARTS: usize = 7;
const GENERATOR: usize = 0;
const NETWORK: usize = 1;
const PROVIDER: usize = 2;
const SERVICES: usize = 3;
const BROKER: usize = 4;
const OUTBOX: usize = 5;
const WAITING: usize = 6;

/// By story. Only orders that settled and whose trace has a beginning are counted.
pub(super) fn times(view: &View<'_>) -> BTreeMap<String, Times> {
    let mut sums: BTreeMap<Story, (u64, i64, [i64; PARTS])> = BTreeMap::new();
    let new = view.orders.iter();
    let new = new.filter(|order| order.settled_us > 0 && order.created_us >= view.plan.began_us);
    for order in new {
        if let Some((story, total_us, parts)) = of_order(view, order) {
            let (n, total, sum) = sums.entry(story).or_default();
            *n += 1;
            *total += total_us;
            for (sum, part) in sum.iter_mut().zip(parts) {
                *sum += part;
            }
        }
    }
    let named = sums.into_iter().map(|(story, (n, total_us, parts))| {
        let explained: i64 = parts.iter().sum();
        let each = |us: i64| mean_ms(us, n);
        let times = Times {
            orders: n,
            total_ms: each(total_us),
            generator_ms: each(parts[GENERATOR]),
            network_ms: each(parts[NETWORK]),
            services_ms: each(parts[SERVICES]),
            broker_ms: each(parts[BROKER]),
            provider_ms: each(parts[PROVIDER]),
            outbox_ms: each(parts[OUTBOX]),
            waiting_ms: each(parts[WAITING]),
            unexplained_ms: each(total_us - explained),
        };
        (story.as_str().to_owned(), times)
    });
    named.collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 microseconds are 285 years"
)]
fn mean_ms(us: i64, n: u64) -> f64 {
    (us as f64 / n.max(1) as f64).round() / 1e3
}

/// The first request for an order that was answered.
fn placed<'e>(view: &View<'e>, order: OrderNo) -> Option<&'e Did> {
    let placed = view.did_of(order);
    let placed = placed.filter(|did| did.act == Act::Place && did.end == End::Ok);
    placed.min_by_key(|did| did.start_us)
}

/// The story of an order, how long it took, and where that time went, microseconds.
fn of_order(view: &View<'_>, order: &OrderRow) -> Option<(Story, i64, [i64; PARTS])> {
    let did = placed(view, order.order)?;
    let spans = || {
        view.spans_in(order.trace)
            .filter(|span| span.order == order.order)
    };
    let root = spans().find(|span| span.parent == 0 && matches!(span.what, Traced::Request(_)))?;
    // Whoever was told "created" by a repeated request did not begin this.
    if root.start_us < did.start_us {
        return None;
    }
    let heard = |span: &&SpanRow| matches!(span.what, Traced::Process(_));
    let whole = (did.due_us, order.settled_us);
    let mut going: Vec<(i64, i64, usize)> = vec![
        (did.due_us, did.start_us, GENERATOR),
        (did.start_us, root.start_us, NETWORK),
    ];
    for span in spans() {
        let (from, to) = (span.start_us, span.end_us);
        match span.what {
            // The provider answers within the call.
            Traced::Request(_) if span.parent != 0 => {}
            Traced::Request(_) | Traced::Process(_) => going.push((from, to, SERVICES)),
            Traced::Call => going.push((from, to, PROVIDER)),
            Traced::Publish => {
                let said = view.logged(span.message).next();
                going.extend(said.map(|said| (said.time_us, from, OUTBOX)));
                // What was put off lay in its queue again.
                let applied = Traced::Process(Outcome::Applied);
                let begun = spans().filter(|other| other.what == applied);
                let begun = begun.filter(|other| other.message == span.message);
                let begun = begun.map(|other| other.start_us).min();
                going.extend(begun.map(|begun| (from, begun, BROKER)));
            }
        }
    }
    let ends = view.said_of(order.order);
    let mut ends = ends.filter(|said| ends_a_payment(said.kind));
    if let Some(end) = ends.next() {
        let mut heard = spans().filter(|span| {
            let said = view.logged(span.message).next();
            heard(span) && said.is_some_and(|said| said.kind == EventType::PaymentCreated)
        });
        going.extend(
            heard
                .next()
                .map(|heard| (heard.end_us, end.time_us, WAITING)),
        );
    }
    Some((did.story, whole.1 - whole.0, shared(whole, &going)))
}

/// Gives each instant of the whole to the first part that was going on.
fn shared((from, to): (i64, i64), going: &[(i64, i64, usize)]) -> [i64; PARTS] {
    let mut edges: Vec<(i64, usize, i32)> = Vec::with_capacity(2 * going.len());
    for (begin, end, part) in going {
        let (begin, end) = ((*begin).clamp(from, to), (*end).clamp(from, to));
        if begin < end {
            edges.extend([(begin, *part, 1), (end, *part, -1)]);
        }
    }
    edges.sort_unstable();
    let mut shared = [0; PARTS];
    let (mut open, mut at) = ([0_i32; PARTS], from);
    for (edge, part, change) in edges {
        if let Some(first) = open.iter().position(|n| *n > 0) {
            shared[first] += edge - at;
        }
        open[part] += change;
        at = edge;
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instant_belongs_to_the_first_part_that_was_going_on_and_to_nobody_else() {
        let going = [
            (0, 10, GENERATOR),
            (10, 14, NETWORK),
            (14, 30, SERVICES),
            (25, 60, BROKER),
            (20, 28, OUTBOX),
            (70, 120, SERVICES),
        ];
        let parts = shared((0, 100), &going);
        assert_eq!(parts, [10, 4, 0, 16 + 30, 30, 0, 0]);
        // From 60 to 70 nothing explains it.
        assert_eq!(100 - parts.iter().sum::<i64>(), 10);
    }
}
