//! T1 to T5: what was traced is what happened, order by order.
//!
//! The traces are compared with logs and inboxes, which were written by somebody else. A step that is missing there is
//! a finding, unless the service that should have told of it died before it could, or says itself that it lost some.

use super::{Tally, Violation};
use crate::evidence::{
    MessageNo, OrderNo, OrderRow, Outcome, Said, Service, SpanRow, Traced, View, ends_a_payment,
};
use crate::faults::{FaultKind, FaultRecord};
use contract::EventType;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How long after a commit a crash still explains that nothing was told of it, beyond the time that spans wait.
const GRACE_US: i64 = 1_000_000;
/// A crash is noted a moment before or after it happens.
const AROUND_US: i64 = 100_000;

/// Orders from before the run were traced for somebody else.
fn is_new(view: &View<'_>, order: &OrderRow) -> bool {
    order.created_us >= view.plan.began_us
}

/// T1
pub(super) fn one_trace(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for order in view.orders.iter().filter(|order| is_new(view, order)) {
        let mut roots = view
            .spans_in(order.trace)
            .filter(|span| span.order == order.order && span.parent == 0);
        let (root, other) = (roots.next(), roots.next());
        let stray = view
            .spans_of(order.order)
            .find(|span| span.trace != order.trace && !is_request(span));
        let wrong = match (stray, root, other) {
            (Some(span), _, _) => Some(format!("{} is in another trace", told(view, span))),
            (None, Some(_), Some(other)) => Some(format!(
                "its trace has a second root: {}",
                told(view, other)
            )),
            (None, Some(root), None) if !is_request(root) => {
                Some(format!("its trace begins with {}", told(view, root)))
            }
            _ => None,
        };
        tally.look(wrong.map(|what| about(view, order.order, &what)));
    }
    tally
}

const fn is_request(span: &SpanRow) -> bool {
    matches!(span.what, Traced::Request(_))
}

/// T2
pub(super) fn whole(view: &View<'_>) -> Tally {
    let mut missing = Missing::new(view);
    for order in view.orders.iter().filter(|order| is_new(view, order)) {
        request(&mut missing, order);
        for said in view.said_of(order.order) {
            let mut spans = view.spans_in(order.trace);
            let is_there =
                spans.any(|span| span.what == Traced::Publish && span.message == said.id);
            let what = (order.order, "a publish", said.id);
            missing.look(is_there, &[(said.service, said.time_us)], what);
        }
        for span in view.spans_in(order.trace).filter(|span| span.parent != 0) {
            let what = (order.order, "the parent of a step", span.message);
            let is_there = here(view, span).is_some();
            missing.look(is_there, &parents(view, order, span), what);
        }
    }
    for applied in &view.applied {
        let said = view.logged(applied.id).next();
        let order = said.and_then(|said| said.order.some());
        let is_new = |order: &OrderNo| view.order(*order).is_some_and(|row| is_new(view, row));
        let Some(order) = order.filter(is_new) else {
            continue;
        };
        let is_there = view.spans_of(order).any(|span| {
            let told = matches!(
                span.what,
                Traced::Process(Outcome::Applied | Outcome::Unknown)
            );
            told && span.message == applied.id && span.service == Some(applied.service)
        });
        let what = (order, "a process", applied.id);
        missing.look(is_there, &[(applied.service, applied.at_us)], what);
    }
    missing.end()
}

fn request(missing: &mut Missing<'_, '_>, order: &OrderRow) {
    let mut spans = missing.view.spans_in(order.trace);
    let is_there = spans.any(|span| is_request(span) && span.service == Some(Service::Orders));
    let what = (order.order, "the request", MessageNo::NONE);
    // A request is told of when it is answered, and that is after the commit, however long it has waited for it.
    let mut said = missing.view.said_of(order.order);
    let first = said.find(|said| said.kind == EventType::OrderCreated);
    let at_us = first.map_or(order.created_us, |said| said.time_us);
    missing.look(is_there, &[(Service::Orders, at_us)], what);
}

/// Whose step the parent of a step may be, and when that was committed: long before, if the message waited.
fn parents(view: &View<'_>, order: &OrderRow, span: &SpanRow) -> Vec<(Service, i64)> {
    let said = match span.what {
        // A payment ends in one step: whoever asks the provider goes on from where it was said what to charge.
        Traced::Call => view
            .said_of(order.order)
            .find(|said| ends_a_payment(said.kind)),
        _ => view.logged(span.message).next(),
    };
    let Some(said) = said else {
        return vec![(span.service.unwrap_or(Service::Payments), span.start_us)];
    };
    if !said.cause.is_some() {
        return vec![(said.service, said.time_us)];
    }
    let heard = causes_in_a_trace(view, said);
    let applied = heard.flat_map(|message| view.applied_of(message));
    let applied = applied.filter(|applied| applied.service == said.service);
    applied
        .map(|applied| (applied.service, applied.at_us))
        .collect()
}

