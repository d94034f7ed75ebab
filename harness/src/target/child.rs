//! The shop as a child process: it says where it listens, then it does what it is told on standard input.
//!
//! One JSON object a line in both directions. It ends when its input ends, so it never outlives its parent,
//! however that died.

use super::ShopError;
use ::shop::{Addresses, Answer, Command, Embedded, EmbeddedConfig, ProviderSettings, StartError};
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a child may take to start, to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many of its last lines on standard error are kept.
const LINES_KEPT: usize = 20;

/// An [`EmbeddedConfig`] as a child gets it. Bounds and times are always the usual ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChildConfig {
    data: PathBuf,
    survives_power_loss: bool,
    provider: ProviderSettings,
    json_log: bool,
    log_filter: String,
    seed: u64,
    port: Option<u16>,
    addresses: Option<Addresses>,
    tap_max: i64,
    planted: Option<contract::Bug>,
}

impl ChildConfig {
    fn of(config: &EmbeddedConfig) -> Self {
        Self {
            data: config.data.clone(),
            survives_power_loss: config.synchronous == Synchronous::Full,
            provider: config.provider.clone(),
            json_log: config.log.format == Format::Json,
            log_filter: config.log.filter.clone(),
            seed: config.seed,
            port: config.port,
            addresses: config.addresses,
            tap_max: config.tap_max,
            planted: config.planted,
        }
    }

    fn embedded(self) -> EmbeddedConfig {
        EmbeddedConfig {
            data: self.data,
            synchronous: if self.survives_power_loss {
                Synchronous::Full
            } else {
                Synchronous::Normal
            },
            provider: self.provider,
            settings: platform::Settings::default(),
            log: LogSettings {
                format: if self.json_log {
                    Format::Json
                } else {
                    Format::Human
                },
                filter: self.log_filter,
                sink: Sink::Stderr,
            },
            seed: self.seed,
            port: self.port,
            addresses: self.addresses,
            tap_max: self.tap_max,
            planted: self.planted,
        }
    }
}

/// Why a child ended before its input did.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// What it was told as it started cannot be read.
    #[error("--child cannot be read: {0}")]
    Config(serde_json::Error),
    /// The shop did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its parent cannot be heard or told anything.
    #[error("the parent is gone: {0}")]
    Parent(#[from] std::io::Error),
}

/// The life of the child: starts the shop, says where it is, and obeys until `input` ends.
///
/// # Errors
/// [`ChildError`]; the parent reads it on standard error.
pub fn live(config: &str, input: impl BufRead, mut output: impl Write) -> Result<(), ChildError> {
    let config: ChildConfig = serde_json::from_str(config).map_err(ChildError::Config)?;
    let mut shop = Embedded::start(&config.embedded())?;
    writeln!(output, "{}", json(&shop.addresses))?;
    output.flush()?;
    for line in input.lines() {
        let answer = match serde_json::from_str::<Command>(&line?) {
            Ok(command) => shop.obey(command),
            Err(error) => Answer::Failed(error.to_string()),
        };
        writeln!(output, "{}", json(&answer))?;
        output.flush()?;
    }
    shop.stop();
    Ok(())
}

/// What we say to each other is always JSON.
fn json(said: &impl Serialize) -> String {
    serde_json::to_string(said).expect("a value without maps that have other keys than text")
}

/// A child of ours, and what it needs to be started again.
pub struct Child {
    program: PathBuf,
    config: ChildConfig,
    addresses: Addresses,
    starts: u64,
    process: Option<Process>,
}

/// One process; killed when dropped.
struct Process {
    process: process::Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    /// Ends with the last lines on standard error, when there are no more.
    errors: Option<JoinHandle<VecDeque<String>>>,
}

