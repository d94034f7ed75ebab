//! What a run tells of itself while it is on: to Prometheus, for pictures and annotations.

use super::{RunConfig, RunError};
use crate::faults::Planned;
use crate::history::{Action, Operation, Outcome};
use crate::load::Progress;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::watch;

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

/// Somewhere to ask for the figures.
pub(super) struct Exposed {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Exposed {
    /// What `config` asks for, and says where it is; none if it asks for nothing.
    pub(super) fn asked_for(
        config: &RunConfig,
        figures: &Arc<Figures>,
        progress: &Arc<Progress>,
    ) -> Result<Option<Self>, RunError> {
        let Some(address) = config.metrics else {
            return Ok(None);
        };
        let exposed = Self::start(address, Arc::clone(figures), Arc::clone(progress))?;
        if !config.quiet {
            eprintln!("figures of the run at http://{}/metrics", exposed.address);
        }
        Ok(Some(exposed))
    }

    /// Answers `GET /metrics` at `address` (port 0: a free one) with `figures` and what `progress` has come to.
    fn start(
        address: SocketAddr,
        figures: Arc<Figures>,
        progress: Arc<Progress>,
    ) -> Result<Self, RunError> {
        let wrong = |error: std::io::Error| {
            RunError::SetUp(format!(
                "--metrics {address} cannot be listened on: {error}"
            ))
        };
        let listener = TcpListener::bind(address).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let runtime = super::runtime()?;
        let (stop, mut stopped) = watch::channel(false);
        let told = move || async move {
            let kind = "text/plain; version=0.0.4; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], figures.text(&progress))
        };
        let router = Router::new().route("/metrics", get(told));
        let serve = move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)
                    .expect("a listener that does not block");
                tokio::select! {
                    biased;
                    // A sender that is gone wants to stop, too.
                    _ = stopped.wait_for(|stopped| *stopped) => {}
                    _ = axum::serve(listener, router) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("figures".to_owned());
        let thread = Some(thread.spawn(serve).map_err(wrong)?);
        Ok(Self {
            address,
            stop,
            thread,
        })
    }
}

impl Drop for Exposed {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}

fn add(registry: &Registry, family: impl prometheus::core::Collector + 'static) {
    let added = registry.register(Box::new(family));
    added.expect("names are unique");
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
