//! Which real engines a test may use, and under which names.
//!
//! Tests ask here. A machine without servers skips what needs them and says so; with `CRASHCART_ENGINES=required`
//! a missing engine is a failure instead.

use crate::Endpoint;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where PostgreSQL is, as somebody who may create databases; `CRASHCART_POSTGRES` says it.
const POSTGRES: &str = "postgres://postgres@127.0.0.1:5432/postgres";
/// Where RabbitMQ is; `CRASHCART_AMQP` says it.
const AMQP: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";

/// Makes the names of tests in one process different.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// The engines of one test.
#[derive(Debug, Clone)]
pub struct Engines {
    /// URL of a PostgreSQL server whose user may create databases.
    pub postgres: String,
    /// URL of a RabbitMQ broker.
    pub amqp: String,
    /// Stands before every name that the test uses there: small letters, digits and `_`; unique.
    pub prefix: String,
}

impl Engines {
    /// The engines for `test`, which says so when it is skipped: none.
    ///
    /// # Panics
    /// When an engine is missing and `CRASHCART_ENGINES` is `required`.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests run outside of any service"
    )]
    pub fn find(test: &str) -> Option<Self> {
        let say = |name, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
        let (postgres, amqp) = (
            say("CRASHCART_POSTGRES", POSTGRES),
            say("CRASHCART_AMQP", AMQP),
        );
        let is_required = std::env::var("CRASHCART_ENGINES").is_ok_and(|how| how == "required");
        for url in [&postgres, &amqp] {
            if let Err(error) = reach(url) {
                assert!(!is_required, "{test}: {url} is required: {error}");
                eprintln!(
                    "skipped {test}: {url}: {error}; CRASHCART_POSTGRES and CRASHCART_AMQP say where the engines are"
                );
                return None;
            }
        }
        if let Ok(log) = std::env::var("CRASHCART_ENGINES_LOG") {
            let file = std::fs::File::options().create(true).append(true).open(log);
            file.and_then(|mut file| writeln!(file, "{test}"))
                .expect("CRASHCART_ENGINES_LOG names a file that can be written");
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("cc{:x}_{:x}_{n}", now.as_millis(), std::process::id());
        Some(Self {
            postgres,
            amqp,
            prefix,
        })
    }
}

/// Whether somebody listens where `url` leads.
fn reach(url: &str) -> std::io::Result<()> {
    let endpoint = Endpoint::of(url).ok_or_else(|| std::io::Error::other("no host in it"))?;
    TcpStream::connect_timeout(&endpoint.address()?, Duration::from_secs(2)).map(drop)
}
