//! A finished step, as small as it can be handed over; names and attributes are made on the telemetry thread.

use super::{EXCHANGE, SCOPE};
use contract::{EventType, MessageId};
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use uuid::Uuid;

/// Which step of which trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The trace.
    pub trace: u128,
    /// The step.
    pub span: u64,
    /// The step that brought it about; 0 for the first of a trace.
    pub parent: u64,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its effect is committed.
    Applied,
    /// It was applied before.
    Duplicate,
    /// Nothing of it is kept, and it will be tried again.
    RolledBack(String),
    /// Nothing of it is kept, and it lies in the dead queue.
    Refused(String),
    /// Nobody knows whether its effect is committed; the inbox will tell.
    Unknown(String),
}

impl Outcome {
    /// As `crashcart.outcome` says it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::RolledBack(_) => "rolled_back",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }

    fn error(&self) -> Option<&str> {
        match self {
            Self::Applied | Self::Duplicate => None,
            Self::RolledBack(why) | Self::Refused(why) | Self::Unknown(why) => Some(why),
        }
    }
}

/// What kind of step it was.
#[derive(Debug, Clone)]
pub enum What {
    /// A request that was answered.
    Request {
        /// Its method.
        method: String,
        /// The route that took it.
        route: &'static str,
        /// The status of the answer.
        status: u16,
        /// What it was about: `order.id` and which.
        about: Option<(String, Uuid)>,
    },
    /// A message that was handed over to the broker and confirmed.
    Publish {
        /// The type of its event.
        kind: String,
        /// The message.
        message: MessageId,
        /// What it is about: the order.
        about: Uuid,
    },
    /// A message that was heard.
    Process {
        /// The type of its event.
        kind: &'static str,
        /// The message.
        message: MessageId,
        /// What it is about: the order.
        about: Uuid,
        /// What became of it.
        outcome: Outcome,
        /// The batch that it was applied in, if that is recorded: its trace and its span.
        batch: Option<(u128, u64)>,
    },
    /// The outside was asked.
    Call {
        /// What was asked for: `charge`.
        name: &'static str,
        /// What it is about: the order.
        about: Uuid,
        /// What there is to know of it.
        attributes: Vec<(&'static str, String)>,
        /// Why there is no answer, if there is none.
        error: Option<String>,
    },
}

/// A finished step.
#[derive(Debug, Clone)]
pub struct Span {
    /// Which step of which trace.
    pub ids: Ids,
    /// When it began, microseconds since 1970.
    pub start_us: i64,
    /// When it ended.
    pub end_us: i64,
    /// What it was.
    pub what: What,
}

/// What waits to be sent.
pub(super) enum Waiting {
    Step(Span),
    /// Already complete: a part of a batch.
    Whole(Box<SpanData>),
}

/// Makes spans complete.
pub(super) struct Finisher {
    /// What the broker is called.
    pub(super) system: &'static str,
    /// The service, and its queue.
    pub(super) service: &'static str,
    pub(super) scope: InstrumentationScope,
}

impl Finisher {
    pub(super) fn new(service: &'static str, system: &'static str) -> Self {
        Self {
            system,
            service,
            scope: scope(),
        }
    }

    pub(super) fn finish(&self, waiting: Waiting) -> SpanData {
        let Span {
            ids,
            start_us,
            end_us,
            what,
        } = match waiting {
            Waiting::Whole(data) => return *data,
            Waiting::Step(span) => span,
        };
        let Shape {
            name,
            kind,
            attributes,
            link,
            status,
        } = self.shape(what);
        let links = link.map(|(trace, span)| Link::with_context(context(trace, span)));
        SpanData {
            span_context: context(ids.trace, ids.span),
            parent_span_id: SpanId::from_bytes(ids.parent.to_be_bytes()),
            parent_span_is_remote: ids.parent != 0,
            span_kind: kind,
            name,
            start_time: at(start_us),
            end_time: at(end_us.max(start_us)),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: {
                let mut all = SpanLinks::default();
                all.links.extend(links);
                all
            },
            status,
            instrumentation_scope: self.scope.clone(),
        }
    }

