//! The shop put together: which services there are and what each of them needs.
#![deny(missing_docs)]

mod command;
mod embedded;
mod node;
mod ports;
pub mod service;
pub mod world;

pub use command::{Answer, Command, State};
pub use embedded::{Addresses, CommandError, Embedded, EmbeddedConfig, StartError, TAP_MAX};
pub use payments::provider::ProviderSettings;
pub use platform::dial::{FaultSettings, Fired};
pub use ports::free_ports;

use std::time::Duration;

/// SQLite and the services allocate and free pages in bursts on several threads. glibc answers that by giving
/// memory back and taking it again, which cost a third of all CPU time; `benches/sagas` shows the difference.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The queues of the exchange: one for each service that hears anything.
pub const QUEUES: [&str; 3] = [orders::NAME, products::NAME, payments::NAME];

/// All services, in the order in which they start.
pub const SERVICES: [&str; 4] = [
    payments::provider::NAME,
    orders::NAME,
    products::NAME,
    payments::NAME,
];

/// How long payments waits for the provider before it calls the outcome unknown.
pub const PROVIDER_PATIENCE: Duration = Duration::from_secs(1);
