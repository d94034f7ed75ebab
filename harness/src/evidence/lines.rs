//! The lines of a shop's exports, as far as the checks look at them.

use contract::MessageId;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use uuid::Uuid;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogLine<'a> {
    pub(super) id: MessageId,
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) version: i64,
    pub(super) subject: Uuid,
    pub(super) cause: Option<MessageId>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
    pub(super) time_us: i64,
    pub(super) published_at_us: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct TapLine<'a> {
    pub(super) seq: i64,
    #[serde(borrow)]
    pub(super) message: Envelope<'a>,
}

#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    pub(super) id: MessageId,
    #[serde(borrow)]
    pub(super) source: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) subject: Uuid,
    pub(super) causeid: Option<MessageId>,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct InboxLine {
    pub(super) message_id: MessageId,
    pub(super) seen: i64,
    pub(super) applied_at_us: i64,
}

#[derive(Deserialize)]
pub(super) struct QueueLine<'a> {
    #[serde(borrow)]
    pub(super) queue: Cow<'a, str>,
    pub(super) ready: u64,
    pub(super) unacked: u64,
    pub(super) retrying: u64,
    pub(super) dead: u64,
    pub(super) unpublished: u64,
}

#[derive(Deserialize)]
pub(super) struct DeadLine {
    pub(super) queue: String,
    pub(super) id: MessageId,
    pub(super) attempts: u32,
    pub(super) reason: String,
}
