//! Publishes what was said. At least once: a crash between confirm and mark repeats a message.
//!
//! Events come from memory right after their commit. Whatever misses that way (a crash, a full queue, a lost
//! broker) is found by the sweeper. No transaction is held while publishing. What is confirmed is marked by the
//! next transaction that anybody commits; a transaction of its own comes only when there is no other for a while.

use crate::broker::Late;
use crate::said::conclude;
use crate::telemetry::{self, What};
use crate::{Context, Error, Result, Trace, log, planted};
use contract::{Bug, Message, MessageId};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tracing::Instrument;

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
    confirmed: Mutex<Vec<MessageId>>,
    /// Something was confirmed late, while nobody may be about to mark it.
    late: Notify,
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
            confirmed: Mutex::default(),
            late: Notify::new(),
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

    fn forget(&self, ids: impl Iterator<Item = MessageId>) {
        let mut in_flight = self.in_flight();
        for id in ids {
            in_flight.remove(&id);
        }
    }

    fn confirm(&self, ids: impl Iterator<Item = MessageId>) {
        self.confirmed().extend(ids);
    }

    /// Takes what is to be marked in a transaction that is about to commit; give it to [`Relay::marked`] after.
    /// Should the transaction fail, the sweeper publishes them once more, and the inboxes absorb it.
    pub(crate) fn take_confirmed(&self) -> Vec<MessageId> {
        std::mem::take(&mut *self.confirmed())
    }

    /// These are done for good, or left to the sweeper.
    pub(crate) fn marked(&self, ids: Vec<MessageId>) {
        self.forget(ids.into_iter());
    }

    fn confirmed_len(&self) -> usize {
        self.confirmed().len()
    }

    fn confirmed(&self) -> MutexGuard<'_, Vec<MessageId>> {
        self.confirmed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
    let mut relayed = 0;
    ctx.metrics().publishing.set(1);
    loop {
        let unmarked = ctx.relay().confirmed_len() > 0;
        tokio::select! {
            biased;
            taken = waiting.recv_many(&mut batches, WINDOW / 8) => if taken == 0 { return },
            () = tokio::time::sleep(MARK_AFTER), if unmarked => {}
            () = ctx.relay().late.notified() => {}
        }
        let window: Vec<Message> = batches.drain(..).flatten().collect();
        match relay_once(&ctx, &window).await {
            Ok(()) => {
                ctx.metrics().publishing.set(1);
                pause = BACKOFF_MIN;
                relayed += window.len();
                if planted!(ctx, Bug::RelayDies) && relayed >= 16 {
                    std::future::pending::<()>().await;
                }
            }
            Err(error) => {
                ctx.metrics().publishing.set(0);
                ctx.metrics().note(&error);
                // These are no longer ours: the sweeper will find those that are not marked.
                ctx.relay().forget(window.iter().map(|message| message.id));
                tracing::warn!(%error, messages = window.len(), "not published, left to the sweeper");
                tokio::time::sleep(ctx.jittered(pause)).await;
                pause = (pause * 2).min(BACKOFF_MAX);
            }
        }
    }
}

const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// How long a confirmed message waits for somebody else's transaction to be marked in.
const MARK_AFTER: Duration = Duration::from_millis(20);

/// Publishes `window`; without one, or with many marks waiting, marks what is confirmed.
async fn relay_once(ctx: &Context, window: &[Message]) -> Result<()> {
    for messages in window.chunks(WINDOW) {
        if planted!(ctx, Bug::MarkBeforePublish) {
            ctx.relay()
                .confirm(messages.iter().map(|message| message.id));
            conclude(ctx, ctx.begin().await?, Vec::new()).await?;
        }
        let left = usize::from(planted!(ctx, Bug::LeaveOneBehind) && messages.len() > 1);
        let said_by = messages.iter().filter_map(Trace::of);
        let span = telemetry::publishing(messages.len(), said_by);
        let publishing = ctx.broker().publish_in_parts(&messages[left..]);
        let published = publishing.instrument(span.clone()).await;
        let late = telemetry::ended(&span, published.map_err(Error::from))?;
        let held: BTreeSet<MessageId> = late.iter().flat_map(|part| part.ids.clone()).collect();
        let ids = messages.iter().map(|message| message.id);
        record(ctx, messages, |id| !held.contains(&id));
        // Marked after the confirm: the other way round loses the event if we die in between.
        ctx.relay().confirm(ids.filter(|id| !held.contains(id)));
        for part in late {
            let ids: BTreeSet<MessageId> = part.ids.iter().copied().collect();
            let of_part = messages.iter().filter(|message| ids.contains(&message.id));
            let of_part = of_part.cloned().collect();
            ctx.spawn("late confirm", confirm_late(ctx.clone(), part, of_part));
        }
    }
    if window.is_empty() || ctx.relay().confirmed_len() > WINDOW {
        let tx = ctx.begin().await?;
        conclude(ctx, tx, Vec::new()).await?;
    }
    Ok(())
}