    fn shape(&self, what: What) -> Shape {
        match what {
            What::Request {
                method,
                route,
                status,
                about,
            } => request(method, route, status, about),
            What::Publish {
                kind,
                message,
                about,
            } => {
                let mut attributes = self.messaging("send", "publish", &kind, message, about);
                attributes.push(KeyValue::new("messaging.destination.name", EXCHANGE));
                let name = format!("publish {EXCHANGE}:{kind}").into();
                Shape {
                    name,
                    kind: SpanKind::Producer,
                    attributes,
                    link: None,
                    status: Status::Unset,
                }
            }
            What::Process {
                kind,
                message,
                about,
                outcome,
                batch,
            } => {
                let mut attributes = self.messaging("process", "process", kind, message, about);
                let destination = format!("{EXCHANGE}:{kind}:{}", self.service);
                let name = format!("process {destination}").into();
                attributes.push(KeyValue::new("messaging.destination.name", destination));
                attributes.push(KeyValue::new("messaging.consumer.group.name", self.service));
                attributes.push(KeyValue::new("crashcart.outcome", outcome.as_str()));
                let status = failed(&mut attributes, outcome.error());
                Shape {
                    name,
                    kind: SpanKind::Consumer,
                    attributes,
                    link: batch,
                    status,
                }
            }
            What::Call {
                name,
                about,
                attributes,
                error,
            } => {
                let mut all = vec![KeyValue::new("order.id", about.to_string())];
                all.extend(
                    attributes
                        .into_iter()
                        .map(|(key, value)| KeyValue::new(key, value)),
                );
                let status = failed(&mut all, error.as_deref());
                Shape {
                    name: name.into(),
                    kind: SpanKind::Client,
                    attributes: all,
                    link: None,
                    status,
                }
            }
        }
    }

    fn messaging(
        &self,
        operation_type: &'static str,
        operation: &'static str,
        kind: &str,
        message: MessageId,
        about: Uuid,
    ) -> Vec<KeyValue> {
        let about = about.to_string();
        // An unknown type passes through; all that are to come are about orders.
        let key = EventType::parse(kind).map_or("order.id", EventType::subject_key);
        vec![
            KeyValue::new("messaging.system", self.system),
            KeyValue::new("messaging.operation.type", operation_type),
            KeyValue::new("messaging.operation.name", operation),
            KeyValue::new(
                "messaging.rabbitmq.destination.routing_key",
                kind.to_owned(),
            ),
            KeyValue::new("messaging.message.id", message.0.to_string()),
            KeyValue::new("messaging.message.conversation_id", about.clone()),
            KeyValue::new(key, about),
        ]
    }
}

/// What differs from kind to kind.
struct Shape {
    name: Cow<'static, str>,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
    link: Option<(u128, u64)>,
    status: Status,
}

fn request(
    method: String,
    route: &'static str,
    status: u16,
    about: Option<(String, Uuid)>,
) -> Shape {
    let name = format!("{method} {route}").into();
    let mut attributes = vec![
        KeyValue::new("http.request.method", method),
        KeyValue::new("http.route", route),
        KeyValue::new("url.scheme", "http"),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ];
    attributes.extend(about.map(|(key, id)| KeyValue::new(key, id.to_string())));
    // What the client did wrong is no error of the server.
    let is_error = status >= 500;
    if is_error {
        attributes.push(KeyValue::new("error.type", status.to_string()));
    }
    let status = if is_error {
        Status::error("")
    } else {
        Status::Unset
    };
    Shape {
        name,
        kind: SpanKind::Server,
        attributes,
        link: None,
        status,
    }
}

fn failed(attributes: &mut Vec<KeyValue>, error: Option<&str>) -> Status {
    error.map_or(Status::Unset, |why| {
        attributes.push(KeyValue::new("error.type", "_OTHER"));
        Status::error(why.to_owned())
    })
}

pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(SCOPE)
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(super::SCHEMA_URL)
        .build()
}

pub(super) fn context(trace: u128, span: u64) -> SpanContext {
    SpanContext::new(
        TraceId::from_bytes(trace.to_be_bytes()),
        SpanId::from_bytes(span.to_be_bytes()),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

fn at(us: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(us).unwrap_or(0))
}
