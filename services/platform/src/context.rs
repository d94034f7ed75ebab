//! Everything a service may use from outside itself: store, broker, clock, ids, chance, tasks.
//!
//! Nothing is global. The tasks of a context are its crash unit: abort them and the service is dead, its
//! transactions rolled back and its unacked deliveries returned.

use crate::committer::{Committer, Step};
use crate::store::{Store, StoreError, Tx};
use crate::{BoxFuture, Clock, Error, Origin, PLANTED, Result, Said, Trace};
use crate::{broker::Broker, metrics::Metrics, relay::Relay, telemetry::Tracer};
use contract::Bug;
use futures_util::FutureExt;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Dispatch, instrument::WithSubscriber};
use uuid::Uuid;

/// Bounds and times of a service; every queue, retry and wait is in here.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a request may take before its outcome is called unknown.
    pub request_timeout: Duration,
    /// How long a client may take to send its headers, and again its body.
    pub read_timeout: Duration,
    /// Requests in work at a time; one more is refused with 503.
    pub requests_max: usize,
    /// Long polls waiting at a time; one more is refused with 503.
    pub waits_max: usize,
    /// Connections open at a time; one more waits to be accepted.
    pub connections_max: usize,
    /// The largest request body.
    pub body_bytes_max: usize,
    /// Steps waiting to be committed; one more is refused with 503.
    pub commits_max: usize,
    /// Steps committed in one transaction.
    pub commit_group_max: usize,
    /// Messages handled in one transaction.
    pub batch_max: usize,
    /// Under load, how long messages and steps are gathered for one transaction; zero for not at all.
    pub gather: Duration,
    /// Messages between commit and the broker's confirm; the rest is left to the sweeper.
    pub relay_max: usize,
    /// How often the sweeper looks for events that the relay missed.
    pub sweep_every: Duration,
    /// Tries of one delivery before it is put off.
    pub tries_max: u32,
    /// How often a message is put off before it goes to the dead queue.
    pub retries_max: u32,
    /// How long it is put off the first time; doubles with each time.
    pub retry_after: Duration,
    /// How long idempotency keys are kept.
    pub keys_kept: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(5),
            requests_max: 1_024,
            waits_max: 4_096,
            connections_max: 8_192,
            body_bytes_max: 64 * 1_024,
            commits_max: 4_096,
            commit_group_max: 256,
            batch_max: 128,
            gather: Duration::ZERO,
            relay_max: 10_000,
            sweep_every: Duration::from_millis(500),
            tries_max: 3,
            retries_max: 3,
            retry_after: Duration::from_millis(500),
            keys_kept: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What a [`Context`] is made of.
pub struct Parts {
    /// The service's name: its queue, its source in messages, its name in logs.
    pub service: &'static str,
    /// Its database.
    pub store: Arc<dyn Store>,
    /// The broker that all services share.
    pub broker: Arc<dyn Broker>,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Where ids and chance come from.
    pub seed: u64,
    /// Where its logs go.
    pub dispatch: Dispatch,
    /// Where its steps are recorded.
    pub tracer: Tracer,
    /// Bounds and times.
    pub settings: Settings,
    /// The bug that is switched on; of no effect without the feature `planted`.
    pub planted: Option<Bug>,
}

/// A service's only door to the outside. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    parts: Parts,
    chance: Mutex<ChaCha8Rng>,
    metrics: Metrics,
    tasks: Mutex<JoinSet<()>>,
    stop: watch::Sender<bool>,
    committer: Committer,
    relay: Relay,
}

impl Context {
    /// A context around `parts`. Nothing runs yet.
    pub fn new(parts: Parts) -> Self {
        let metrics = Metrics::new(parts.tracer.counts());
        metrics
            .start_time
            .set(crate::metrics::seconds(parts.clock.now_us()));
        let (store, broker) = (parts.store.engine(), parts.broker.engine());
        metrics
            .build
            .with_label_values(&[env!("CARGO_PKG_VERSION"), store, broker])
            .set(1);
        Self(Arc::new(Inner {
            chance: Mutex::new(ChaCha8Rng::seed_from_u64(parts.seed)),
            metrics,
            tasks: Mutex::default(),
            stop: watch::Sender::new(false),
            committer: Committer::new(parts.settings.commits_max),
            relay: Relay::new(parts.settings.relay_max),
            parts,
        }))
    }

