//! Log lines: JSON for machines, one line of text for people. Each service has a dispatcher of its own.

use crate::Clock;
use crate::telemetry::{TARGET, Tracer};
use serde_json::{Map, Value, json};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{EnvFilter, Registry};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// Time, level, service, message, fields.
    Human,
}

/// Where log lines go.
#[derive(Clone)]
pub enum Sink {
    /// Standard error.
    Stderr,
    /// A buffer that somebody reads later.
    Memory(Arc<Mutex<String>>),
}

/// What logs look like, which are written, and where to.
#[derive(Clone)]
pub struct LogSettings {
    /// How a line looks.
    pub format: Format,
    /// Which lines are written, in the syntax of `RUST_LOG`: `info`, `warn,platform=debug`.
    pub filter: String,
    /// Where they go.
    pub sink: Sink,
}

/// A dispatcher that writes the log lines of `service`, and records its batches with `tracer`.
///
/// # Errors
/// When the filter cannot be read; the text says where.
pub fn dispatch(
    service: &'static str,
    settings: &LogSettings,
    clock: Clock,
    tracer: &Tracer,
) -> Result<Dispatch, String> {
    let filter = EnvFilter::builder()
        .parse(&settings.filter)
        .map_err(|error| error.to_string())?;
    let lines = Lines {
        service,
        settings: settings.clone(),
        clock,
    };
    // Batches are for traces alone: where nobody records them, they are not even made.
    let lines = lines.with_filter(filter.and(filter_fn(|of| of.target() != TARGET)));
    let spans = tracer.layer();
    Ok(Dispatch::new(Registry::default().with(lines).with(spans)))
}

struct Lines {
    service: &'static str,
    settings: LogSettings,
    clock: Clock,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = contract::message::rfc3339(self.clock.now_us()).unwrap_or_default();
        let level = event.metadata().level().as_str();
        let line = match self.settings.format {
            Format::Json => fields.json(&time, level, self.service, event.metadata().target()),
            Format::Human => fields.human(&time, level, self.service),
        };
        match &self.settings.sink {
            Sink::Stderr => eprint!("{line}"),
            Sink::Memory(buffer) => buffer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push_str(&line),
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn json(self, time: &str, level: &str, service: &str, target: &str) -> String {
        let mut line = Map::new();
        line.insert("time".to_owned(), json!(time));
        line.insert("level".to_owned(), json!(level));
        line.insert("service".to_owned(), json!(service));
        line.insert("target".to_owned(), json!(target));
        line.insert("message".to_owned(), json!(self.message));
        line.extend(self.others);
        format!("{}\n", Value::Object(line))
    }

    fn human(self, time: &str, level: &str, service: &str) -> String {
        let clock = time.get(11..23).unwrap_or(time);
        let mut line = format!("{clock} {level:5} {service:9} {}", self.message);
        for (name, value) in &self.others {
            // Writing into a string cannot fail.
            let _ = match value {
                Value::String(text) => write!(line, "  {name}={text}"),
                other => write!(line, "  {name}={other}"),
            };
        }
        line.push('\n');
        line
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.others.insert(field.name().to_owned(), json!(text));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.others.insert(field.name().to_owned(), json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.insert(field.name().to_owned(), json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.insert(field.name().to_owned(), json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.insert(field.name().to_owned(), json!(value));
    }
}
