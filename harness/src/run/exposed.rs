//! What a run tells of itself while it is on: to Prometheus, for pictures and annotations.

use super::{RunConfig, RunError};
use crate::faults::Planned;
use crate::history::{Action, Operation, Outcome};
use crate::load::Progress;
use crate::served::Served;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::net::TcpListener;
use std::sync::Arc;

/// Seconds.
const BOUNDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The figures of a run.
pub(super) struct Figures {
    registry: Registry,
    orders: IntCounterVec,
    in_flight: IntGauge,
    accept: Histogram,
    settle: Histogram,
    fault: IntGaugeVec,
}

impl Figures {
    /// Of the run with this name on this engine.
    pub(super) fn new(run: &str, engine: &str) -> Arc<Self> {
        let gauges = |name, help, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels).expect("a valid name")
        };
        let seconds = |name, help| {
            let options = HistogramOpts::new(name, help).buckets(BOUNDS.to_vec());
            Histogram::with_opts(options).expect("a valid name")
        };
        let figures = Self {
            registry: Registry::new(),
            orders: IntCounterVec::new(
                Opts::new(
                    "crashcart_run_orders_total",
                    "Orders offered, accepted, refused, unknown, dropped and settled so far.",
                ),
                &["state"],
            )
            .expect("a valid name"),
            in_flight: IntGauge::new(
                "crashcart_run_in_flight",
                "Orders that the shop has accepted and not settled.",
            )
            .expect("a valid name"),
            accept: seconds(
                "crashcart_run_accept_seconds",
                "From the intended start of an order to its 201, as its client saw it.",
            ),
            settle: seconds(
                "crashcart_run_settle_seconds",
                "From the intended look at an order to the answer that it is settled, where a client waited for it.",
            ),
            fault: gauges(
                "crashcart_run_fault_active",
                "1 while a fault is on.",
                &["fault", "service"],
            ),
        };
        let info = gauges(
            "crashcart_run_info",
            "1; which run, on which engine.",
            &["run", "engine"],
        );
        info.with_label_values(&[run, engine]).set(1);
        let Self {
            registry,
            orders,
            in_flight,
            accept,
            settle,
            fault,
        } = &figures;
        add(registry, orders.clone());
        add(registry, fault.clone());
        add(registry, info.clone());
        add(registry, in_flight.clone());
        add(registry, accept.clone());
        add(registry, settle.clone());
        Arc::new(figures)
    }

    /// What a client has done.
    pub(super) fn did(&self, operation: &Operation) {
        let Outcome::Ok { status, .. } = operation.outcome else {
            return;
        };
        let took = platform::metrics::seconds(operation.end_us - operation.due_us);
        match operation.action {
            Action::Place { .. } => self.accept.observe(took),
            Action::Read { .. } if status.is_settled() => self.settle.observe(took),
            _ => {}
        }
    }

    /// What the shop says of its sagas.
    pub(super) fn sagas(&self, settled: u64, in_flight: u64) {
        self.count("settled", settled);
        self.in_flight.set(number(in_flight));
    }

    /// A fault begins, or is over.
    pub(super) fn fault(&self, fault: &Planned, is_on: bool) {
        let service = fault.service.as_deref().unwrap_or("all");
        let labels = [fault.kind.as_str(), service];
        let is_on = i64::from(is_on);
        self.fault.with_label_values(&labels).set(is_on);
    }

    /// What came to be of a state; it only grows.
    fn count(&self, state: &str, n: u64) {
        let counter = self.orders.with_label_values(&[state]);
        counter.inc_by(n.saturating_sub(counter.get()));
    }

    fn text(&self, progress: &Progress) -> String {
        for (state, n) in progress.counts() {
            self.count(state, n);
        }
        let mut text = Vec::new();
        // Writing into memory cannot fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Answers `GET /metrics` with `figures` and what `progress` has come to, where `config` asks for it, and says where
/// that is; none if it asks for nothing.
pub(super) fn exposed(
    config: &RunConfig,
    figures: &Arc<Figures>,
    progress: &Arc<Progress>,
) -> Result<Option<Served>, RunError> {
    let Some(address) = config.metrics else {
        return Ok(None);
    };
    let (figures, progress) = (Arc::clone(figures), Arc::clone(progress));
    let told = move || async move {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        ([(header::CONTENT_TYPE, kind)], figures.text(&progress))
    };
    let router = Router::new().route("/metrics", get(told));
    let served = TcpListener::bind(address);
    let served = served.and_then(|listener| Served::start(listener, "figures", router));
    let served = served.map_err(|error| {
        let wrong = format!("--metrics {address} cannot be listened on: {error}");
        RunError::SetUp(wrong)
    })?;
    if !config.quiet {
        eprintln!("figures of the run at http://{}/metrics", served.address());
    }
    Ok(Some(served))
}

fn add(registry: &Registry, family: impl prometheus::core::Collector + 'static) {
    let added = registry.register(Box::new(family));
    added.expect("names are unique");
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
