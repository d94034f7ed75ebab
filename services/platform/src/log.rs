//! The event log: what a service said, in the order of its commits per entity. It is also the outbox.

use crate::store::{Change, Claim, Insert, Kind, Param, Row, Store, StoreError, Tx};
use crate::{Context, Origin, params, planted};
use contract::{Bug, Entity, Event, Message, MessageId};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// An event as it will be stored.
pub(crate) struct Entry {
    pub(crate) message: Message,
    entity: Entity,
}

impl Entry {
    /// What [`Bug::PublishAnotherPayload`] does: a digit in front of the version.
    pub(crate) fn misprint(&mut self) {
        self.message.data = self.message.data.replace("\"version\":", "\"version\":1");
    }
}

/// Turns what a step said into entries. Ids are derived, so a step that runs again says the same messages.
pub(crate) fn entries<'a>(
    ctx: &'a Context,
    origin: &'a Origin,
    events: Vec<Event>,
) -> impl Iterator<Item = Entry> + 'a {
    let time_us = ctx.now_us();
    let mut said: BTreeMap<&str, u32> = BTreeMap::new();
    events.into_iter().map(move |event| {
        let (kind, subject, entity) = (event.kind().as_str(), event.subject(), event.entity());
        let n = said.entry(kind).and_modify(|n| *n += 1).or_insert(0);
        if planted!(ctx, Bug::ApplyAgain) {
            // Each time it is applied the message is another one. The first end of anything is version 2.
            *n += u32::try_from(entity.version - 2).unwrap_or(0);
        }
        let id = match origin.cause {
            Some(cause) if planted!(ctx, Bug::IdOfTheCause) => cause,
            Some(cause) => MessageId::caused_by(cause.0, kind, *n, subject),
            // A request has no message id; the version tells its repeats apart.
            None => MessageId::caused_by(
                entity.id,
                kind,
                u32::try_from(entity.version).unwrap_or(0),
                subject,
            ),
        };
        Entry {
            entity,
            message: Message {
                id,
                source: ctx.service().to_owned(),
                kind: kind.to_owned(),
                subject,
                time_us,
                cause: origin.cause,
                traceparent: Some(origin.trace.traceparent()),
                tracestate: origin.trace.tracestate().map(str::to_owned),
                data: event.data(),
            },
        }
    })
}

pub(crate) const EVENTS: Insert = Insert {
    table: "events",
    columns: &[
        ("id", Kind::Text),
        ("type", Kind::Text),
        ("entity", Kind::Text),
        ("entity_id", Kind::Text),
        ("version", Kind::Int),
        ("subject", Kind::Text),
        ("cause", Kind::Text),
        ("data", Kind::Text),
        ("traceparent", Kind::Text),
        ("tracestate", Kind::Text),
        ("time_us", Kind::Int),
    ],
    key: None,
};

/// `entries` as rows of [`EVENTS`].
pub(crate) fn rows<'e>(ctx: &Context, entries: &'e [Entry]) -> Vec<Vec<Param<'e>>> {
    entries
        .iter()
        .map(|Entry { message, entity }| {
            vec![
                message.id.0.into(),
                message.kind.as_str().into(),
                entity.kind.into(),
                entity.id.into(),
                entity.version.into(),
                message.subject.into(),
                message.cause.map(|cause| cause.0).into(),
                message.data.as_str().into(),
                kept(ctx, message.traceparent.as_deref()).into(),
                message.tracestate.as_deref().into(),
                message.time_us.into(),
            ]
        })
        .collect()
}

/// The trace context as it is stored, but for a planted bug.
fn kept<'e>(ctx: &Context, context: Option<&'e str>) -> Option<&'e str> {
    context.filter(|_| !planted!(ctx, Bug::ForgetTheContext))
}

/// What is set, with the time, of events that the broker has confirmed.
pub(crate) const PUBLISHED: Change = Change {
    table: "events",
    set: "published_at_us = $1",
    key: "id",
};

const MESSAGE: &str = "id, type, subject, cause, data, traceparent, tracestate, time_us";

/// Claims up to `n` messages that were said before `before_us` and are not published, oldest first.
pub(crate) async fn unpublished(
    ctx: &Context,
    before_us: i64,
    n: i64,
    lease_us: i64,
) -> Result<Vec<Message>, StoreError> {
    let claim = Claim {
        table: "events",
        columns: MESSAGE,
        due: "published_at_us is null and time_us < $1",
        order: "time_us, id",
        before_us,
        n,
        now_us: ctx.now_us(),
        lease_us,
    };
    let rows = ctx.store().claim(claim).await?;
    let mut messages = rows
        .iter()
        .map(|row| message(row, ctx.service()))
        .collect::<Result<Vec<_>, _>>()?;
    messages.sort_by_key(|message| (message.time_us, message.id));
    Ok(messages)
}

fn message(row: &Row, source: &str) -> Result<Message, StoreError> {
    Ok(Message {
        id: MessageId(row.get(0)?),
        source: source.to_owned(),
        kind: row.get(1)?,
        subject: row.get(2)?,
        cause: row.get::<Option<_>>(3)?.map(MessageId),
        data: row.get(4)?,
        traceparent: row.get(5)?,
        tracestate: row.get(6)?,
        time_us: row.get(7)?,
    })
}

/// How many events wait for the broker, and since when the oldest.
pub(crate) async fn pending(store: &dyn Store) -> Result<(i64, Option<i64>), StoreError> {
    let tx = store.read().await?;
    let rows = tx
        .query(
            "select count(*), min(time_us) from events where published_at_us is null",
            &[],
        )
        .await?;
    rows.first()
        .map_or(Ok((0, None)), |row| Ok((row.get(0)?, row.get(1)?)))
}

/// An event as the export shows it.
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LoggedEvent {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    entity: String,
    entity_id: String,
    version: i64,
    subject: String,
    cause: Option<String>,
    #[schemars(with = "serde_json::Value")]
    data: Box<RawValue>,
    traceparent: Option<String>,
    time_us: i64,
    published_at_us: Option<i64>,
}

/// One page of the log after the event `after`, in id order.
pub(crate) async fn page(
    tx: &dyn Tx,
    after: &str,
    n: i64,
) -> Result<Vec<(String, LoggedEvent)>, StoreError> {
    let rows = tx
        .query(
            "select id, type, entity, entity_id, version, subject, cause, data, traceparent, time_us, published_at_us
             from events where id > $1 order by id limit $2",
            params![after, n],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let id: String = row.get(0)?;
            let event = LoggedEvent {
                id: id.clone(),
                kind: row.get(1)?,
                entity: row.get(2)?,
                entity_id: row.get(3)?,
                version: row.get(4)?,
                subject: row.get(5)?,
                cause: row.get(6)?,
                data: row.parsed(7, |text| RawValue::from_string(text.to_owned()).ok())?,
                traceparent: row.get(8)?,
                time_us: row.get(9)?,
                published_at_us: row.get(10)?,
            };
            Ok((id, event))
        })
        .collect()
}
