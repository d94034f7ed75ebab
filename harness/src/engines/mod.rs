//! PostgreSQL and RabbitMQ servers of our own, which can be stopped, killed and broken without harming anybody.
//!
//! Each has its own directory, ports and account, listens on 127.0.0.1 only, and goes when its owner is dropped. When
//! the owning process dies without a word, a watchdog ends the server and removes its directory. Everything here
//! blocks, some of it for seconds.

mod account;
mod postgres;
mod process;
mod rabbit;
mod watchdog;

pub(crate) use process::signal;
pub(crate) use rustix::process::Signal;

pub use postgres::PrivatePostgres;
pub use rabbit::PrivateRabbit;

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a server of our own does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A program is not on this machine.
    #[error("{program} was not found; on Debian it comes with: apt-get install {package}")]
    Missing {
        /// What was looked for.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// Files, processes or ports cannot be had.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// It ended, or did not get ready in time.
    #[error("{engine} {what}; its log says:\n{log}")]
    Failed {
        /// Which one.
        engine: &'static str,
        /// What it did, or did not do.
        what: String,
        /// The last lines of its log.
        log: String,
    },
    /// It was asked for something that only a running server does.
    #[error("{0} does not run")]
    NotRunning(&'static str),
}

impl EngineError {
    fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |error| Self::System { what, error }
    }
}

/// Whether a test may start servers of its own; it is skipped, and says so, where the programs are missing.
///
/// # Panics
/// When they are missing and `CRASHCART_ENGINES` is `required`, or `CRASHCART_ENGINES_LOG` cannot be written.
pub fn can_start(test: &str) -> bool {
    let folders = versions("/usr/lib/postgresql", "bin");
    let postgres = find("initdb", &folders, "postgresql");
    let folders = versions("/usr/lib/rabbitmq/lib", "sbin");
    let rabbit = find("rabbitmq-server", &folders, "rabbitmq-server");
    is_due(test, postgres.and(rabbit))
}

/// Whether a test may start a Prometheus; it is skipped, and says so, where there is none.
///
/// # Panics
/// As [`can_start`].
pub fn can_observe(test: &str) -> bool {
    is_due(test, find("prometheus", &[], "prometheus"))
}

/// Whether what a test needs was found.
fn is_due(test: &str, found: Result<PathBuf, EngineError>) -> bool {
    if let Err(missing) = found {
        let is_required = std::env::var("CRASHCART_ENGINES").is_ok_and(|how| how == "required");
        assert!(!is_required, "{test}: {missing}");
        eprintln!("skipped {test}: {missing}");
        return false;
    }
    if let Ok(log) = std::env::var("CRASHCART_ENGINES_LOG") {
        let file = std::fs::File::options().create(true).append(true).open(log);
        file.and_then(|mut file| writeln!(file, "{test}"))
            .expect("CRASHCART_ENGINES_LOG names a file that can be written");
    }
    true
}

/// Told how long it has been waited, again and again, while a server gets ready.
pub type Waiting<'a> = &'a mut dyn FnMut(Duration);

/// A port of 127.0.0.1 on which nobody listens.
///
/// # Errors
/// When there is none.
pub fn free_port() -> std::io::Result<u16> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let found = shop::free_ports().find(is_free);
    found.ok_or_else(|| std::io::Error::other("no port of 127.0.0.1 is free"))
}

/// Where `program` is: in one of `folders`, or on the PATH.
fn find(
    program: &'static str,
    folders: &[PathBuf],
    package: &'static str,
) -> Result<PathBuf, EngineError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path);
    let mut places = folders.iter().cloned().chain(on_path);
    let found = places.find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()));
    found.ok_or(EngineError::Missing { program, package })
}

/// Every `folder/*/inner` that is there, the highest version first.
fn versions(folder: &str, inner: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<(Vec<u64>, PathBuf)> = entries
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let numbers = name.split(|c: char| !c.is_ascii_digit());
            let version = numbers.filter_map(|number| number.parse().ok()).collect();
            (version, entry.path().join(inner))
        })
        .filter(|(_, path)| path.is_dir())
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// The last lines of a log.
fn last_lines(log: &Path) -> String {
    const LINES: usize = 20;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