/// The messages on which a step may hang that said `said`: its cause. Where a sweep found the payment before the
/// service heard its own message, what made the payment.
fn causes_in_a_trace(view: &View<'_>, said: &Said) -> impl Iterator<Item = MessageNo> {
    let before = view
        .logged(said.cause)
        .next()
        .filter(|_| ends_a_payment(said.kind));
    [Some(said.cause), before.map(|before| before.cause)]
        .into_iter()
        .flatten()
}

/// A service died, or with none all of them.
struct Death {
    service: Option<Service>,
    /// When it began. Many processes are killed one after another, and the last of them work until then.
    from_us: i64,
    to_us: i64,
}

impl Death {
    fn of(fault: &FaultRecord) -> Option<Self> {
        let from_us = fault.fired_us.filter(|_| fault.kind.kills())?;
        let whole = fault.healed_us.filter(|_| fault.kind == FaultKind::Kill);
        let to_us = whole.unwrap_or(from_us);
        let service = fault.service.as_deref().and_then(Service::parse);
        Some(Self {
            service,
            from_us,
            to_us,
        })
    }

    /// Whether it explains that `service` did not tell of what it committed at `at_us`, as spans wait for `wait_us`.
    fn explains(&self, service: Service, at_us: i64, wait_us: i64) -> bool {
        let is_its = self.service.is_none_or(|died| died == service);
        is_its && self.from_us <= at_us + wait_us && at_us <= self.to_us + AROUND_US
    }
}

/// Counts steps that were not told of, and what explains it.
struct Missing<'v, 'e> {
    view: &'v View<'e>,
    tally: Tally,
    deaths: Vec<Death>,
    lost: BTreeMap<Service, u64>,
    by_death: u64,
    by_loss: u64,
}

impl<'v, 'e> Missing<'v, 'e> {
    fn new(view: &'v View<'e>) -> Self {
        let deaths = view.faults.iter().filter_map(Death::of);
        let lost = view.plan.spans_lost.iter();
        let lost = lost.filter_map(|(name, n)| Some((Service::parse(name)?, *n)));
        Self {
            deaths: deaths.collect(),
            lost: lost.collect(),
            tally: Tally::default(),
            by_death: 0,
            by_loss: 0,
            view,
        }
    }

    /// Looks at a step; `made` is who may have made it, and when. The last tells what it is, if it is not there.
    fn look(
        &mut self,
        is_there: bool,
        made: &[(Service, i64)],
        (order, what, message): (OrderNo, &str, MessageNo),
    ) {
        if is_there || self.is_explained(made) {
            return self.tally.look(None);
        }
        let view = self.view;
        let kind = view.logged(message).next().map(|said| said.kind.as_str());
        let kind = kind.map_or(String::new(), |kind| format!(" of {kind}"));
        let at = made.first().map_or("", |(service, _)| service.as_str());
        let what = format!("{what}{kind} at {at} was not told of");
        self.tally.look(Some(about(view, order, &what)));
    }

    fn is_explained(&mut self, made: &[(Service, i64)]) -> bool {
        let wait_us = self.view.plan.export_us + GRACE_US;
        let is_death = |(service, at_us): &(Service, i64)| {
            let mut deaths = self.deaths.iter();
            deaths.any(|death| death.explains(*service, *at_us, wait_us))
        };
        if made.iter().any(is_death) {
            self.by_death += 1;
            return true;
        }
        let lost = made
            .first()
            .and_then(|(service, _)| self.lost.get_mut(service));
        let Some(left) = lost.filter(|left| **left > 0) else {
            return false;
        };
        *left -= 1;
        self.by_loss += 1;
        true
    }

    fn end(mut self) -> Tally {
        let (died, lost) = (self.by_death, self.by_loss);
        if died > 0 {
            self.tally.note(format!(
                "{died} steps missing because their service died before it told of them"
            ));
        }
        if lost > 0 {
            self.tally.note(format!(
                "{lost} steps missing that their service says it lost"
            ));
        }
        self.tally
    }
}

