//! The trace context that flows from a request through event rows and messages to the last reaction.

use crate::telemetry::{Ids, mixed};
use contract::{Message, MessageId};
use uuid::Uuid;

/// The flag of a step that is recorded.
const SAMPLED: u8 = 1;

/// W3C trace context. It is stored in the event row, so a message that is published late keeps its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    state: Option<String>,
}

impl Trace {
    /// A new trace from random bits.
    pub fn new(random: Uuid, span: u64) -> Self {
        Self {
            trace_id: random.as_u128().max(1),
            span_id: span.max(1),
            flags: 0,
            state: None,
        }
    }

    /// The same step, recorded or not.
    pub fn sampled(self, is_sampled: bool) -> Self {
        Self {
            flags: (self.flags & !SAMPLED) | u8::from(is_sampled),
            ..self
        }
    }

    /// Whether it is recorded.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED == SAMPLED
    }

    /// The context in these headers; none when `traceparent` is not valid, as the standard asks.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let lengths =
            version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
        let lowercase_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b'-';
        let more = parts.next().is_some();
        if !lengths
            || version == "ff"
            || (version == "00" && more)
            || !traceparent.bytes().all(lowercase_hex)
        {
            return None;
        }
        let (trace_id, span_id) = (
            u128::from_str_radix(trace, 16).ok()?,
            u64::from_str_radix(span, 16).ok()?,
        );
        (trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            flags: u8::from_str_radix(flags, 16).ok()?,
            state: tracestate
                .filter(|state| state.len() <= 512)
                .map(str::to_owned),
        })
    }

    /// The step that said `message`, if it tells.
    pub fn of(message: &Message) -> Option<Self> {
        Self::parse(
            message.traceparent.as_deref()?,
            message.tracestate.as_deref(),
        )
    }

    /// The same trace, one step further: `span` is the id of that step.
    pub fn child(&self, span: u64) -> Self {
        Self {
            span_id: span.max(1),
            ..self.clone()
        }
    }

    /// The same trace at the step in which `service` applies the message `id`. Derived, so that whoever goes on from
    /// there after a crash names the same step.
    pub fn step(&self, id: MessageId, service: &str) -> Self {
        let (high, low) = id.0.as_u64_pair();
        let bytes = service.bytes().map(u64::from);
        self.child(bytes.fold(mixed(high) ^ low, |hash, byte| mixed(hash ^ byte)))
    }

    /// This step, brought about by the step `parent`; 0 is none.
    pub const fn ids(&self, parent: u64) -> Ids {
        Ids {
            trace: self.trace_id,
            span: self.span_id,
            parent,
        }
    }

    /// The trace, as a number.
    pub const fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// The step, as a number.
    pub const fn span_id(&self) -> u64 {
        self.span_id
    }

    /// The trace id, 32 hex digits.
    pub fn id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The step's id, 16 hex digits.
    pub fn step_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// The `traceparent` header.
    pub fn traceparent(&self) -> String {
        format!(
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.span_id, self.flags
        )
    }

    /// The `tracestate` header.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_step_of_its_own_in_each_service_the_same_each_time() {
        let trace = Trace::new(Uuid::from_u128(7), 1).sampled(true);
        let id = MessageId(Uuid::from_u128(8));
        assert_eq!(trace.step(id, "here"), trace.child(2).step(id, "here"));
        assert_ne!(trace.step(id, "here"), trace.step(id, "there"));
        let other = MessageId(Uuid::from_u128(9));
        assert_ne!(trace.step(id, "here"), trace.step(other, "here"));
        assert!(trace.is_sampled() && !trace.sampled(false).is_sampled());
    }

    #[test]
    fn a_valid_header_survives_and_an_invalid_one_is_none() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let trace = Trace::parse(header, Some("vendor=1")).unwrap();
        assert_eq!(trace.traceparent(), header);
        assert_eq!(trace.tracestate(), Some("vendor=1"));
        assert_eq!(trace.child(255).id(), trace.id());
        for bad in [
            "",
            "00-0-0-0",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Trace::parse(bad, None), None, "{bad}");
        }
    }
}
