//! Everything that is counted or measured, in one list. Each service has a registry of its own.
//!
//! No ids and no personal data as labels: the number of series is bounded by routes, types and reasons.

use crate::{Error, store::StoreError};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, TextEncoder,
};

/// Seconds. The lowest three are for steps that take fractions of a millisecond.
const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0,
];
/// Messages or steps in one transaction.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

macro_rules! catalogue {
    ($( $field:ident: $type:ident = $make:ident($name:literal, $help:literal $(, $more:expr)*) )*) => {
        /// The metrics of one service.
        pub struct Metrics {
            registry: Registry,
            $( #[doc = $help] pub $field: $type, )*
        }

        impl Metrics {
            pub(crate) fn new(spans: Option<&IntCounterVec>) -> Self {
                let registry = Registry::new();
                if let Some(spans) = spans {
                    registry.register(Box::new(spans.clone())).expect("names in this list are unique");
                }
                $( let $field = $make($name, $help $(, $more)*);
                   registry.register(Box::new($field.clone())).expect("names in this list are unique"); )*
                #[cfg(target_os = "linux")]
                registry
                    .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))
                    .expect("names in this list are unique");
                Self { registry, $( $field, )* }
            }
        }
    };
}

catalogue! {
    http: HistogramVec = histograms("http_server_request_duration_seconds",
        "How long requests took.", &["http_request_method", "http_route", "http_response_status_code"])
    requests_in_flight: IntGauge = gauge("http_server_active_requests", "Requests in work.")
    commit_group: Histogram = sizes("crashcart_commit_group_size", "Steps of requests committed together.")
    batch: Histogram = sizes("crashcart_batch_size", "Messages applied together.")
    lag: HistogramVec = histograms("crashcart_message_lag_seconds",
        "From the time an event was said to the commit of its effect.", &["type"])
    said: IntCounterVec = counters("crashcart_events_said_total", "Events committed to the log.", &["type"])
    swept: IntCounter = counter("crashcart_events_swept_total", "Events that the sweeper found unpublished.")
    outbox_pending: IntGauge = gauge("crashcart_outbox_pending", "Events that wait for the broker's confirm.")
    outbox_oldest_us: IntGauge = gauge("crashcart_outbox_oldest_age_microseconds",
        "Age of the oldest event that waits for the broker's confirm.")
    duplicates: IntCounterVec = counters("crashcart_duplicates_absorbed_total",
        "Deliveries of messages that were applied before.", &["type"])
    retries: IntCounterVec = counters("crashcart_retries_total", "Further tries of a delivery.", &["type"])
    dead: IntCounterVec = counters("crashcart_dead_lettered_total", "Messages given up.", &["type"])
    store_errors: IntCounterVec = counters("crashcart_store_errors_total",
        "Transactions that failed through no fault of theirs: nothing is kept, or nobody knows.", &["outcome"])
    broker_errors: IntCounter = counter("crashcart_broker_errors_total",
        "Times that the broker was lost while publishing or consuming, or could not be had.")
    begin: Histogram = histogram("crashcart_store_begin_seconds",
        "How long transactions that write waited to begin.")
    store_up: IntGauge = gauge("crashcart_store_up",
        "1 if the database answered when these metrics were asked for; 0: what it tells here is from before.")
    start_time_us: IntGauge = gauge("crashcart_start_time_microseconds",
        "When this incarnation of the service began, since 1970.")
    publishing: IntGauge = gauge("crashcart_publishing", "1 unless the last try to publish failed.")
    consuming: IntGauge = gauge("crashcart_consuming", "1 while the service is subscribed to its queue.")
    loops_ended: IntGauge = gauge("crashcart_loops_ended", "Loops that should run and do not; not ready above 0.")
    sagas_started: IntCounterVec = counters("crashcart_sagas_started_total", "Sagas begun.", &[])
    sagas_settled: IntCounterVec = counters("crashcart_sagas_settled_total",
        "Sagas that came to their end.", &["outcome", "reason"])
    sagas_in_flight: IntGauge = gauge("crashcart_sagas_in_flight", "Sagas begun and not at their end.")
    saga: HistogramVec = histograms("crashcart_saga_duration_seconds",
        "From the accepted request to the settled saga.", &["outcome"])
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

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics could not be encoded");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// A number of things as the prometheus crate wants it.
#[expect(clippy::cast_precision_loss, reason = "no batch has 2^53 messages")]
pub(crate) fn size(n: usize) -> f64 {
    n as f64
}

/// Microseconds as seconds, the unit of all durations in metrics.
#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 microseconds are 285 years"
)]
pub fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

fn histograms(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
    HistogramVec::new(options, labels).expect("a valid name")
}

fn histogram(name: &str, help: &str) -> Histogram {
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))
        .expect("a valid name")
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

fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("a valid name")
}
