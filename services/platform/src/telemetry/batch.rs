//! Batches in their own small traces: how long a transaction took, and which of its parts.
//!
//! These are spans of the tracing crate, because they nest; a step of an order is a [`super::Span`], because its end is
//! known only after the commit of all of them. One links the other.

use crate::{Error, Result, Trace};
use opentelemetry::trace::TraceContextExt;
use std::borrow::Borrow;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The most links of a batch.
const LINKS_MAX: usize = 128;

/// The target of all of them.
pub(crate) const TARGET: &str = "crashcart::batch";

/// So many messages applied in one transaction.
pub(crate) fn applying<T: Borrow<Trace>>(
    service: &'static str,
    n: usize,
    messages: impl Iterator<Item = T>,
) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "process batch",
        otel.kind = "consumer", messaging.operation.type = "process", messaging.operation.name = "process",
        messaging.consumer.group.name = service, messaging.batch.message_count = count(n),
        otel.status_code = tracing::field::Empty, error.type = tracing::field::Empty);
    linked(span, messages)
}

/// So many messages published in one go.
pub(crate) fn publishing<T: Borrow<Trace>>(n: usize, messages: impl Iterator<Item = T>) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "publish batch",
        otel.kind = "client", messaging.operation.type = "send", messaging.operation.name = "publish",
        messaging.batch.message_count = count(n),
        otel.status_code = tracing::field::Empty, error.type = tracing::field::Empty);
    linked(span, messages)
}

/// So many requests whose steps are committed together.
pub(crate) fn committing<T: Borrow<Trace>>(n: usize, requests: impl Iterator<Item = T>) -> Span {
    let span = tracing::info_span!(target: TARGET, parent: None, "commit group",
        otel.kind = "internal", crashcart.group.size = count(n),
        otel.status_code = tracing::field::Empty, error.type = tracing::field::Empty);
    linked(span, requests)
}

/// Unsigned numbers would become texts in a span.
fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// With links to the first of its steps. Nobody looks at them unless the batch is recorded.
fn linked<T: Borrow<Trace>>(span: Span, steps: impl Iterator<Item = T>) -> Span {
    if !span.is_disabled() {
        for step in steps.take(LINKS_MAX) {
            let step = step.borrow();
            span.add_link(super::span::context(step.trace_id(), step.span_id()));
        }
    }
    span
}

/// A part of the batch that is under way.
pub(crate) fn part(of: &Span, name: &'static str) -> Span {
    tracing::info_span!(target: TARGET, parent: of, "part", otel.name = name)
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