/// Records those of `messages` that are confirmed by now.
fn record(ctx: &Context, messages: &[Message], is_confirmed: impl Fn(MessageId) -> bool) {
    if !ctx.tracer().is_on() {
        return;
    }
    let now_us = ctx.now_us();
    let confirmed = messages.iter().filter(|message| is_confirmed(message.id));
    ctx.tracer().record(confirmed.filter_map(|message| {
        let said_by = Trace::of(message).filter(Trace::is_sampled)?;
        Some(telemetry::Span {
            ids: said_by.child(ctx.tracer().fresh()).ids(said_by.span_id()),
            start_us: message.time_us,
            end_us: now_us,
            what: What::Publish {
                kind: message.kind.clone(),
                message: message.id,
                about: message.subject,
            },
        })
    }));
}

/// Publishes `messages`, committed or not; only a planted bug does that.
pub(crate) async fn publish_early(ctx: &Context, messages: &[Message]) -> Result<()> {
    Ok(ctx.broker().publish(messages).await?)
}

/// Waits for messages that the broker holds back. Until then they stay in flight, so that nobody sweeps them.
async fn confirm_late(ctx: Context, part: Late, messages: Vec<Message>) {
    match part.confirmed.await {
        Ok(()) => {
            record(&ctx, &messages, |_| true);
            ctx.relay().confirm(part.ids.into_iter());
            ctx.relay().late.notify_one();
        }
        Err(error) => {
            tracing::warn!(%error, messages = part.ids.len(), "not published, left to the sweeper");
            ctx.relay().forget(part.ids.into_iter());
        }
    }
}

/// Looks for unpublished events at the start and then again and again, until the service is aborted.
pub(crate) async fn sweep(ctx: Context) {
    let mut before_us = ctx.now_us();
    if planted!(ctx, Bug::SweeperOff) {
        std::future::pending::<()>().await;
    }
    loop {
        match sweep_once(&ctx, before_us).await {
            Ok(0) => {}
            Ok(found) => {
                tracing::info!(found, "the sweeper took over unpublished events");
                if found == WINDOW {
                    // There is more, and it has waited long enough.
                    continue;
                }
            }
            Err(error) => {
                ctx.metrics().note(&error);
                tracing::warn!(%error, "the sweeper could not look");
            }
        }
        tokio::time::sleep(ctx.jittered(ctx.settings().sweep_every)).await;
        before_us = ctx.now_us() - FRESH_US;
    }
}

/// So many events are enough to find out whether the broker is back.
const PROBE: usize = 8;

/// Gives the relay the events from before `before_us` that nobody published. Returns how many.
async fn sweep_once(ctx: &Context, before_us: i64) -> Result<usize> {
    let room = ctx
        .relay()
        .bound
        .saturating_sub(ctx.relay().in_flight_len());
    // While the broker is away, whatever is claimed only waits for its lease to end.
    let most = if ctx.metrics().publishing.get() == 1 {
        WINDOW
    } else {
        PROBE
    };
    let n = i64::try_from(room.min(most)).unwrap_or(i64::MAX);
    if n == 0 {
        return Ok(0);
    }
    let messages = log::unpublished(ctx, before_us, n, LEASE_US).await?;
    let found = messages.len();
    ctx.metrics().swept.inc_by(found as u64);
    ctx.relay().hand_over(messages);
    Ok(found)
}
