//! Takes what the queue has, applies it in one transaction, and acks it.
//!
//! Messages of one order run one after another in delivery order, those of different orders side by side. A
//! batch that fails is rolled back and run again one message at a time, so that only the guilty message pays.

use crate::broker::{Deliveries, Delivery};
use crate::committer::{CONFLICTS_MAX, GROUP_CONFLICTS_MAX};
use crate::gather::Gather;
use crate::said::conclude;
use crate::service::{Heard, Service};
use crate::store::{StoreError, Tx};
use crate::telemetry::{self, Outcome, What, part};
use crate::{Context, Error, Origin, Result, Said, Trace, decided, inbox, metrics, planted};
use contract::{Bug, EventType, Message, MessageId};
use futures_util::future::{try_join, try_join_all};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::{Instrument, Span};
use uuid::Uuid;

/// Consumes the service's queue until the service is aborted; a lost broker is asked again and again.
pub(crate) async fn run(ctx: Context, service: Arc<dyn Service>) {
    let mut pause = PAUSE_MIN;
    let mut batches = 0;
    let mut gather = Gather::new(ctx.settings().gather);
    loop {
        match ctx.broker().subscribe(ctx.service()).await {
            Ok(mut deliveries) => {
                ctx.metrics().consuming.set(1);
                let error = loop {
                    if planted!(ctx, Bug::ConsumerDies) && batches == 16 {
                        return std::future::pending().await;
                    }
                    batches += 1;
                    match consume_once(&ctx, &*service, &mut *deliveries, &mut gather).await {
                        Ok(()) => pause = PAUSE_MIN,
                        Err(error) => break error,
                    }
                };
                ctx.metrics().note(&error);
                tracing::warn!(%error, ?pause, "cannot consume, everything unacked goes back");
            }
            Err(error) => {
                ctx.metrics().broker_errors.inc();
                tracing::warn!(%error, ?pause, "the queue cannot be had");
            }
        }
        ctx.metrics().consuming.set(0);
        if planted!(ctx, Bug::NoReconnect) {
            return std::future::pending().await;
        }
        tokio::time::sleep(ctx.jittered(pause)).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// One batch: wait for it, apply it, ack it.
///
/// # Errors
/// Only those that are nobody's fault, of the broker or the database; the whole batch goes back. Whatever the
/// messages themselves do ends in a retry or in the dead queue.
async fn consume_once(
    ctx: &Context,
    service: &dyn Service,
    deliveries: &mut dyn Deliveries,
    gather: &mut Gather,
) -> Result<()> {
    gather.more().await;
    let most = ctx.settings().batch_max;
    let batch = deliveries.next(most).await?;
    let Some(last) = batch.iter().map(|delivery| delivery.tag).max() else {
        return Ok(());
    };
    gather.begins(batch.len(), most);
    if planted!(ctx, Bug::AckBeforeCommit) {
        deliveries.ack(last).await?;
    }
    let mut wanted = Vec::with_capacity(batch.len());
    for delivery in batch {
        match hear(ctx, service, &delivery.message) {
            Ok(Some(heard)) => wanted.push((delivery, heard)),
            Ok(None) => {}
            Err(error) => put_aside(ctx, deliveries, &delivery, &error).await?,
        }
    }
    if !wanted.is_empty() {
        ctx.metrics().batch.observe(metrics::size(wanted.len()));
        if let Err(error) = apply_together(ctx, service, &wanted).await {
            if planted!(ctx, Bug::AckWhatFailed) {
                return Ok(deliveries.ack(last).await?);
            }
            if error.is_outage() {
                return Err(error);
            }
            tracing::debug!(%error, messages = wanted.len(), "batch rolled back, one message at a time now");
            for one in &wanted {
                if let Err(error) = apply_alone(ctx, service, one).await {
                    if error.is_outage() {
                        return Err(error);
                    }
                    put_aside(ctx, deliveries, &one.0, &error).await?;
                }
            }
        }
    }
    deliveries.ack(last).await?;
    Ok(())
}

/// The message as the service hears it; none when it does not want this type.
fn hear(ctx: &Context, service: &dyn Service, message: &Message) -> Result<Option<Heard>> {
    // A type from a later version of another service is not for us, as a new event always has a first hearer.
    let wanted = EventType::parse(&message.kind).is_some_and(|kind| service.hears(kind));
    if !wanted {
        return Ok(None);
    }
    let (trace, parent) = traced(ctx, message);
    Ok(Some(Heard {
        id: message.id,
        event: message.event()?,
        time_us: message.time_us,
        trace: trace.step(message.id, ctx.service()),
        parent,
    }))
}

/// The step that said the message, and its id; a message that tells of none begins a trace.
fn traced(ctx: &Context, message: &Message) -> (Trace, u64) {
    let told = Trace::of(message).filter(|_| !planted!(ctx, Bug::NewRoot));
    if let Some(trace) = told {
        let parent = trace.span_id();
        let is_taken = ctx
            .tracer()
            .takes(trace.trace_id(), Some(trace.is_sampled()));
        return (trace.sampled(is_taken), parent);
    }
    let trace = Trace::new(message.id.0, 1);
    let is_taken = ctx.tracer().takes(trace.trace_id(), None);
    (trace.sampled(is_taken), 0)
}

/// Applies a batch. Who was only in the way of another replica is run again at once, as a batch.
async fn apply_together(
    ctx: &Context,
    service: &dyn Service,
    batch: &[(Delivery, Heard)],
) -> Result<()> {
    let mut conflicts = 0;
    loop {
        match apply(ctx, service, batch).await {
            Err(error) if error.is_conflict() && conflicts < GROUP_CONFLICTS_MAX => {
                conflicts += 1;
                tracing::debug!(%error, messages = batch.len(), "in conflict, the batch again");
            }
            other => return other,
        }
    }
}

async fn apply_alone(ctx: &Context, service: &dyn Service, one: &(Delivery, Heard)) -> Result<()> {
    let mut conflicts = 0;
    let mut tries = 0;
    loop {
        match apply(ctx, service, std::slice::from_ref(one)).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
            Err(error) => {
                tries += 1;
                let gives_up = tries >= ctx.settings().tries_max || error.is_permanent();
                if (gives_up && !planted!(ctx, Bug::BlockTheQueue)) || error.is_outage() {
                    return Err(error);
                }
                ctx.metrics()
                    .retries
                    .with_label_values(&[&one.0.message.kind])
                    .inc();
                tokio::time::sleep(ctx.jittered(Duration::from_millis(5 << tries.min(8)))).await;
            }
        }
    }
}

/// Applies `batch` in one transaction.
async fn apply(ctx: &Context, service: &dyn Service, batch: &[(Delivery, Heard)]) -> Result<()> {
    let traces = batch.iter().map(|(_, heard)| &heard.trace);
    let span = telemetry::applying(ctx.service(), batch.len(), traces);
    let applying = apply_in(ctx, service, batch, &span);
    telemetry::ended(&span, applying.instrument(span.clone()).await)
}

/// Applies `batch` in one transaction; `span` is its own trace.
async fn apply_in(
    ctx: &Context,
    service: &dyn Service,
    batch: &[(Delivery, Heard)],
    span: &Span,
) -> Result<()> {
    let began_us = ctx.now_us();
    let mut tx = ctx.begin().instrument(part(span, "begin")).await?;
    // Together, which is one round trip less. What is locked for a message that was applied before does no harm.
    let all: Vec<&Heard> = batch.iter().map(|(_, heard)| heard).collect();
    let noting = first_seen(&*tx, batch, ctx.now_us());
    let preparing = service.prepare(&*tx, &all);
    let noted = try_join(noting, preparing).instrument(part(span, "inbox"));
    let ((mut first, repeats), ()) = noted.await?;
    if planted!(ctx, Bug::InboxFirst) {
        tx.commit().await?;
        tx = ctx.begin().await?;
    }
    if planted!(ctx, Bug::ApplyAgain) {
        first = all;
    }
    let mut subjects: BTreeMap<Uuid, Vec<&Heard>> = BTreeMap::new();
    for heard in &first {
        subjects
            .entry(heard.event.subject())
            .or_default()
            .push(heard);
    }
    let reactions = subjects
        .into_values()
        .map(|messages| react(service, &*tx, messages));
    let reacted = try_join_all(reactions).instrument(part(span, "react"));
    let spoken = reacted.await?.into_iter().flatten().collect();
    let mut told: &[&Heard] = &first;
    if planted!(ctx, Bug::TracedBeforeCommit) {
        record(ctx, (told, &[]), began_us, (&Ok(()), span));
        told = &[];
    }
    let committed = conclude(ctx, tx, spoken)
        .instrument(part(span, "commit"))
        .await;
    record(ctx, (told, &repeats), began_us, (&committed, span));
    count(ctx, (&first, &repeats), &committed);
    committed
}

/// Counts what became of each message of a batch whose commit has been tried.
fn count(ctx: &Context, (first, repeats): (&[&Heard], &[&Heard]), committed: &Result<()>) {
    let metrics = ctx.metrics();
    match committed {
        Ok(()) => {}
        Err(Error::Store(StoreError::Unknown(_))) => {
            for (what, messages) in [("applied", first), ("repeated", repeats)] {
                for heard in messages {
                    let kind = heard.event.kind().as_str();
                    metrics.unknown.with_label_values(&[what, kind]).inc();
                }
            }
            return;
        }
        Err(_) => return,
    }
    let now_us = ctx.now_us();
    let applied = |heard: &Heard| {
        let kind = heard.event.kind().as_str();
        let mut lag_us = now_us - heard.time_us;
        if planted!(ctx, Bug::MillisecondsForSeconds) {
            lag_us *= 1_000;
        }
        let mut step = Some(heard.trace.clone()).filter(|_| ctx.tracer().is_on());
        if planted!(ctx, Bug::ExampleOfNowhere) {
            step = step.map(|step| Trace::new(heard.id.0, step.span_id()).sampled(true));
        }
        metrics
            .lag
            .observe(&[kind], lag_us, (step.as_ref(), now_us));
    };
    for heard in first {
        applied(heard);
    }
    for repeat in repeats {
        decided::absorbed(repeat);
        let kind = repeat.event.kind().as_str();
        if planted!(ctx, Bug::RepeatsCountedAsApplied) {
            applied(repeat);
        }
        metrics.duplicates.with_label_values(&[kind]).inc();
    }
}

/// Records what became of each message of a batch whose commit has been tried.
fn record(
    ctx: &Context,
    (first, repeats): (&[&Heard], &[&Heard]),
    began_us: i64,
    (committed, span): (&Result<()>, &Span),
) {
    if !ctx.tracer().is_on() {
        return;
    }
    let batch = telemetry::ids(span);
    let now_us = ctx.now_us();
    let neighbour = first
        .first()
        .filter(|_| planted!(ctx, Bug::ParentOfANeighbour));
    let parent = |heard: &Heard| neighbour.map_or(heard.parent, |first| first.parent);
    let step = |heard: &Heard, trace: &Trace, outcome| telemetry::Span {
        ids: trace.ids(parent(heard)),
        start_us: began_us,
        end_us: now_us,
        what: What::Process {
            kind: heard.event.kind().as_str(),
            message: heard.id,
            about: heard.event.subject(),
            outcome,
            batch,
        },
    };
    let applied = match committed {
        Ok(()) => Some(Outcome::Applied),
        // It may be there all the same, and others may go on from it.
        Err(Error::Store(StoreError::Unknown(why))) => Some(Outcome::Unknown(why.clone())),
        Err(_) => None,
    };
    let is_silent = |heard: &Heard| {
        let kind = heard.event.kind().as_str();
        let undoes = kind.ends_with(".failed") || kind.ends_with(".canceled");
        undoes && planted!(ctx, Bug::SilentCompensation)
    };
    let is_recorded = |heard: &&&Heard| heard.trace.is_sampled() && !is_silent(heard);
    let firsts = applied.iter().flat_map(|outcome| {
        let recorded = first.iter().filter(is_recorded);
        recorded.map(|heard| step(heard, &heard.trace, outcome.clone()))
    });
    let repeats = repeats.iter().filter(|_| committed.is_ok());
    let repeats = repeats.filter(is_recorded).map(|heard| {
        let trace = heard.trace.child(ctx.tracer().fresh());
        step(heard, &trace, Outcome::Duplicate)
    });
    ctx.tracer().record(firsts.chain(repeats));
}

/// Runs the reactions to the messages of one order, one after another.
async fn react(
    service: &dyn Service,
    tx: &dyn Tx,
    messages: Vec<&Heard>,
) -> Result<Vec<(Origin, Said)>> {
    let mut spoken = Vec::with_capacity(messages.len());
    for heard in messages {
        let mut said = Said::default();
        service.react(heard, tx, &mut said).await?;
        spoken.push((heard.origin(), said));
    }
    Ok(spoken)
}

/// Splits a batch into messages not applied yet and those that were.
async fn first_seen<'b>(
    tx: &dyn Tx,
    batch: &'b [(Delivery, Heard)],
    now_us: i64,
) -> Result<(Vec<&'b Heard>, Vec<&'b Heard>)> {
    let ids: Vec<MessageId> = batch.iter().map(|(_, heard)| heard.id).collect();
    let (mut first, mut repeats) = (Vec::with_capacity(batch.len()), Vec::new());
    for (fresh, (_, heard)) in inbox::note(tx, &ids, now_us).await?.into_iter().zip(batch) {
        if fresh {
            first.push(heard);
        } else {
            repeats.push(heard);
        }
    }
    Ok((first, repeats))
}

