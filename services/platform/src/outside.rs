//! Calls to the outside world: never inside a transaction, never in the way of a batch.
//!
//! Shaped like the relay: work comes from memory right after its commit, and a sweep finds what missed that
//! way. A call that is not answered in time is *unknown*: the sweep asks again, under the same key.

use crate::{BoxFuture, Context, Result, planted};
use contract::Bug;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use uuid::Uuid;

/// With no more than this many calls under way an outcome is committed at once.
const ALONE_MAX: usize = 8;
/// Outcomes of so many microseconds are committed together.
const GATHER_US: i64 = 4_000;

/// Work that is done outside. Each item must be safe to do twice under its key.
pub trait Outside: Send + Sync + 'static {
    /// One piece of work.
    type Item: Send + Sync + 'static;

    /// What tells items apart.
    fn key(&self, item: &Self::Item) -> Uuid;

    /// What came of an item.
    type Outcome: Send + 'static;

    /// Does the work. An error leaves the item for the next sweep.
    fn perform(&self, item: &Self::Item) -> BoxFuture<'static, Result<Self::Outcome>>;

    /// Commits what came of it.
    fn settle(
        &self,
        ctx: Context,
        item: Self::Item,
        outcome: Self::Outcome,
    ) -> BoxFuture<'static, Result<()>>;

    /// Up to `n` items that wait to be done, oldest first. The first time that is all there are; later the
    /// youngest are still on their way from memory and can be left out.
    fn due(&self, ctx: Context, n: i64, first: bool)
    -> BoxFuture<'static, Result<Vec<Self::Item>>>;
}

/// Bounds of a [`Caller`].
#[derive(Debug, Clone, Copy)]
pub struct CallerSettings {
    /// Calls under way at a time.
    pub in_flight_max: usize,
    /// Items known in memory; the rest waits for the sweep.
    pub queue_max: usize,
    /// How often to sweep.
    pub sweep_every: Duration,
}

impl Default for CallerSettings {
    fn default() -> Self {
        Self {
            in_flight_max: 256,
            queue_max: 10_000,
            sweep_every: Duration::from_secs(1),
        }
    }
}

/// Hands items to the outside and keeps each from being under way twice.
pub struct Caller<O: Outside> {
    outside: O,
    settings: CallerSettings,
    queue: mpsc::UnboundedSender<O::Item>,
    waiting: Mutex<Option<mpsc::UnboundedReceiver<O::Item>>>,
    in_flight: Mutex<BTreeSet<Uuid>>,
}

impl<O: Outside> Caller<O> {
    /// A caller of `outside`. Nothing runs before [`Caller::start`].
    pub fn new(outside: O, settings: CallerSettings) -> Arc<Self> {
        // Unbounded as a channel; `hand_over` bounds what is in it.
        let (queue, waiting) = mpsc::unbounded_channel();
        Arc::new(Self {
            outside,
            settings,
            queue,
            waiting: Mutex::new(Some(waiting)),
            in_flight: Mutex::default(),
        })
    }

    /// Takes an item whose need is committed. Above the bound it is left to the sweep.
    pub fn hand_over(&self, item: O::Item) {
        let mut in_flight = self.in_flight();
        if in_flight.len() < self.settings.queue_max && in_flight.insert(self.outside.key(&item)) {
            // The receiver ends only with the service itself.
            let _ = self.queue.send(item);
        }
    }

    /// Starts the two loops in `ctx`.
    pub fn start(self: &Arc<Self>, ctx: &Context) {
        ctx.spawn_loop("outside", Arc::clone(self).run(ctx.clone()));
        ctx.spawn_loop("outside sweep", Arc::clone(self).sweep(ctx.clone()));
    }

    async fn run(self: Arc<Self>, ctx: Context) {
        let waiting = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let mut waiting = waiting.expect("a caller runs once");
        let calls = Arc::new(Semaphore::new(self.settings.in_flight_max));
        while let Some(item) = waiting.recv().await {
            let Ok(permit) = Arc::clone(&calls).acquire_owned().await else {
                return;
            };
            let (caller, ctx_of_call) = (Arc::clone(&self), ctx.clone());
            ctx.spawn("outside call", async move {
                caller.call(ctx_of_call, item).await;
                drop(permit);
            });
        }
    }

    async fn call(&self, ctx: Context, item: O::Item) {
        let key = self.outside.key(&item);
        if let Err(error) = self.perform_and_settle(&ctx, item).await {
            tracing::info!(%error, %key, "outcome unknown, will ask again");
        }
        self.in_flight().remove(&key);
    }

    async fn perform_and_settle(&self, ctx: &Context, item: O::Item) -> Result<()> {
        let outcome = self.outside.perform(&item).await?;
        if self.in_flight().len() > ALONE_MAX {
            // Many are on their way, so some end soon after this one: what ends in the same few milliseconds
            // is committed together. One at a time they cost six times as many written pages.
            let past_us = ctx.now_us().rem_euclid(GATHER_US);
            let pause_us = u64::try_from(GATHER_US - past_us).unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(pause_us)).await;
        }
        self.outside.settle(ctx.clone(), item, outcome).await
    }

    async fn sweep(self: Arc<Self>, ctx: Context) {
        let mut first = true;
        loop {
            let room = self
                .settings
                .queue_max
                .saturating_sub(self.in_flight().len());
            match self
                .outside
                .due(ctx.clone(), i64::try_from(room).unwrap_or(i64::MAX), first)
                .await
            {
                Ok(items) => items.into_iter().for_each(|item| self.hand_over(item)),
                Err(error) => {
                    ctx.metrics().note(&error);
                    tracing::warn!(%error, "the sweep could not look");
                }
            }
            first = false;
            if planted!(ctx, Bug::NeverAskAgain) {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(ctx.jittered(self.settings.sweep_every)).await;
        }
    }

    fn in_flight(&self) -> MutexGuard<'_, BTreeSet<Uuid>> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
