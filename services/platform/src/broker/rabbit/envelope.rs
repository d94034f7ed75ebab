//! How a message looks on the wire: CloudEvents JSON as the body, and what brokers and people sort by beside it.

use super::Result;
use super::topology::{short, table};
use crate::broker::BrokerError;
use contract::Message;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use std::time::Duration;

/// How often a message was put off.
const ATTEMPTS: &str = "crashcart-attempts";
/// Why it was put off or given up.
const REASON: &str = "crashcart-reason";
/// When it was given up, microseconds since 1970.
const AT_US: &str = "crashcart-at-us";
/// How long it is put off, microseconds.
const PAUSE_US: &str = "crashcart-pause-us";
const PERSISTENT: u8 = 2;
/// The longest reason that is written into a header.
const REASON_BYTES_MAX: usize = 2_048;

/// A message on its way out.
pub(super) struct Outgoing {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    /// Whether it is an error when no queue takes it.
    pub(super) mandatory: bool,
    pub(super) body: Vec<u8>,
    pub(super) properties: BasicProperties,
}

impl Outgoing {
    /// `message` for the exchange.
    pub(super) fn event(
        exchange: &ShortString,
        message: &Message,
        mandatory: bool,
    ) -> Result<Self> {
        Ok(Self {
            exchange: exchange.clone(),
            key: short(&message.kind)?,
            mandatory,
            body: body(message)?,
            properties: properties(message)?,
        })
    }

    /// Something for one queue only.
    pub(super) fn to_queue(name: &str, body: Vec<u8>, properties: BasicProperties) -> Result<Self> {
        Ok(Self {
            exchange: ShortString::default(),
            key: short(name)?,
            mandatory: true,
            body,
            properties,
        })
    }
}

pub(super) fn body(message: &Message) -> Result<Vec<u8>> {
    let json = message.to_json();
    json.map(String::into_bytes)
        .map_err(|error| BrokerError::Refused(error.to_string()))
}

/// The properties of `message`.
pub(super) fn properties(message: &Message) -> Result<BasicProperties> {
    let mut headers = FieldTable::default();
    let trace = [
        ("traceparent", &message.traceparent),
        ("tracestate", &message.tracestate),
    ];
    for (key, value) in trace {
        if let Some(value) = value {
            headers.insert(key.into(), AMQPValue::LongString(value.as_str().into()));
        }
    }
    Ok(persistent()
        .with_type(short(&message.kind)?)
        .with_message_id(message.id.to_string().into())
        .with_correlation_id(message.subject.to_string().into())
        .with_headers(headers))
}

fn persistent() -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/cloudevents+json".into())
        .with_delivery_mode(PERSISTENT)
}

/// `properties` with a message's fate so far, and without what the server wrote into them.
pub(super) fn marked(
    properties: &BasicProperties,
    attempts: u32,
    fate: Option<(&str, i64)>,
) -> BasicProperties {
    let kept = properties.headers().iter().flat_map(FieldTable::inner);
    let mut headers = table(&[(ATTEMPTS, i64::from(attempts).into())]);
    for (key, value) in kept {
        if ["traceparent", "tracestate"].contains(&key.as_str()) {
            headers.insert(key.clone(), value.clone());
        }
    }
    if let Some((reason, at_us)) = fate {
        let mut end = reason.len().min(REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = AMQPValue::LongString(reason[..end].into());
        headers.insert(REASON.into(), reason);
        headers.insert(AT_US.into(), AMQPValue::LongLongInt(at_us));
    }
    // An expiration of somebody else's would let the message vanish.
    let mut marked = persistent().with_headers(headers);
    if let Some(kind) = properties.kind() {
        marked = marked.with_type(kind.clone());
    }
    if let Some(id) = properties.message_id() {
        marked = marked.with_message_id(id.clone());
    }
    if let Some(id) = properties.correlation_id() {
        marked = marked.with_correlation_id(id.clone());
    }
    marked
}

/// `properties` of a message that waits for `pause`.
pub(super) fn put_off(properties: BasicProperties, pause: Duration) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    let pause_us = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
    headers.insert(PAUSE_US.into(), AMQPValue::LongLongInt(pause_us));
    properties.with_headers(headers)
}

/// How long the message in `delivery` waits. What was put there by somebody else does not.
pub(super) fn pause(delivery: &Delivery) -> Duration {
    let pause_us = number(delivery, PAUSE_US).unwrap_or(0);
    Duration::from_micros(u64::try_from(pause_us).unwrap_or(0))
}

/// The properties of a message that has waited.
pub(super) fn returned(delivery: &Delivery) -> BasicProperties {
    let (reason, at_us) = fate(delivery);
    let is_ours = header(delivery, REASON).is_some();
    let fate = is_ours.then_some((reason.as_str(), at_us));
    marked(&delivery.properties, attempts(delivery), fate)
}

/// Whether both are the same message after as many attempts.
pub(super) fn is_same(one: &Delivery, other: &Delivery) -> bool {
    let id = |delivery: &Delivery| delivery.properties.message_id().clone();
    id(one).is_some() && id(one) == id(other) && attempts(one) == attempts(other)
}

pub(super) fn attempts(delivery: &Delivery) -> u32 {
    let attempts = number(delivery, ATTEMPTS).unwrap_or(0);
    u32::try_from(attempts).unwrap_or(u32::MAX)
}

/// Why and when the message in `delivery` was given up. Those that the server gave up have no reason of ours.
pub(super) fn fate(delivery: &Delivery) -> (String, i64) {
    let reason = header(delivery, REASON).and_then(AMQPValue::as_long_string);
    let reason = match reason {
        Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        None => "delivered too often without an answer".to_owned(),
    };
    (reason, number(delivery, AT_US).unwrap_or(0))
}

fn number(delivery: &Delivery, key: &str) -> Option<i64> {
    header(delivery, key)?.as_long_long_int()
}

fn header<'d>(delivery: &'d Delivery, key: &str) -> Option<&'d AMQPValue> {
    delivery.properties.headers().as_ref()?.inner().get(key)
}