impl Child {
    /// Starts `program` as a child and returns when its services are there.
    ///
    /// # Errors
    /// [`ShopError::ChildStart`], with what it said.
    pub fn start(config: &EmbeddedConfig, program: &Path) -> Result<Self, ShopError> {
        let config = ChildConfig::of(config);
        let (process, addresses) = Process::start(program, &config)?;
        Ok(Self {
            program: program.to_owned(),
            config: ChildConfig {
                addresses: Some(addresses),
                ..config
            },
            addresses,
            starts: 1,
            process: Some(process),
        })
    }

    pub(super) const fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.process.id())
    }

    pub(super) fn obey(&mut self, command: &Command) -> Result<Answer, ShopError> {
        let dead = || ShopError::NoAnswer("it was killed".to_owned());
        self.process.as_mut().ok_or_else(dead)?.ask(command)
    }

    pub(super) fn set_provider(&mut self, settings: ProviderSettings) {
        self.config.provider = settings;
    }

    pub(super) fn kill(&mut self) {
        self.process = None;
    }

    pub(super) fn start_again(&mut self) -> Result<(), ShopError> {
        if self.process.is_some() {
            return Err(ShopError::Refused("the shop runs already".to_owned()));
        }
        // With the same seed it would draw the trace ids of the one before it again.
        let config = ChildConfig {
            seed: self.config.seed ^ self.starts.rotate_right(16),
            ..self.config.clone()
        };
        self.process = Some(Process::start(&self.program, &config)?.0);
        self.starts += 1;
        Ok(())
    }

    pub(super) fn stop(self) {
        if let Some(mut process) = self.process {
            process.input = None;
            // What it may still say is of no interest; if it does not end, it is killed when dropped.
            let until = Instant::now() + PATIENCE;
            while process
                .output
                .recv_timeout(until.saturating_duration_since(Instant::now()))
                .is_ok()
            {}
        }
    }
}

impl Process {
    fn start(program: &Path, config: &ChildConfig) -> Result<(Self, Addresses), ShopError> {
        let failed = |why: String| ShopError::ChildStart(why);
        let mut process = process::Command::new(program)
            .args(["serve", "--child", &json(config)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(format!("{}: {error}", program.display())))?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (output, stderr) = (output.expect("a pipe"), process.stderr.take());
        let process = Self {
            process,
            input,
            output: lines(output),
            errors: Some(keep_errors(stderr.expect("a pipe"))),
        };
        let Ok(first) = process.heard() else {
            return Err(failed(process.last_words()));
        };
        let addresses = serde_json::from_str(&first)
            .map_err(|error| failed(format!("it said {first:?}: {error}")))?;
        Ok((process, addresses))
    }

    fn ask(&mut self, command: &Command) -> Result<Answer, ShopError> {
        let gone = |error: &dyn std::fmt::Display| ShopError::NoAnswer(error.to_string());
        let input = self.input.as_mut().expect("open until it is stopped");
        writeln!(input, "{}", json(command)).map_err(|error| gone(&error))?;
        let answer = self.heard().map_err(|error| gone(&error))?;
        serde_json::from_str(&answer).map_err(|error| gone(&error))
    }

    fn heard(&self) -> Result<String, RecvTimeoutError> {
        self.output.recv_timeout(PATIENCE)
    }

    /// Ends it, and tells what it said on standard error.
    fn last_words(mut self) -> String {
        self.kill();
        let said = self.errors.take().and_then(|errors| errors.join().ok());
        let said = said.map(Vec::from).unwrap_or_default();
        if said.is_empty() {
            return format!("nothing was heard of it for {PATIENCE:?}");
        }
        said.join("\n")
    }

    fn kill(&mut self) {
        // It may be dead already, which is what we want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines of `output`, read on a thread of their own; they end when it ends.
fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    heard
}

/// Passes on what a child says on standard error, and keeps the end of it.
fn keep_errors(stderr: impl std::io::Read + Send + 'static) -> JoinHandle<VecDeque<String>> {
    std::thread::spawn(move || {
        let mut kept = VecDeque::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("{line}");
            if kept.len() == LINES_KEPT {
                kept.pop_front();
            }
            kept.push_back(line);
        }
        kept
    })
}
