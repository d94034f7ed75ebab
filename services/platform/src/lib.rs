//! How any service runs: store, broker, event log, relay, inbox, consumer, committer, HTTP.
//!
//! Nothing in here knows what the services are about. A service brings a schema, an API and its reactions
//! ([`Service`]); the platform gives it a [`Context`] and takes care that everything it says is stored with
//! the change that made it true, published at least once and applied at most once.
#![deny(missing_docs)]

mod backoff;
pub mod broker;
mod clock;
mod committer;
mod consumer;
mod context;
mod decided;
pub mod dial;
mod endpoint;
pub mod engines;
mod error;
pub mod fault;
mod gather;
pub mod http;
pub mod idempotency;
mod inbox;
mod lock;
mod log;
pub mod logs;
pub mod metrics;
pub mod outside;
mod planted;
mod relay;
mod running;
mod said;
mod service;
pub mod stage;
pub mod store;
pub mod telemetry;
mod trace;
pub mod waiting;
pub mod world;

pub use clock::{Clock, os_seed};
pub use context::{Context, Parts, Settings};
pub use endpoint::Endpoint;
pub use error::{Error, Illegal, Result};
pub use planted::PLANTED;
pub use running::Running;
pub use said::{Origin, Said};
pub use service::{Heard, Service};
pub use trace::Trace;

/// A boxed future, the return type of everything that is called through `dyn`.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