/// Records that a message was heard in vain.
fn record_failure(ctx: &Context, message: &Message, outcome: Outcome) {
    let (trace, parent) = traced(ctx, message);
    let Some(kind) = EventType::parse(&message.kind).filter(|_| trace.is_sampled()) else {
        return;
    };
    let now_us = ctx.now_us();
    ctx.tracer().record([telemetry::Span {
        ids: trace.child(ctx.tracer().fresh()).ids(parent),
        start_us: now_us,
        end_us: now_us,
        what: What::Process {
            kind: kind.as_str(),
            message: message.id,
            about: message.subject,
            outcome,
            batch: None,
        },
    }]);
}

/// Puts a message that failed off until later, or into the dead queue when it has had its chances.
async fn put_aside(
    ctx: &Context,
    deliveries: &mut dyn Deliveries,
    delivery: &Delivery,
    error: &Error,
) -> Result<()> {
    let Delivery {
        tag,
        message,
        attempts,
        ..
    } = delivery;
    let (kind, id) = (message.kind.as_str(), message.id);
    let gives_up = error.is_permanent() || *attempts >= ctx.settings().retries_max;
    let why = error.to_string();
    let outcome = if gives_up {
        Outcome::Refused(why)
    } else {
        Outcome::RolledBack(why)
    };
    record_failure(ctx, message, outcome);
    let trace = traced(ctx, message).0;
    let (trace_id, span_id) = (trace.id(), trace.step_id());
    if gives_up && !planted!(ctx, Bug::RequeueForEver) {
        tracing::error!(trace_id, span_id, %error, %id, kind, attempts, order.id = %message.subject, "message to the dead queue");
        ctx.metrics().dead.with_label_values(&[kind]).inc();
        deliveries.bury(*tag, &error.to_string()).await?;
    } else {
        let mut pause = ctx.jittered(ctx.settings().retry_after * 2_u32.pow((*attempts).min(8)));
        if planted!(ctx, Bug::RetryWithoutBackoff) {
            pause = Duration::from_millis(1);
        }
        tracing::warn!(trace_id, span_id, %error, %id, kind, attempts, ?pause, order.id = %message.subject, "message put off");
        ctx.metrics().retries.with_label_values(&[kind]).inc();
        deliveries.retry(*tag, pause, &error.to_string()).await?;
    }
    Ok(())
}
