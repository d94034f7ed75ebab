//! What a step says, and the end of every transaction: store what was said, commit, then hand it on.

use crate::store::{Last, StoreError, Tx};
use crate::{Context, Error, Result, Trace, decided, log, params, planted, relay};
use contract::{Bug, Event, Message, MessageId};
use prometheus::IntCounter;

/// What brought a step about.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The message that it answers; none for a request.
    pub cause: Option<MessageId>,
    /// The trace that it continues.
    pub trace: Trace,
}

impl Origin {
    /// A request from outside, in this trace.
    pub const fn request(trace: Trace) -> Self {
        Self { cause: None, trace }
    }
}

/// The events that a step says. They are stored with its change and published after the commit.
#[derive(Default)]
pub struct Said {
    events: Vec<Event>,
    after_commit: Vec<Box<dyn FnOnce() + Send>>,
}

impl Said {
    /// Says `event` in this transaction.
    pub fn push(&mut self, event: impl Into<Event>) {
        self.events.push(event.into());
    }

    /// Whether nothing was said and nothing is to be done after the commit.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.after_commit.is_empty()
    }

    /// Runs `then` when the transaction is committed, and not at all otherwise. After a crash it is lost:
    /// whatever must happen needs a sweep as well.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(then));
    }
}

/// Ends a transaction: appends what was said to the event log, marks what the broker has confirmed meanwhile,
/// commits, and gives what was said to the relay.
pub(crate) async fn conclude(
    ctx: &Context,
    tx: Box<dyn Tx>,
    spoken: Vec<(Origin, Said)>,
) -> Result<()> {
    let mut entries = Vec::new();
    let mut after_commit = Vec::new();
    for (origin, said) in spoken {
        entries.extend(log::entries(ctx, &origin, said.events));
        after_commit.extend(said.after_commit);
    }
    if planted!(ctx, Bug::CauseOfANeighbour)
        && let Some(cause) = entries.first().and_then(|entry| entry.message.cause)
    {
        let caused = entries
            .iter_mut()
            .filter_map(|entry| entry.message.cause.as_mut());
        caused.for_each(|of| *of = cause);
    }
    let mut unlogged = Vec::new();
    if planted!(ctx, Bug::PublishUnlogged) {
        (unlogged, entries) = entries
            .into_iter()
            .partition(|entry| entry.message.cause.is_none());
    }
    if planted!(ctx, Bug::CountedBeforeCommit) {
        count_said(ctx, &entries);
    }
    let confirmed = ctx.relay().take_confirmed();
    let committed: Result<()> = async {
        if planted!(ctx, Bug::PublishBeforeCommit) {
            let early: Vec<Message> = entries.iter().map(|entry| entry.message.clone()).collect();
            relay::publish_early(ctx, &early).await?;
        }
        let said = log::rows(ctx, &entries);
        let ids: Vec<String> = confirmed.iter().map(|id| id.0.to_string()).collect();
        let last = [
            Last::Insert(&log::EVENTS, &said),
            Last::Update(&log::PUBLISHED, params![ctx.now_us()], &ids),
        ];
        Ok(tx.finish(&last).await?)
    }
    .await;
    ctx.relay().marked(confirmed);
    if let Err(Error::Store(StoreError::Unknown(_))) = &committed {
        count(&entries, |kind| {
            ctx.metrics().unknown.with_label_values(&["said", kind])
        });
    }
    committed?;
    entries.append(&mut unlogged);
    if planted!(ctx, Bug::PublishAnotherPayload) {
        entries.iter_mut().for_each(log::Entry::misprint);
    }
    told(ctx, &entries);
    let messages: Vec<Message> = entries.into_iter().map(|entry| entry.message).collect();
    ctx.relay().hand_over(messages);
    for then in after_commit {
        then();
    }
    Ok(())
}

/// Tells of events that are committed.
fn told(ctx: &Context, entries: &[log::Entry]) {
    for entry in entries {
        decided::said(&entry.message);
    }
    if !planted!(ctx, Bug::CountedBeforeCommit) {
        count_said(ctx, entries);
    }
}

fn count_said(ctx: &Context, entries: &[log::Entry]) {
    let said = &ctx.metrics().said;
    count(entries, |kind| said.with_label_values(&[kind]));
}

/// Counts each of them with the counter of its type.
fn count(entries: &[log::Entry], of: impl Fn(&str) -> IntCounter) {
    for entry in entries {
        of(&entry.message.kind).inc();
    }
}
