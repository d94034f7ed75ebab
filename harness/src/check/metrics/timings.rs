//! M2: a histogram has as many values as there are spans of that kind, and they come to the same time.

use super::Lives;
use crate::check::{Tally, Violation};
use crate::evidence::{Outcome, Scrape, Service, Traced, View};
use crate::telemetry::whole;
use contract::EventType;

/// How far the end of a span may be from the moment at which it was measured, on average.
const APART_US: f64 = 5_000.0;
/// How far sums may be apart besides.
const SHARE: f64 = 0.01;

/// What is measured between the same two moments that somebody else has written down.
const EXACT: [&str; 2] = [
    "crashcart_saga_duration_seconds",
    "http_server_request_duration_seconds",
];
/// How often one average may be in the other, where either may lack some, and by how much it may be more besides.
const ROUGHLY: f64 = 20.0;
const ROUGHLY_US: f64 = 1_000_000.0;

/// M2
pub(in crate::check) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    super::buckets::judge(view, &mut tally);
    for service in Service::ALL {
        let all = Lives::of(view, service.as_str());
        let exact = all.last();
        let is_exact = exact.is_some();
        let (lives, since_us) = exact.unwrap_or_else(|| {
            let name = service.as_str();
            tally.note(format!(
                "the times of {name} are compared on average only: one of its replicas died"
            ));
            let lives = all.lives.iter().map(|life| life.last);
            (lives.collect(), view.plan.began_us)
        });
        if view.plan.spans_lost.get(service.as_str()) != Some(&0)
            && !view.plan.spans_lost.is_empty()
        {
            continue;
        }
        let mut timings = Timings {
            view,
            service,
            lives,
            since_us,
            is_exact,
            tally: &mut tally,
        };
        for kind in EventType::ALL.iter().copied() {
            if Service::hearer(kind) == Some(service) {
                timings.lag(kind);
            }
        }
        match service {
            Service::Orders => {
                timings.requests();
                timings.sagas();
            }
            Service::Payments => timings.charges(),
            Service::Products => {}
        }
    }
    tally
}

struct Timings<'v, 'e> {
    view: &'v View<'e>,
    service: Service,
    lives: Vec<&'e Scrape>,
    since_us: i64,
    /// Whether the spans are those of these lives and of no other.
    is_exact: bool,
    tally: &'v mut Tally,
}

