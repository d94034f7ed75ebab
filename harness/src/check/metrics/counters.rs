//! M1: each counter is the count over logs, inboxes and tables.

use super::{Expected, Lives};
use crate::check::{Tally, Violation};
use crate::evidence::{OrderRow, Service, View};
use contract::http::OrderStatus;
use contract::{EventType, Reason};

const UNKNOWN: &str = "crashcart_unknown_total";

/// M1
pub(in crate::check) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for service in Service::ALL {
        let lives = Lives::of(view, service.as_str());
        let mut counters = Counters {
            view,
            service,
            lives,
            tally: &mut tally,
        };
        for kind in EventType::ALL.iter().copied() {
            if Service::author(kind) == service {
                counters.said(kind);
            }
            if Service::hearer(kind) == Some(service) {
                counters.applied(kind);
                counters.repeated(kind);
                counters.dead(kind);
            }
        }
        if service == Service::Orders {
            counters.sagas();
        }
    }
    tally
}

struct Counters<'v, 'e> {
    view: &'v View<'e>,
    service: Service,
    lives: Lives<'e>,
    tally: &'v mut Tally,
}

impl Counters<'_, '_> {
    fn look(&mut self, name: &str, labels: &[(&str, &str)], (expected, unknown): (Expected, u64)) {
        let counted = self.lives.sum(name, labels);
        if expected.there == 0 && counted == 0 {
            return;
        }
        let wrong = expected.differs(counted, unknown).map(|how| {
            let labels: Vec<String> = labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{value}\""))
                .collect();
            let (service, labels) = (self.service.as_str(), labels.join(","));
            Violation::run(format!("{name}{{{labels}}} of {service} {how}"))
        });
        self.tally.look(wrong);
    }

    fn unknown(&self, what: &str, kind: EventType) -> u64 {
        let labels = [("what", what), ("type", kind.as_str())];
        self.lives.sum(UNKNOWN, &labels)
    }

    fn said(&mut self, kind: EventType) {
        let began_us = self.view.plan.began_us;
        let said = self.view.said.iter();
        let said = said.filter(|said| said.service == self.service && said.kind == kind);
        let times = said.map(|said| said.time_us).filter(|at| *at >= began_us);
        let expected = Expected::of(&self.lives, times);
        let unknown = self.unknown("said", kind);
        let labels = [("type", kind.as_str())];
        self.look("crashcart_events_said_total", &labels, (expected, unknown));
    }

    /// When messages of this type were applied, and how often each was delivered.
    fn inbox(&self, kind: EventType) -> impl Iterator<Item = (i64, u16)> {
        let (view, service) = (self.view, self.service);
        let applied = view.applied.iter();
        let applied = applied.filter(move |applied| {
            let is_new = applied.at_us >= view.plan.began_us;
            is_new
                && applied.service == service
                && view.logged(applied.id).next().map(|said| said.kind) == Some(kind)
        });
        applied.map(|applied| (applied.at_us, applied.seen))
    }

    fn applied(&mut self, kind: EventType) {
        let expected = Expected::of(&self.lives, self.inbox(kind).map(|(at_us, _)| at_us));
        let unknown = self.unknown("applied", kind);
        let labels = [("type", kind.as_str())];
        let name = "crashcart_message_lag_seconds_count";
        self.look(name, &labels, (expected, unknown));
    }

    fn repeated(&mut self, kind: EventType) {
        let repeats = self
            .inbox(kind)
            .map(|(_, seen)| u64::from(seen).saturating_sub(1));
        let there = repeats.sum();
        // Nobody writes down when a repeat came.
        let doubtful = if self.lives.died() { there } else { 0 };
        let expected = Expected { there, doubtful };
        let unknown = self.unknown("repeated", kind);
        let labels = [("type", kind.as_str())];
        let name = "crashcart_duplicates_absorbed_total";
        self.look(name, &labels, (expected, unknown));
    }

    /// Each message in the dead queue was counted; one that was replayed from there is not there any more.
    fn dead(&mut self, kind: EventType) {
        let view = self.view;
        let dead = view.dead.iter().filter(|dead| {
            let said = view.logged(dead.id).next();
            dead.service == self.service && said.map(|said| said.kind) == Some(kind)
        });
        let dead = dead.count() as u64;
        let name = "crashcart_dead_lettered_total";
        let counted = self.lives.sum(name, &[("type", kind.as_str())]);
        if counted == 0 && dead == 0 {
            return;
        }
        let is_told = counted >= dead || self.lives.died();
        self.tally.look((!is_told).then(|| {
            let (service, kind) = (self.service.as_str(), kind.as_str());
            let what = format!("{name}{{type=\"{kind}\"}} of {service} is {counted}, and {dead} are in the dead queue");
            Violation::run(what)
        }));
    }

    fn sagas(&mut self) {
        let view = self.view;
        let began_us = view.plan.began_us;
        let new = || {
            view.orders
                .iter()
                .filter(move |order| order.created_us >= began_us)
        };
        let started = Expected::of(&self.lives, new().map(|order| order.created_us));
        let unknown = self.unknown("said", EventType::OrderCreated);
        self.look("crashcart_sagas_started_total", &[], (started, unknown));
        let unknown = self.unknown("said", EventType::OrderFinished)
            + self.unknown("said", EventType::OrderCanceled);
        let name = "crashcart_sagas_settled_total";
        let all = view.orders.iter().filter(|order| order.settled_us > 0);
        let all = all.filter(|order| order.settled_us >= began_us);
        let all = Expected::of(&self.lives, all.map(|order| order.settled_us));
        self.look(name, &[], (all, unknown));
        let ends = Reason::ALL.into_iter().map(Some).chain([None]);
        for reason in ends {
            let ended = |order: &&OrderRow| {
                order.settled_us >= began_us && order.settled_us > 0 && order.reason == reason
            };
            let settled = view.orders.iter().filter(ended);
            let settled = Expected::of(&self.lives, settled.map(|order| order.settled_us));
            let outcome = if reason.is_some() {
                OrderStatus::Canceled
            } else {
                OrderStatus::Finished
            };
            let reason = reason.map_or("", Reason::as_str);
            let labels = [("outcome", outcome.as_str()), ("reason", reason)];
            self.look(name, &labels, (settled, unknown));
        }
    }
}
