//! One log line for each decision, and where in its trace it was made. At `debug`: a saga has a dozen.

use crate::{Heard, Trace};
use contract::{EventType, Message, MessageId};
use tracing::field::display;
use uuid::Uuid;

/// The attribute by which an order is found everywhere.
pub(crate) const ORDER: &str = "order.id";

/// This was said, and is committed.
pub(crate) fn said(message: &Message) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let trace = Trace::of(message);
        let about = (message.kind.as_str(), message.id, message.subject);
        line("said", about, trace.as_ref());
    }
}

/// This was heard before, and is not applied again.
pub(crate) fn absorbed(heard: &Heard) {
    let about = (heard.event.kind().as_str(), heard.id, heard.event.subject());
    line("heard again, and applied before", about, Some(&heard.trace));
}

fn line(what: &str, (event, id, about): (&str, MessageId, Uuid), trace: Option<&Trace>) {
    let is_order = EventType::parse(event).is_none_or(|kind| kind.subject_key() == ORDER);
    let order = is_order.then(|| display(about));
    let other = (!is_order).then(|| display(about));
    tracing::debug!(trace_id = trace.map(Trace::id), span_id = trace.map(Trace::step_id), order.id = order,
        subject = other, event, %id, "{what}");
}
