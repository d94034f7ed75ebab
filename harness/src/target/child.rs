//! The shop as a child process: it says where it listens, then it does what it is told on standard input.
//!
//! One JSON object a line in both directions. It ends when its input ends, so it never outlives its parent,
//! however that died.

use super::ShopError;
use super::process::{PATIENCE, Process, json};
use ::shop::{Addresses, Answer, Command, Embedded, EmbeddedConfig, ProviderSettings, StartError};
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::time::Instant;

/// An [`EmbeddedConfig`] as a child gets it. Bounds and times are always the usual ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChildConfig {
    data: PathBuf,
    survives_power_loss: bool,
    provider: ProviderSettings,
    json_log: bool,
    log_filter: String,
    telemetry: Option<platform::telemetry::Settings>,
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
            telemetry: config.telemetry.clone(),
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
            telemetry: self.telemetry,
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

/// A child of ours, and what it needs to be started again.
pub struct Child {
    program: PathBuf,
    config: ChildConfig,
    addresses: Addresses,
    starts: u64,
    process: Option<Process>,
}

impl Child {
    /// Starts `program` as a child and returns when its services are there.
    ///
    /// # Errors
    /// [`ShopError::ChildStart`], with what it said.
    pub fn start(config: &EmbeddedConfig, program: &Path) -> Result<Self, ShopError> {
        let config = ChildConfig::of(config);
        let (process, addresses) = start(program, &config)?;
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
        self.process.as_ref().map(Process::pid)
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
        self.process = Some(start(&self.program, &config)?.0);
        self.starts += 1;
        Ok(())
    }

    pub(super) fn stop(self) {
        if let Some(mut process) = self.process {
            process.close();
            process.wait_closed(Instant::now() + PATIENCE);
        }
    }
}

fn start(program: &Path, config: &ChildConfig) -> Result<(Process, Addresses), ShopError> {
    let mut command = process::Command::new(program);
    let process = Process::spawn(command.args(["serve", "--child", &json(config)]))?;
    let Ok(first) = process.heard(PATIENCE) else {
        return Err(ShopError::ChildStart(process.last_words(PATIENCE)));
    };
    let addresses = serde_json::from_str(&first)
        .map_err(|error| ShopError::ChildStart(format!("it said {first:?}: {error}")))?;
    Ok((process, addresses))
}
