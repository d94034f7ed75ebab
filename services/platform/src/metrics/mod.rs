//! Everything that is counted or measured. Each life of a service has a registry of its own.
//!
//! What the platform counts is in one list here; services add what is theirs. `telemetry.yaml` has all of it, and check
//! T6 holds both against each other. No ids and no personal data as labels: the number of series is bounded by routes,
//! types and reasons.

mod text;
mod timing;

pub use prometheus::IntCounterVec as Counters;
pub use timing::Timing;

use crate::broker::Depth;
use crate::store::{Connections, StoreError};
use crate::{Error, lock::lock};
use contract::EventType;
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};
use std::sync::Mutex;

/// Messages or steps in one transaction.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

macro_rules! catalogue {
    ($( $field:ident: $type:ty = $make:ident($name:literal, $help:literal $(, $more:expr)*) )*) => {
        /// The metrics of one life of a service.
        pub struct Metrics {
            registry: Registry,
            timings: Mutex<Vec<Timing>>,
            $( #[doc = $help] pub $field: $type, )*
        }

        impl Metrics {
            pub(crate) fn new(spans: Option<&IntCounterVec>) -> Self {
                let metrics = Self {
                    registry: Registry::new(),
                    timings: Mutex::default(),
                    $( $field: $make($name, $help $(, $more)*), )*
                };
                $( metrics.add(metrics.$field.clone()); )*
                if let Some(spans) = spans {
                    metrics.add(spans.clone());
                }
                #[cfg(target_os = "linux")]
                metrics.add(prometheus::process_collector::ProcessCollector::for_self());
                metrics.timings().extend([metrics.http.clone(), metrics.lag.clone()]);
                metrics
            }
        }
    };
}

catalogue! {
    http: Timing = timing("http_server_request_duration_seconds",
        "How long requests took.", &["http_request_method", "http_route", "http_response_status_code"])
    requests_in_flight: IntGauge = gauge("http_server_active_requests",
        "Requests in work, the one that asks for this included.")
    lag: Timing = timing("crashcart_message_lag_seconds",
        "From the time an event was said to the commit of its effect.", &["type"])
    batch: Histogram = sizes("crashcart_batch_size", "Messages applied together.")
    commit_group: Histogram = sizes("crashcart_commit_group_size", "Steps of requests committed together.")
    said: IntCounterVec = counters("crashcart_events_said_total", "Events committed to the log.", &["type"])
    unknown: IntCounterVec = counters("crashcart_unknown_total",
        "Events said and messages applied in transactions of which nobody knows whether they are committed.", &["what", "type"])
    swept: IntCounter = counter("crashcart_events_swept_total", "Events that the sweeper found unpublished.")
    outbox_pending: IntGauge = gauge("crashcart_outbox_pending", "Events that wait for the broker's confirm.")
    outbox_oldest: Gauge = seconds_gauge("crashcart_outbox_oldest_age_seconds",
        "Age of the oldest event that waits for the broker's confirm.")
    duplicates: IntCounterVec = counters("crashcart_duplicates_absorbed_total",
        "Deliveries of messages that were applied before.", &["type"])
    retries: IntCounterVec = counters("crashcart_retries_total", "Further tries of a delivery.", &["type"])
    dead: IntCounterVec = counters("crashcart_dead_lettered_total", "Messages given up.", &["type"])
    queue: IntGaugeVec = gauges("crashcart_queue_messages",
        "Messages in the service's queue: ready, unacked, retrying, dead.", &["state"])
    publishing: IntGauge = gauge("crashcart_publishing", "1 unless the last try to publish failed.")
    consuming: IntGauge = gauge("crashcart_consuming", "1 while the service is subscribed to its queue.")
    broker_errors: IntCounter = counter("crashcart_broker_errors_total",
        "Times that the broker was lost while publishing or consuming, or could not be had.")
    begin: Histogram = seconds_histogram("crashcart_store_begin_seconds",
        "How long transactions that write waited to begin.")
    store_errors: IntCounterVec = counters("crashcart_store_errors_total",
        "Transactions that failed through no fault of theirs: nothing is kept (failed), or nobody knows (unknown).", &["outcome"])
    store_up: IntGauge = gauge("crashcart_store_up",
        "1 if the database answered when these metrics were asked for; 0: what it tells here is from before.")
    connections: IntGaugeVec = gauges("crashcart_store_connections",
        "Connections of each pool: used, idle, and free places for more.", &["pool", "state"])
    build: IntGaugeVec = gauges("crashcart_build_info", "1; what runs here is in the labels.", &["version", "store", "broker"])
    start_time: Gauge = seconds_gauge("crashcart_start_time_seconds",
        "When this life of the service began, since 1970.")
    loops_ended: IntGauge = gauge("crashcart_loops_ended", "Loops that should run and do not; not ready above 0.")
}

impl Metrics {
    /// Counts `error` if the database or the broker was not there for a step.
    pub(crate) fn note(&self, error: &Error) {
        let outcome = match error {
            Error::Store(StoreError::Engine(_)) => "failed",
            Error::Store(StoreError::Unknown(_)) => "unknown",
            Error::Broker(_) => return self.broker_errors.inc(),
            _ => return,
        };
        self.store_errors.with_label_values(&[outcome]).inc();
    }

    /// Begins what can be counted at zero: who asks how fast something grows must see where it began.
    pub(crate) fn begin_at_zero(&self, hears: impl Fn(EventType) -> bool) {
        for kind in EventType::ALL.iter().filter(|kind| hears(**kind)) {
            for family in [&self.duplicates, &self.retries, &self.dead] {
                let _ = family.with_label_values(&[kind.as_str()]);
            }
        }
        for outcome in ["failed", "unknown"] {
            let _ = self.store_errors.with_label_values(&[outcome]);
        }
    }

    /// Shows what is in the queue.
    pub(crate) fn show_queue(&self, depth: &Depth) {
        let states = [
            ("ready", depth.ready),
            ("unacked", depth.unacked),
            ("retrying", depth.retrying),
            ("dead", depth.dead),
        ];
        for (state, n) in states {
            self.queue.with_label_values(&[state]).set(count(n));
        }
    }

    /// Shows what the pools of connections hold.
    pub(crate) fn show_connections(&self, pools: &[Connections]) {
        for Connections {
            pool,
            used,
            idle,
            free,
        } in pools
        {
            for (state, n) in [("used", used), ("idle", idle), ("free", free)] {
                self.connections
                    .with_label_values(&[*pool, state])
                    .set(count(*n));
            }
        }
    }

    /// A number of the service's own that it sets.
    pub fn level(&self, name: &'static str, help: &'static str) -> Level {
        let family = GaugeVec::new(Opts::new(name, help), &[]).expect("a valid name");
        self.add(family.clone());
        Level(family)
    }

    /// Counters of the service's own.
    pub fn counters(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Counters {
        let family = counters(name, help, labels);
        self.add(family.clone());
        family
    }

    /// Durations of the service's own.
    pub fn timing(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Timing {
        let family = timing(name, help, labels);
        self.add(family.clone());
        self.timings().push(family.clone());
        family
    }

    fn add(&self, family: impl Collector + 'static) {
        // A second service in the same context counts for itself, and only the first is shown.
        let _ = self.registry.register(Box::new(family));
    }

    fn timings(&self) -> std::sync::MutexGuard<'_, Vec<Timing>> {
        lock(&self.timings)
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> String {
        text::plain(&self.registry.gather())
    }

    /// All metrics in the format of OpenMetrics, which has examples of durations with their traces.
    pub fn open_metrics(&self) -> String {
        text::open_metrics(&self.registry.gather(), &self.timings())
    }
}

/// A number that a service sets. It is not shown before.
#[derive(Clone)]
pub struct Level(GaugeVec);

impl Level {
    /// So many.
    pub fn set(&self, n: i64) {
        self.set_to(number(n));
    }

    /// A time in microseconds, shown in seconds.
    pub fn set_us(&self, us: i64) {
        self.set_to(seconds(us));
    }

    fn set_to(&self, value: f64) {
        self.0.with_label_values::<&str>(&[]).set(value);
    }
}

/// A number of things as the prometheus crate wants it.
#[expect(clippy::cast_precision_loss, reason = "no batch has 2^53 messages")]
pub(crate) fn size(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "nothing here counts to 2^53")]
const fn number(n: i64) -> f64 {
    n as f64
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Microseconds as seconds, the unit of all durations in metrics.
pub fn seconds(us: i64) -> f64 {
    number(us) / 1e6
}

fn timing(name: &'static str, help: &str, labels: &'static [&'static str]) -> Timing {
    Timing::new(name, help, labels)
}

fn seconds_histogram(name: &str, help: &str) -> Histogram {
    let options = HistogramOpts::new(name, help).buckets(timing::SECONDS.to_vec());
    Histogram::with_opts(options).expect("a valid name")
}

fn sizes(name: &str, help: &str) -> Histogram {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(SIZES.to_vec()))
        .expect("a valid name")
}

fn counters(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), labels).expect("a valid name")
}

fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("a valid name")
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid name")
}

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("a valid name")
}

fn seconds_gauge(name: &str, help: &str) -> Gauge {
    Gauge::new(name, help).expect("a valid name")
}
