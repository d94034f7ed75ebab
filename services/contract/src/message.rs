//! An event in its envelope: CloudEvents 1.0 JSON with the trace context and the cause as extensions.
//!
//! The data stays JSON text until a service that hears the type asks for the event: brokers, logs and taps
//! carry messages that they cannot read, malformed ones included.

use crate::{Event, EventType, MessageId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// A message as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique for the fact: a repeated delivery has the same id.
    pub id: MessageId,
    /// The service that said it.
    pub source: String,
    /// The event type on the wire; unknown ones pass through.
    pub kind: String,
    /// The order (or product) that the message belongs to.
    pub subject: Uuid,
    /// When it was said, microseconds since 1970.
    pub time_us: i64,
    /// The message that this one answers; none at the root of a saga.
    pub cause: Option<MessageId>,
    /// W3C trace context of the step that said it.
    pub traceparent: Option<String>,
    /// Vendor part of the trace context.
    pub tracestate: Option<String>,
    /// The event's data, JSON text.
    pub data: String,
}

/// A message that cannot be understood. The text says which part of it.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The envelope is not CloudEvents JSON.
    #[error("not a CloudEvents message: {0}")]
    Envelope(#[source] serde_json::Error),
    /// The envelope is of another version of CloudEvents.
    #[error("specversion is {0:?}, this service speaks \"1.0\"")]
    Version(String),
    /// The time is not RFC 3339.
    #[error("time {0:?} is not RFC 3339")]
    Time(String),
    /// The event type is not one of ours.
    #[error("unknown event type {0:?}")]
    Type(String),
    /// The data is not what its type promises.
    #[error("data of {} does not fit: {source}", kind.as_str())]
    Data {
        /// The type whose data it should be.
        kind: EventType,
        /// What the parser found.
        source: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    specversion: std::borrow::Cow<'a, str>,
    id: MessageId,
    source: std::borrow::Cow<'a, str>,
    #[serde(rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    subject: Uuid,
    time: std::borrow::Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    causeid: Option<MessageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tracestate: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Message {
    /// The event type, if it is one of ours.
    pub fn event_type(&self) -> Option<EventType> {
        EventType::parse(&self.kind)
    }

    /// The event in this message.
    ///
    /// # Errors
    /// [`Malformed::Type`] or [`Malformed::Data`].
    pub fn event(&self) -> Result<Event, Malformed> {
        let kind = self
            .event_type()
            .ok_or_else(|| Malformed::Type(self.kind.clone()))?;
        Event::parse(kind, &self.data)
    }

    /// The message as CloudEvents JSON.
    ///
    /// # Errors
    /// [`Malformed::Envelope`] when `data` is not JSON, [`Malformed::Time`] when the time has no RFC 3339 form.
    pub fn to_json(&self) -> Result<String, Malformed> {
        let data: &RawValue = serde_json::from_str(&self.data).map_err(Malformed::Envelope)?;
        serde_json::to_string(&Envelope {
            specversion: "1.0".into(),
            id: self.id,
            source: self.source.as_str().into(),
            kind: self.kind.as_str().into(),
            subject: self.subject,
            time: rfc3339(self.time_us)?.into(),
            datacontenttype: Some("application/json".into()),
            causeid: self.cause,
            traceparent: self.traceparent.as_deref().map(Into::into),
            tracestate: self.tracestate.as_deref().map(Into::into),
            data,
        })
        .map_err(Malformed::Envelope)
    }

    /// The message in this CloudEvents JSON. Attributes that we do not know are ignored.
    ///
    /// # Errors
    /// [`Malformed`], naming the part that does not fit.
    pub fn from_json(json: &str) -> Result<Self, Malformed> {
        let envelope: Envelope<'_> = serde_json::from_str(json).map_err(Malformed::Envelope)?;
        if envelope.specversion != "1.0" {
            return Err(Malformed::Version(envelope.specversion.into_owned()));
        }
        Ok(Self {
            id: envelope.id,
            time_us: micros(&envelope.time)?,
            source: envelope.source.into_owned(),
            kind: envelope.kind.into_owned(),
            subject: envelope.subject,
            cause: envelope.causeid,
            traceparent: envelope.traceparent.map(Into::into),
            tracestate: envelope.tracestate.map(Into::into),
            data: envelope.data.get().to_owned(),
        })
    }
}

/// `time_us` (microseconds since 1970) as RFC 3339 in UTC.
///
/// # Errors
/// [`Malformed::Time`] outside of the years 0 to 9999.
pub fn rfc3339(time_us: i64) -> Result<String, Malformed> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_us) * 1_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .ok_or_else(|| Malformed::Time(time_us.to_string()))
}

fn micros(text: &str) -> Result<i64, Malformed> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|time| i64::try_from(time.unix_timestamp_nanos() / 1_000).ok())
        .ok_or_else(|| Malformed::Time(text.to_owned()))
}
