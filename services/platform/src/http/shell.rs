//! What surrounds each request: a place in the queue, a trace, a time-out, a measurement, a log line.

use super::Problem;
use crate::decided::ORDER;
use crate::telemetry::{Span, What};
use crate::{Context, Settings, Trace, planted};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use contract::Bug;
use std::sync::Arc;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Requests below this path are traced; whoever asks how a service is or what it counts is no part of any story.
const TRACED: &str = "/api/";

/// How many requests may be in work.
pub(super) struct Limits {
    requests: Semaphore,
    waits: Semaphore,
}

impl Limits {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            requests: Semaphore::new(settings.requests_max),
            waits: Semaphore::new(settings.waits_max),
        }
    }
}

#[derive(Clone)]
pub(super) struct Shell {
    pub(super) ctx: Context,
    pub(super) limits: Arc<Limits>,
    pub(super) route: &'static str,
    pub(super) waits: bool,
}

/// Runs the rest of the request inside the shell.
pub(super) async fn around(
    State(shell): State<Shell>,
    mut request: Request,
    next: Next,
) -> Response {
    let Shell {
        ctx,
        limits,
        route,
        waits,
    } = &shell;
    let permits = if *waits {
        &limits.waits
    } else {
        &limits.requests
    };
    let began_us = ctx.now_us();
    let method = request.method().clone();
    // Shed before anything else: this answer means that nothing was done.
    let Ok(_permit) = permits.try_acquire() else {
        let shed = Problem::overloaded().into_response();
        measure(ctx, &method, route, (&shed, began_us), None);
        return shed;
    };
    let (trace, parent) = begun(ctx, request.headers());
    let request_id = request_id(request.headers()).unwrap_or_else(|| trace.id());
    request.extensions_mut().insert(trace.clone());
    let active = Active::one(ctx);
    let mut response = if *waits {
        next.run(request).await
    } else {
        let answer = tokio::time::timeout(ctx.settings().request_timeout, next.run(request)).await;
        answer.unwrap_or_else(|_| Problem::timed_out().into_response())
    };
    let status = response.status();
    if planted!(ctx, Bug::ForgetTheActive) && status.is_client_error() {
        std::mem::forget(active);
    } else {
        drop(active);
    }
    let is_traced = route.starts_with(TRACED) && ctx.tracer().is_on();
    let step = Some(&trace).filter(|_| is_traced);
    let ended_us = measure(ctx, &method, route, (&response, began_us), step);
    let is_recorded = trace.is_sampled() && is_traced;
    // Only where somebody wants to know.
    let is_told = is_recorded || tracing::enabled!(tracing::Level::DEBUG);
    let about = is_told.then(|| about(route, &response)).flatten();
    let order = about.as_ref().filter(|(key, _)| key == ORDER);
    let order = order.map(|(_, id)| tracing::field::display(id));
    tracing::debug!(trace_id = trace.id(), span_id = trace.step_id(), order.id = order, %method,
        route, status = status.as_u16(), took_us = ended_us - began_us, "request");
    if is_recorded {
        ctx.tracer().record([Span {
            ids: trace.ids(parent),
            start_us: began_us,
            end_us: ended_us,
            what: What::Request {
                method: method.to_string(),
                route,
                status: status.as_u16(),
                about,
            },
        }]);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// Counts an answer and how long it took; returns now.
fn measure(
    ctx: &Context,
    method: &Method,
    route: &str,
    (response, began_us): (&Response, i64),
    step: Option<&Trace>,
) -> i64 {
    let now_us = ctx.now_us();
    let status = response.status();
    if planted!(ctx, Bug::RefusalsUncounted) && status.is_client_error() {
        return now_us;
    }
    let labels = [method.as_str(), route, status.as_str()];
    let http = &ctx.metrics().http;
    http.observe(&labels, now_us - began_us, (step, now_us));
    now_us
}

/// A request in work, however it ends: a client who hangs up takes its handler along.
struct Active(Context);

impl Active {
    fn one(ctx: &Context) -> Self {
        ctx.metrics().requests_in_flight.inc();
        Self(ctx.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.metrics().requests_in_flight.dec();
    }
}

/// What a request was about, `order.id` for example: in the extensions of an answer, so that the request can be found
/// by it.
#[derive(Debug, Clone, Copy)]
pub struct About(pub &'static str, pub Uuid);

/// What somebody says that the request was about, or what it has made.
fn about(route: &'static str, response: &Response) -> Option<(String, Uuid)> {
    if let Some(About(key, id)) = response.extensions().get() {
        return Some(((*key).to_owned(), *id));
    }
    let made = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let id = made.rsplit('/').next()?.parse().ok()?;
    let kind = route.rsplit('/').next()?.strip_suffix('s')?;
    Some((format!("{kind}.id"), id))
}

/// The step that answers this request, and the id of the client's step if it tells of one.
fn begun(ctx: &Context, headers: &HeaderMap) -> (Trace, u64) {
    let Some(caller) = incoming(headers) else {
        return (ctx.new_trace(), 0);
    };
    let tracer = ctx.tracer();
    let is_taken = tracer.takes(caller.trace_id(), Some(caller.is_sampled()));
    let parent = caller.span_id();
    // Who records nothing hands on what he was given.
    let step = if is_taken && tracer.is_on() {
        caller.child(tracer.fresh())
    } else {
        caller
    };
    (step.sampled(is_taken), parent)
}

fn incoming(headers: &HeaderMap) -> Option<Trace> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Trace::parse(text("traceparent")?, text("tracestate"))
}

/// The client's own id for the request, if it is short and plain.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    ((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()))
        .then(|| id.to_owned())
}
