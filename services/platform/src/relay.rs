//! Publishes what was said. At least once: a crash between confirm and mark repeats a message.
//!
//! Events come from memory right after their commit. Whatever misses that way (a crash, a full queue, a lost
//! broker) is found by the sweeper. No transaction is held while publishing.

use crate::{Context, Result, log};
use contract::{Message, MessageId};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Messages published and marked in one go.
const WINDOW: usize = 1_024;
/// How long a swept message belongs to the replica that claimed it.
const LEASE_US: i64 = 5_000_000;
/// The sweeper leaves younger events to the relay.
const FRESH_US: i64 = 1_000_000;

/// The way from commit to broker.
pub(crate) struct Relay {
    bound: usize,
    queue: mpsc::UnboundedSender<Vec<Message>>,
    waiting: Mutex<Option<mpsc::UnboundedReceiver<Vec<Message>>>>,
    in_flight: Mutex<BTreeSet<MessageId>>,
}

impl Relay {
    pub(crate) fn new(bound: usize) -> Self {
        // Unbounded as a channel; `hand_over` bounds what is in it.
        let (queue, waiting) = mpsc::unbounded_channel();
        Self {
            bound,
            queue,
            waiting: Mutex::new(Some(waiting)),
            in_flight: Mutex::default(),
        }
    }

    /// Takes messages whose events are committed. Above the bound they are left to the sweeper.
    pub(crate) fn hand_over(&self, mut messages: Vec<Message>) {
        {
            let mut in_flight = self.in_flight();
            if in_flight.len() + messages.len() > self.bound {
                return;
            }
            messages.retain(|message| in_flight.insert(message.id));
        }
        if !messages.is_empty() {
            // The receiver ends only with the service itself.
            let _ = self.queue.send(messages);
        }
    }

    /// How many messages are between commit and confirm.
    pub(crate) fn in_flight_len(&self) -> usize {
        self.in_flight().len()
    }

    fn in_flight(&self) -> MutexGuard<'_, BTreeSet<MessageId>> {
        self.in_flight
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, messages: &[Message]) {
        let mut in_flight = self.in_flight();
        for message in messages {
            in_flight.remove(&message.id);
        }
    }
}

/// Publishes what is handed over until the service is aborted.
pub(crate) async fn run(ctx: Context) {
    let waiting = ctx
        .relay()
        .waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let mut waiting = waiting.expect("a context runs one relay");
    let mut batches = Vec::new();
    let mut pause = BACKOFF_MIN;
    while waiting.recv_many(&mut batches, WINDOW / 8).await > 0 {
        let window: Vec<Message> = batches.drain(..).flatten().collect();
        let outcome = publish(&ctx, &window).await;
        // Either way these are no longer ours: done, or due for the sweeper.
        ctx.relay().forget(&window);
        match outcome {
            Ok(()) => pause = BACKOFF_MIN,
            Err(error) => {
                tracing::warn!(%error, messages = window.len(), "not published, left to the sweeper");
                tokio::time::sleep(ctx.jittered(pause)).await;
                pause = (pause * 2).min(BACKOFF_MAX);
            }
        }
    }
}

const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

async fn publish(ctx: &Context, window: &[Message]) -> Result<()> {
    for messages in window.chunks(WINDOW) {
        ctx.broker().publish(messages).await?;
        let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
        // Marked after the confirm: the other way round loses the event if we die in between.
        log::mark_published(ctx, &ids).await?;
    }
    Ok(())
}

/// Looks for unpublished events at the start and then again and again, until the service is aborted.
pub(crate) async fn sweep(ctx: Context) {
    let mut before_us = ctx.now_us();
    loop {
        match sweep_once(&ctx, before_us).await {
            Ok(0) => {}
            Ok(found) => tracing::info!(found, "the sweeper took over unpublished events"),
            Err(error) => tracing::warn!(%error, "the sweeper could not look"),
        }
        tokio::time::sleep(ctx.jittered(ctx.settings().sweep_every)).await;
        before_us = ctx.now_us() - FRESH_US;
    }
}

/// Gives the relay the events from before `before_us` that nobody published. Returns how many.
async fn sweep_once(ctx: &Context, before_us: i64) -> Result<usize> {
    let room = ctx
        .relay()
        .bound
        .saturating_sub(ctx.relay().in_flight_len());
    if room == 0 {
        return Ok(0);
    }
    let n = i64::try_from(room.min(WINDOW)).unwrap_or(i64::MAX);
    let messages = log::unpublished(ctx, before_us, n, LEASE_US).await?;
    let found = messages.len();
    ctx.metrics().swept.inc_by(found as u64);
    ctx.relay().hand_over(messages);
    Ok(found)
}