/// T3
pub(super) fn applied(view: &View<'_>) -> Tally {
    let bit = |service: Service| 1_u8 << (service as u8);
    let mut in_inbox = vec![0_u8; view.names.messages.len()];
    for applied in &view.applied {
        in_inbox[applied.id.index()] |= bit(applied.service);
    }
    let mut tally = Tally::default();
    for span in &view.spans {
        let (Traced::Process(Outcome::Applied), Some(message)) = (span.what, span.message.some())
        else {
            continue;
        };
        let wrong = match span.service {
            None => Some("is told by a service that applies nothing"),
            Some(service) if in_inbox[message.index()] & bit(service) == 0 => {
                Some("is told as applied, and is not or twice")
            }
            Some(service) => {
                // Whoever comes next is the second.
                in_inbox[message.index()] &= !bit(service);
                None
            }
        };
        tally.look(
            wrong.map(|wrong| about(view, span.order, &format!("{} {wrong}", told(view, span)))),
        );
    }
    tally
}

/// T4
pub(super) fn causes(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let elsewhere = strangers(view);
    for span in view.spans.iter().filter(|span| span.parent != 0) {
        let found = here(view, span).or_else(|| elsewhere.get(&span.parent).copied());
        // One that is missing is another finding.
        let Some(parent) = found else {
            continue;
        };
        let Some(fits) = fits(view, span, parent) else {
            continue;
        };
        let is_one_order = parent.order == span.order || !parent.order.is_some();
        let fits = fits && is_one_order && parent.trace == span.trace;
        tally.look((!fits).then(|| {
            let (step, parent) = (told(view, span), told(view, parent));
            about(
                view,
                span.order,
                &format!("{step} has {parent} as its parent"),
            )
        }));
    }
    tally
}

/// The parent of a step in its own trace.
fn here<'e>(view: &View<'e>, span: &SpanRow) -> Option<&'e SpanRow> {
    let mut spans = view.spans_in(span.trace);
    spans.find(|other| other.span == span.parent)
}

/// The parents of steps in other traces than their own, by their ids.
fn strangers<'e>(view: &View<'e>) -> HashMap<u64, &'e SpanRow> {
    let spans = &view.evidence().spans;
    let orphans = spans.iter().filter(|span| span.parent != 0);
    let orphans = orphans.filter(|span| here(view, span).is_none());
    let wanted: HashSet<u64> = orphans.map(|span| span.parent).collect();
    if wanted.is_empty() {
        return HashMap::new();
    }
    let found = spans.iter().filter(|span| wanted.contains(&span.span));
    found.map(|span| (span.span, span)).collect()
}

/// Whether a step may hang on this one; none when nobody knows what it is about, which is another finding.
fn fits(view: &View<'_>, span: &SpanRow, parent: &SpanRow) -> Option<bool> {
    let is_process = matches!(parent.what, Traced::Process(_));
    Some(match span.what {
        Traced::Publish | Traced::Process(_) => {
            let said = view.logged(span.message).next()?;
            let is_cause = if said.cause.is_some() {
                let mut causes = causes_in_a_trace(view, said);
                is_process && causes.any(|cause| parent.message == cause)
            } else {
                is_request(parent)
            };
            is_cause && parent.service == Some(said.service)
        }
        Traced::Call => is_process && parent.service == span.service,
        Traced::Request(_) => parent.what == Traced::Call,
    })
}

/// T5
pub(super) fn in_order(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for span in view.spans.iter().filter(|span| span.parent != 0) {
        let Some(parent) = here(view, span) else {
            continue;
        };
        let early_us = parent.start_us - span.start_us;
        let wrong = u64::try_from(early_us)
            .ok()
            .filter(|early| *early > 0)
            .map(|early| {
                let what = format!(
                    "{} begins {early} microseconds before its parent, {}",
                    told(view, span),
                    told(view, parent)
                );
                (early, about(view, span.order, &what))
            });
        tally.weigh(wrong);
    }
    tally
}

fn told(view: &View<'_>, span: &SpanRow) -> String {
    let service = span.service.map_or("the provider", Service::as_str);
    let kind = view
        .logged(span.message)
        .next()
        .map(|said| said.kind.as_str());
    let kind = kind.unwrap_or("a message");
    match span.what {
        Traced::Request(status) => format!("a request to {service} ({status})"),
        Traced::Publish => format!("{kind} published by {service}"),
        Traced::Process(_) => format!("{kind} heard by {service}"),
        Traced::Call => format!("a call of {service}"),
    }
}

fn about(view: &View<'_>, order: OrderNo, what: &str) -> Violation {
    let id = order.some().map_or(String::new(), |order| {
        format!("order {}: ", view.order_id(order))
    });
    Violation::order(view, order, format!("{id}{what}"))
}
