//! The shop that a run loads: in this process, or in a child of ours that can be killed.
//!
//! Everything here blocks, some of it for seconds; a runtime that must not wait asks on another thread.

use super::child::Child;
use ::shop::{Addresses, Answer, Command, Embedded, EmbeddedConfig, ProviderSettings, StartError};
use std::path::PathBuf;

/// Where a shop runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this process.
    Here,
    /// In a child.
    Child {
        /// The `crashcart` to start.
        program: PathBuf,
    },
}

/// A shop that runs.
pub enum Shop {
    /// In this process.
    Embedded(Box<Embedded>),
    /// In a child.
    Child(Box<Child>),
}

/// What a shop did not do.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The child did not start; what it said.
    #[error("the shop did not start: {0}")]
    ChildStart(String),
    /// The child does not answer: it is dead, or it is stuck.
    #[error("the shop does not answer: {0}")]
    NoAnswer(String),
    /// It does not do what it was told, and why.
    #[error("{0}")]
    Refused(String),
    /// Only a child can be killed.
    #[error("a shop in this process cannot be killed")]
    NotAChild,
}

impl Shop {
    /// Starts the shop and returns when all services are there.
    ///
    /// # Errors
    /// [`ShopError`], with what would help.
    pub fn start(config: &EmbeddedConfig, place: &Place) -> Result<Self, ShopError> {
        Ok(match place {
            Place::Here => Self::Embedded(Box::new(Embedded::start(config)?)),
            Place::Child { program } => Self::Child(Box::new(Child::start(config, program)?)),
        })
    }

    /// Where the services listen; the same after a restart.
    pub fn addresses(&self) -> Addresses {
        match self {
            Self::Embedded(embedded) => embedded.addresses,
            Self::Child(child) => child.addresses(),
        }
    }

    /// Does what `command` says.
    ///
    /// # Errors
    /// [`ShopError::Refused`] when it cannot be done, [`ShopError::NoAnswer`] when the child is not there.
    pub fn obey(&mut self, command: Command) -> Result<Answer, ShopError> {
        let answer = match self {
            Self::Embedded(embedded) => embedded.obey(command),
            Self::Child(child) => child.obey(&command)?,
        };
        match answer {
            Answer::Failed(why) => Err(ShopError::Refused(why)),
            answer => Ok(answer),
        }
    }

    /// Kills the child with SIGKILL and waits until it is gone. One that is dead already is fine.
    ///
    /// # Errors
    /// When the shop is in this process.
    pub fn kill(&mut self) -> Result<(), ShopError> {
        match self {
            Self::Embedded(_) => Err(ShopError::NotAChild),
            Self::Child(child) => {
                child.kill();
                Ok(())
            }
        }
    }

    /// How the provider of a child behaves from its next start on; in this process it does not start again.
    pub fn set_provider(&mut self, settings: ProviderSettings) {
        if let Self::Child(child) = self {
            child.set_provider(settings);
        }
    }

    /// Starts a child that was killed again: the same data, the same four ports.
    ///
    /// # Errors
    /// When it does not start, or the shop is in this process.
    pub fn start_again(&mut self) -> Result<(), ShopError> {
        match self {
            Self::Embedded(_) => Err(ShopError::NotAChild),
            Self::Child(child) => child.start_again(),
        }
    }

    /// The process in which the shop runs; none while a child is dead.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Embedded(_) => Some(std::process::id()),
            Self::Child(child) => child.pid(),
        }
    }

    /// How much memory that process had in use at most, where the system tells. In this process that is the
    /// harness too.
    pub fn peak_bytes(&self) -> Option<u64> {
        peak_bytes(self.pid()?)
    }

    /// Stops taking requests, answers those in work, publishes what was said, and ends.
    pub fn stop(self) {
        match self {
            Self::Embedded(embedded) => embedded.stop(),
            Self::Child(child) => child.stop(),
        }
    }
}

fn peak_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1_024)
}
