//! What a good run on paper traces.

use crate::recorded::{json, mixed};
use contract::{Event, EventType};
use harness::evidence::Service;
use harness::telemetry::SpanLine;
use uuid::Uuid;

/// What is traced of an event: who took the request for it, that it was published, and that it was heard.
pub fn traced(
    event: &Event,
    id: Uuid,
    cause: Option<Uuid>,
    time_us: i64,
    line: &mut dyn FnMut(&str),
) {
    let order = event.subject();
    let kind = event.kind();
    let author = Service::author(kind);
    let root = span_id(order, "request");
    let said_by = cause.map_or(root, |cause| span_id(cause, "process"));
    let mut tell = |told: SpanLine<'_>| line(&json(&told));
    let step = |service: Service, kind: &'static str, of: u64, (start_us, end_us)| SpanLine {
        service: service.as_str().into(),
        trace: order.simple().to_string().into(),
        span: format!("{of:016x}").into(),
        parent: None,
        name: "a step".into(),
        kind: kind.into(),
        start_us,
        end_us,
        order: Some(order),
        message: None,
        outcome: None,
        status: None,
        is_error: false,
        links: 0,
    };
    if matches!(
        kind,
        EventType::ProductCreated | EventType::ProductRestocked
    ) {
        return;
    }
    if cause.is_none() {
        let times = (time_us - 400, time_us + 100);
        let request = step(author, "server", root, times);
        tell(SpanLine {
            status: Some(201),
            ..request
        });
    }
    let said_by = Some(format!("{said_by:016x}"));
    let publish = step(
        author,
        "producer",
        span_id(id, "publish"),
        (time_us, time_us + 50),
    );
    tell(SpanLine {
        parent: said_by.as_deref().map(Into::into),
        message: Some(id),
        ..publish
    });
    if let Some(hearer) = Service::hearer(kind) {
        let times = (time_us + 80, time_us + 100);
        let process = step(hearer, "consumer", span_id(id, "process"), times);
        tell(SpanLine {
            parent: said_by.as_deref().map(Into::into),
            message: Some(id),
            outcome: Some("applied".into()),
            name: name(kind, hearer).into(),
            ..process
        });
    }
}

fn name(kind: EventType, hearer: Service) -> String {
    format!(
        "process checkout.events:{}:{}",
        kind.as_str(),
        hearer.as_str()
    )
}

/// The step that has to do with `id` in this way.
fn span_id(id: Uuid, way: &str) -> u64 {
    let (high, low) = id.as_u64_pair();
    let way = way
        .bytes()
        .fold(0, |hash, byte| mixed(hash ^ u64::from(byte)));
    mixed(high ^ mixed(low ^ way))
}
