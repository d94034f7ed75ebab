//! Traces: what a step did, when, and because of what, handed to a thread that sends it to a collector.
//!
//! A step of a trace is recorded when its outcome is known, after the commit, so nothing is held open over a batch
//! and no span says what a rollback took back. Ids are derived from message and service ([`Trace::step`]): whoever
//! continues a trace, in this process or another, now or after a crash, names the same parent.
//!
//! Nothing waits for the collector. What it cannot take in time is dropped and counted.
//!
//! [`Trace::step`]: crate::Trace::step

mod batch;
mod collector;
mod export;
mod pipeline;
mod settings;
mod span;
mod tracer;

pub use collector::{Collector, NotTaken};
pub use pipeline::{Pipeline, TelemetryError, resource_in_a_world};
pub use settings::{BadVariable, Protocol, Sampling, Settings};
pub use span::{Ids, Outcome, Span, What};
pub use tracer::Tracer;

/// A span as a collector gets it.
pub use opentelemetry_sdk::trace::SpanData;

pub(crate) use batch::{TARGET, applying, committing, ended, failed, ids, part, publishing};
pub(crate) use tracer::mixed;

/// The version of the semantic conventions that names and attributes follow; those of messaging are still
/// "Development" there.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
/// The instrumentation scope of every span.
pub const SCOPE: &str = "crashcart";
/// Everything that the shop tells of itself, in one list: YAML.
pub const REGISTRY: &str = include_str!("../../telemetry.yaml");
/// The exchange, as spans name it: without the prefix of a run, so that names stay few.
pub const EXCHANGE: &str = "checkout.events";