    /// The service's name.
    pub fn service(&self) -> &'static str {
        self.0.parts.service
    }

    /// The service's database.
    pub fn store(&self) -> &dyn Store {
        &*self.0.parts.store
    }

    /// Begins the one write transaction, and measures how long that takes.
    pub(crate) async fn begin(&self) -> Result<Box<dyn Tx>, StoreError> {
        let began_us = self.now_us();
        let tx = self.store().begin().await?;
        let waited = crate::metrics::seconds(self.now_us() - began_us);
        self.metrics().begin.observe(waited);
        Ok(tx)
    }

    /// The broker.
    pub fn broker(&self) -> &dyn Broker {
        &*self.0.parts.broker
    }

    /// Bounds and times.
    pub fn settings(&self) -> &Settings {
        &self.0.parts.settings
    }

    /// Where log lines go, for what runs outside of the service's own tasks.
    pub fn dispatch(&self) -> &Dispatch {
        &self.0.parts.dispatch
    }

    /// Where steps are recorded.
    pub fn tracer(&self) -> &Tracer {
        &self.0.parts.tracer
    }

    /// The bug that is switched on; ask through [`planted!`](crate::planted!).
    pub fn planted(&self) -> Option<Bug> {
        self.0.parts.planted.filter(|_| PLANTED)
    }

    /// What is counted and measured.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn committer(&self) -> &Committer {
        &self.0.committer
    }

    pub(crate) fn relay(&self) -> &Relay {
        &self.0.relay
    }

    /// Now, microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        self.0.parts.clock.now_us()
    }

    /// A new UUIDv7.
    pub fn new_id(&self) -> Uuid {
        let millis = u64::try_from(self.now_us() / 1_000).unwrap_or(0);
        let mut random = [0; 10];
        self.chance().fill_bytes(&mut random);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// A new trace.
    pub fn new_trace(&self) -> Trace {
        let mut chance = self.chance();
        // All bits are random: which share of the traces is recorded is decided by them.
        let id = uuid::Uuid::from_bytes(rand::RngExt::random(&mut *chance));
        let trace = Trace::new(id, chance.next_u64());
        let is_sampled = self.tracer().takes(trace.trace_id(), None);
        trace.sampled(is_sampled)
    }

    /// The service's source of chance; held only for the draw.
    pub fn chance(&self) -> MutexGuard<'_, ChaCha8Rng> {
        self.0.chance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `base`, longer or shorter by up to a half, so that many who wait do not come back together.
    pub fn jittered(&self, base: Duration) -> Duration {
        base.mul_f64(0.5 + rand::RngExt::random::<f64>(&mut *self.chance()))
    }

    /// Runs `future` as one of this service's tasks; `name` stands in the log when it panics.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the replacement for tokio::spawn"
    )]
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        let named = async move {
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                tracing::error!(task = name, "a task panicked");
            }
        };
        tasks.spawn(named.with_subscriber(self.0.parts.dispatch.clone()));
    }

    /// Runs a loop that the service cannot do without. Should it end, the service is not ready any more.
    pub fn spawn_loop(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let ctx = self.clone();
        self.spawn(name, async move {
            let ended = AssertUnwindSafe(future).catch_unwind().await;
            let panicked = ended.is_err();
            tracing::error!(task = name, panicked, "a loop ended: not ready any more");
            ctx.metrics().loops_ended.inc();
        });
    }

    /// Aborts every task of this service where it stands. This is a crash, not a shutdown.
    pub fn abort(&self) {
        self.stop();
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.abort_all();
    }

    /// Aborts every task and waits until all of them are gone.
    pub async fn aborted(&self) {
        self.abort();
        let mut tasks =
            std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    /// Tells the HTTP server to take no more requests.
    pub fn stop(&self) {
        self.0.stop.send_replace(true);
    }

    /// Whether the service is on its way out.
    pub fn is_stopping(&self) -> bool {
        *self.0.stop.borrow()
    }

    /// Returns when the service is told to stop.
    pub async fn stopping(&self) {
        let mut stop = self.0.stop.subscribe();
        // An error means that the sender is gone, which is a stop too.
        let _ = stop.wait_for(|stopped| *stopped).await;
    }

    /// Runs `step` on `input` in a transaction that it shares with whatever else waits, and returns after the
    /// commit. `step` may run more than once, each time on a fresh transaction.
    ///
    /// # Errors
    /// [`Error::Refused`]: nothing was changed, also when the queue is full. Nor was it when the store says
    /// [`StoreError::Engine`](crate::store::StoreError::Engine). Everything else: unknown.
    pub async fn commit<I, T, S>(&self, origin: Origin, input: I, step: S) -> Result<T>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        S: for<'t> Fn(&'t I, &'t dyn Tx, &'t mut Said) -> BoxFuture<'t, Result<T>>
            + Send
            + Sync
            + 'static,
    {
        let answer = self.committer().queue(Step { input, step }, origin)?;
        answer.await.map_err(|_| Error::Stopped)?
    }
}