impl Timings<'_, '_> {
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.lives.iter().map(|life| life.sum(name, labels)).sum()
    }

    /// Looks at a histogram; `took` are the times that it should have, in microseconds.
    fn look(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        (took, kind): (impl Iterator<Item = i64>, &str),
    ) {
        let (mut there, mut sum_us, mut values) = (0_u64, 0_i64, Vec::new());
        for took_us in took {
            there += 1;
            sum_us += took_us;
            values.push(took_us);
        }
        let count = whole(self.sum(&format!("{name}_count"), labels));
        let counted_us = self.sum(&format!("{name}_sum"), labels) * 1e6;
        #[expect(clippy::cast_precision_loss, reason = "a run has no 2^53 microseconds")]
        let (n, sum_us) = (there as f64, sum_us as f64);
        let about = || {
            let (service, of) = (self.service.as_str(), labels.last().map_or("", |l| l.1));
            format!("{name} of {service} {of}")
        };
        if !self.is_exact {
            let count = self.sum(&format!("{name}_count"), labels);
            return self.roughly(&about(), (counted_us / count, sum_us / n));
        }
        let wrong = if count != there {
            Some(format!(
                "{} has {count} values, and there are {there} {kind}",
                about()
            ))
        } else if (counted_us - sum_us).abs() > n * APART_US + SHARE * sum_us.abs() {
            Some(format!(
                "{} comes to {:.3} s, and {there} {kind} took {:.3} s",
                about(),
                counted_us / 1e6,
                sum_us / 1e6
            ))
        } else {
            self.misplaced(name, labels, &mut values)
                .map(|how| format!("{} {how}", about()))
        };
        self.tally.look(wrong.map(Violation::run));
    }

    /// A bucket that has not as many values as there are up to its bound, where values are the same to a microsecond.
    fn misplaced(&self, name: &str, labels: &[(&str, &str)], values: &mut [i64]) -> Option<String> {
        if !EXACT.contains(&name) {
            return None;
        }
        values.sort_unstable();
        let bucket = format!("{name}_bucket");
        let first = self.lives.first()?;
        let bounds = first.series.iter().filter(|series| series.name == bucket);
        let mut bounds: Vec<&str> = bounds
            .filter_map(|series| series.labels.get("le"))
            .map(String::as_str)
            .collect();
        bounds.sort_unstable();
        bounds.dedup();
        bounds.into_iter().find_map(|le| {
            let bound: f64 = le.parse().ok()?;
            #[expect(
                clippy::cast_precision_loss,
                reason = "2^53 microseconds are 285 years"
            )]
            let fits = |us: &i64| *us as f64 / 1e6 <= bound;
            let there = values.partition_point(fits) as u64;
            let with_bound: Vec<(&str, &str)> =
                labels.iter().copied().chain([("le", le)]).collect();
            let counted = whole(self.sum(&bucket, &with_bound));
            (counted != there).then(|| format!("has {counted} up to {le}, and there are {there}"))
        })
    }

    /// Looks at averages, of which nobody knows how many of the last are missing on either side: it is the unit that
    /// must be right.
    fn roughly(&mut self, about: &str, (counted_us, traced_us): (f64, f64)) {
        if !counted_us.is_finite() || !traced_us.is_finite() {
            return;
        }
        let is_near = |a: f64, b: f64| a <= ROUGHLY * b + ROUGHLY_US;
        let is_so = is_near(counted_us, traced_us) && is_near(traced_us, counted_us);
        self.tally.look((!is_so).then(|| {
            let what = format!(
                "{about} is {:.3} s on average, and that of its spans is {:.3} s",
                counted_us / 1e6,
                traced_us / 1e6
            );
            Violation::run(what)
        }));
    }

    fn lag(&mut self, kind: EventType) {
        let (view, service, since_us) = (self.view, self.service, self.since_us);
        let spans = view.spans.iter().filter(move |span| {
            span.what == Traced::Process(Outcome::Applied)
                && span.service == Some(service)
                && span.end_us >= since_us
        });
        let took = spans.filter_map(|span| {
            let said = view.logged(span.message).next()?;
            (said.kind == kind).then_some(span.end_us - said.time_us)
        });
        let labels = [("type", kind.as_str())];
        self.look("crashcart_message_lag_seconds", &labels, (took, "spans"));
    }

    fn requests(&mut self) {
        let since_us = self.since_us;
        for (status, asked) in &self.view.evidence().asked {
            let asked = asked.iter().filter(|asked| asked.at_us >= since_us);
            let status = status.to_string();
            let labels = [
                ("http_request_method", "POST"),
                ("http_route", "/api/v1/orders"),
                ("http_response_status_code", status.as_str()),
            ];
            let took = asked.map(|asked| asked.took_us);
            let name = "http_server_request_duration_seconds";
            self.look(name, &labels, (took, "spans"));
        }
    }

    fn charges(&mut self) {
        let since_us = self.since_us;
        let calls = self.view.spans.iter();
        let calls = calls.filter(|span| span.what == Traced::Call && span.end_us >= since_us);
        let took = calls.map(|span| span.end_us - span.start_us);
        self.look("crashcart_charge_duration_seconds", &[], (took, "spans"));
    }

    fn sagas(&mut self) {
        let from_us = self.since_us.max(self.view.plan.began_us);
        if !self.is_exact {
            return;
        }
        for status in ["finished", "canceled"] {
            let orders = self.view.orders.iter();
            let orders = orders
                .filter(|order| order.status.as_str() == status && order.settled_us >= from_us);
            let took = orders.map(|order| order.settled_us - order.created_us);
            let unknown = self.sum("crashcart_unknown_total", &[("what", "said")]);
            // What nobody knows of was not measured.
            if unknown == 0.0 {
                let labels = [("outcome", status)];
                let name = "crashcart_saga_duration_seconds";
                self.look(name, &labels, (took, "orders"));
            }
        }
    }
}
