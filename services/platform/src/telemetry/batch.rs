//! Batches in their own small traces: how long a transaction took, and which of its parts.
//!
//! These are spans of the tracing crate, because they nest; a step of an order is a [`super::Span`], because its end is
//! known only after the commit of all of them. One links the other.

use crate::{Error, Result, Trace};
use opentelemetry::trace::TraceContextExt;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The most links of a batch.
const LINKS_MAX: usize = 128;

/// The target of all of them.
pub(crate) const TARGET: &str = "crashcart::batch";

/// Messages applied in one transaction, each of which is linked.
pub(crate) fn applying<'t>(
    service: &'static str,
    messages: impl ExactSizeIterator<Item = &'t Trace>,
) -> Span {
    let n = i64::try_from(messages.len()).unwrap_or(i64::MAX);
    let span = tracing::info_span!(target: TARGET, parent: None, "process batch",
        otel.kind = "consumer", messaging.operation.type = "process", messaging.operation.name = "process",
        messaging.consumer.group.name = service, messaging.batch.message_count = n,
        otel.status_code = tracing::field::Empty, error.type = tracing::field::Empty);
    link(&span, messages);
    span
}

/// Messages published in one go, each of which is linked.
pub(crate) fn publishing<'t>(messages: impl ExactSizeIterator<Item = &'t Trace>) -> Span {
    let n = i64::try_from(messages.len()).unwrap_or(i64::MAX);
    let span = tracing::info_span!(target: TARGET, parent: None, "publish batch",
        otel.kind = "client", messaging.operation.type = "send", messaging.operation.name = "publish",
        messaging.batch.message_count = n,
        otel.status_code = tracing::field::Empty, error.type = tracing::field::Empty);
    link(&span, messages);
    span
}

/// Requests whose steps are committed together, each of which is linked.
pub(crate) fn committing<'t>(requests: impl ExactSizeIterator<Item = &'t Trace>) -> Span {
    let n = i64::try_from(requests.len()).unwrap_or(i64::MAX);
    let span = tracing::info_span!(target: TARGET, parent: None, "commit group",
        otel.kind = "internal", crashcart.group.size = n,
        otel.status_code = tracing::field::Empty, error.type = tracing::field::Empty);
    link(&span, requests);
    span
}

/// A part of the batch that is under way.
pub(crate) fn part(of: &Span, name: &'static str) -> Span {
    tracing::info_span!(target: TARGET, parent: of, "part", otel.name = name)
}

fn link<'t>(span: &Span, messages: impl Iterator<Item = &'t Trace>) {
    if !span.is_disabled() {
        for trace in messages.take(LINKS_MAX) {
            span.add_link(super::span::context(trace.trace_id(), trace.span_id()));
        }
    }
}

/// Says of a batch how it ended.
pub(crate) fn ended<T>(span: &Span, ended: Result<T>) -> Result<T> {
    if let Err(error) = &ended {
        failed(span, error);
    }
    ended
}

/// Says of a batch that it failed.
pub(crate) fn failed(span: &Span, error: &Error) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error.to_string());
}

/// The trace and the span of a batch that is recorded.
pub(crate) fn ids(span: &Span) -> Option<(u128, u64)> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    (context.is_valid() && context.is_sampled()).then(|| {
        let (trace, span) = (context.trace_id().to_bytes(), context.span_id().to_bytes());
        (u128::from_be_bytes(trace), u64::from_be_bytes(span))
    })
}
