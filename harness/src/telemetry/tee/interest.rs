//! What makes a trace worth keeping, whatever the share: something failed, took long, or did not end.

use super::super::row::text;
use contract::EventType;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use std::collections::VecDeque;

/// An order that took so long is slow, whatever the others took.
const SLOW_NS: u64 = 1_000_000_000;
/// Slow is also what took longer than 99 in 100 of so many orders before it.
const ORDERS: usize = 1_000;
/// When at least so many are known.
const ORDERS_MIN: usize = 200;
/// The bar is put anew after so many orders.
const PUT_EVERY: usize = 50;

/// Why a trace is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// A step says that it failed, or that nothing of it is kept.
    Failed,
    /// The order was canceled.
    Canceled,
    /// The order has not ended.
    Open,
    /// It took long.
    Slow,
    /// A metric names it as an example.
    Example,
    /// A batch in which a message of a kept order was applied.
    Linked,
    /// It is one of the share.
    Share,
}

impl Why {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Open => "open",
            Self::Slow => "slow",
            Self::Example => "example",
            Self::Linked => "linked",
            Self::Share => "share",
        }
    }
}

/// What a span says of its trace.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Why to keep it, if the span alone is a reason.
    pub(super) why: Option<Why>,
    /// Whether it is about an order, and not about a batch or a product.
    pub(super) is_order: bool,
    /// Whether nothing of the saga comes after it.
    pub(super) is_end: bool,
    /// When it began and ended, nanoseconds; none for a client that may have waited on purpose.
    pub(super) times: Option<(u64, u64)>,
    /// The batches that a step of an order was part of.
    pub(super) batches: Vec<u128>,
}

impl Said {
    pub(super) fn of(span: &Span) -> Self {
        let event = text(
            &span.attributes,
            "messaging.rabbitmq.destination.routing_key",
        );
        let event = event.and_then(EventType::parse);
        let is_order = event.is_some_and(|event| event.subject_key() == "order.id");
        let is_canceled = event == Some(EventType::OrderCanceled);
        let why = if failed(span) {
            Some(Why::Failed)
        } else {
            is_canceled.then_some(Why::Canceled)
        };
        let is_wait = span.kind() == SpanKind::Server && span.name.starts_with("GET ");
        let links = span.links.iter().filter(|_| is_order);
        Self {
            why,
            is_order,
            is_end: is_canceled || event == Some(EventType::OrderFinished),
            times: (!is_wait).then_some((span.start_time_unix_nano, span.end_time_unix_nano)),
            batches: links.filter_map(|link| id(&link.trace_id)).collect(),
        }
    }
}

/// Says that it failed, or that it was neither applied nor a duplicate: rolled back, refused, or nobody knows.
fn failed(span: &Span) -> bool {
    let is_error = span
        .status
        .as_ref()
        .is_some_and(|status| status.code() == StatusCode::Error);
    let outcome = text(&span.attributes, "crashcart.outcome");
    is_error || outcome.is_some_and(|outcome| !["applied", "duplicate"].contains(&outcome))
}

/// The id of a trace; none for bytes that are none.
pub(super) fn id(bytes: &[u8]) -> Option<u128> {
    let id = u128::from_be_bytes(bytes.try_into().ok()?);
    (id != 0).then_some(id)
}

/// How long orders took, and from where on that is long.
#[derive(Debug, Default)]
pub(super) struct Times {
    last: VecDeque<u64>,
    bar: Option<u64>,
    since: usize,
}

impl Times {
    /// Whether something that took so long is slow. Only orders are held against other orders.
    pub(super) fn is_slow(&self, took_ns: u64, is_order: bool) -> bool {
        let bar = self.bar.filter(|_| is_order);
        took_ns >= SLOW_NS || bar.is_some_and(|bar| took_ns > bar)
    }

    /// An order took so long.
    pub(super) fn took(&mut self, took_ns: u64) {
        if self.last.len() >= ORDERS {
            self.last.pop_front();
        }
        self.last.push_back(took_ns);
        self.since += 1;
        if self.since >= PUT_EVERY && self.last.len() >= ORDERS_MIN {
            self.since = 0;
            let mut sorted: Vec<u64> = self.last.iter().copied().collect();
            let at = sorted.len() * 99 / 100;
            self.bar = Some(*sorted.select_nth_unstable(at).1);
        }
    }
}
