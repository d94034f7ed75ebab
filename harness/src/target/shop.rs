//! The shop that a run loads: in this process, in a child of ours that can be killed, in a child for each replica of
//! each service, or running already, where nobody asks us.
//!
//! Everything here blocks, some of it for seconds; a runtime that must not wait asks on another thread.

use super::child::Child;
use super::{Distributed, Places, Replica};
use crate::faults::{FaultKind, Side};
use ::shop::{Addresses, Answer, Command, Embedded, EmbeddedConfig, ProviderSettings, StartError};
use platform::broker::Routing;
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
    /// In children, a process for each replica of each service, on PostgreSQL and RabbitMQ.
    Distributed(Box<Distribution>),
    /// It runs already.
    Running(Box<RunningShop>),
}

/// How to run the shop in processes of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The `crashcart` to start.
    pub program: PathBuf,
    /// A PostgreSQL server, as somebody who may create databases.
    pub postgres: Option<String>,
    /// A RabbitMQ broker.
    pub amqp: Option<String>,
    /// Replicas of each service but the provider.
    pub replicas: usize,
    /// Which queues get which messages.
    pub routing: Routing,
    /// The most messages of a batch; as many as the service likes if not given.
    pub batch_max: Option<usize>,
}

/// A shop that runs already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningShop {
    /// Where its services listen.
    pub places: Places,
    /// Its broker, to listen on the exchange.
    pub amqp: Option<String>,
    /// What stands before the names on that broker.
    pub prefix: String,
    /// Which queues get which messages: without it the exchange is not found.
    pub routing: Routing,
}

impl Place {
    /// Whether a fault of this kind can be brought about there; if not, what would help.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn suffers(&self, kind: FaultKind) -> Result<(), &'static str> {
        match self {
            Self::Here | Self::Child { .. } if kind.needs_distributed() => Err(
                "only a shop in processes on PostgreSQL and RabbitMQ can suffer it; add --engine distributed",
            ),
            Self::Distributed(distribution) => distribution.suffers(kind),
            Self::Here if kind.needs_child() => {
                Err("only a shop in a child process can be killed; add --child")
            }
            Self::Running(_) if kind.needs_our_processes() => Err(
                "a shop that runs already is not ours to break; only what the workload and the provider bring can happen to a --target",
            ),
            Self::Here | Self::Child { .. } | Self::Running(_) => Ok(()),
        }
    }
}

impl Distribution {
    /// A server that others may use is not ours to stop.
    fn suffers(&self, kind: FaultKind) -> Result<(), &'static str> {
        match kind.needs_own() {
            Some(Side::Database) if self.postgres.is_some() => Err(
                "a PostgreSQL that others may use is not ours to break; leave --postgres out, and the run starts one of its own",
            ),
            Some(Side::Broker) if self.amqp.is_some() => Err(
                "a RabbitMQ that others may use is not ours to break; leave --amqp out, and the run starts one of its own",
            ),
            _ => Ok(()),
        }
    }
}

/// A shop that runs.
pub enum Shop {
    /// In this process.
    Embedded(Box<Embedded>),
    /// In a child.
    Child(Box<Child>),
    /// In a child for each replica of each service.
    Distributed(Box<Distributed>),
    /// In processes that are not ours.
    Elsewhere(Places),
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
    /// A service of a distributed shop did not start; its last words.
    #[error("{service} did not start: {said}")]
    ServiceStart {
        /// Which, with the number of the replica.
        service: String,
        /// What it said.
        said: String,
    },
    /// Nobody waits for the start any more.
    #[error("the start was given up")]
    GivenUp,
    /// The child does not answer: it is dead, or it is stuck.
    #[error("the shop does not answer: {0}")]
    NoAnswer(String),
    /// It does not do what it was told, and why.
    #[error("{0}")]
    Refused(String),
    /// Only a child can be killed.
    #[error("a shop in this process cannot be killed")]
    NotAChild,
    /// Only a replica of many can stand still while the others go on.
    #[error("only a replica of a distributed shop can stand still")]
    NotDistributed,
    /// Somebody else started it.
    #[error("a shop that runs already is not ours to break, start or stop")]
    NotOurs,
}

impl Shop {
    /// Starts a shop in this process or in a child, and returns when all services are there.
    ///
    /// # Errors
    /// [`ShopError`], with what would help; [`ShopError::NotOurs`] for the other places, where there is more to do.
    pub fn start(config: &EmbeddedConfig, place: &Place) -> Result<Self, ShopError> {
        Ok(match place {
            Place::Here => Self::Embedded(Box::new(Embedded::start(config)?)),
            Place::Child { program } => Self::Child(Box::new(Child::start(config, program)?)),
            Place::Distributed(_) | Place::Running(_) => return Err(ShopError::NotOurs),
        })
    }

    /// Where the services listen, the first replica of each; the same after a restart.
    pub fn addresses(&self) -> Addresses {
        match self {
            Self::Embedded(embedded) => embedded.addresses,
            Self::Child(child) => child.addresses(),
            Self::Distributed(distributed) => distributed.places().first(),
            Self::Elsewhere(places) => places.first(),
        }
    }

    /// Where all replicas of all services listen; the same after a restart.
    pub fn places(&self) -> Places {
        match self {
            Self::Embedded(_) | Self::Child(_) => Places::from(&self.addresses()),
            Self::Distributed(distributed) => distributed.places(),
            Self::Elsewhere(places) => places.clone(),
        }
    }

    /// Does what `command` says.
    ///
    /// # Errors
    /// [`ShopError::Refused`] when it cannot be done, [`ShopError::NoAnswer`] when a child is not there.
    pub fn obey(&mut self, command: Command) -> Result<Answer, ShopError> {
        let answer = match self {
            Self::Embedded(embedded) => embedded.obey(command),
            Self::Child(child) => child.obey(&command)?,
            Self::Distributed(distributed) => distributed.obey(command)?,
            Self::Elsewhere(_) => return Err(ShopError::NotOurs),
        };
        match answer {
            Answer::Failed(why) => Err(ShopError::Refused(why)),
            answer => Ok(answer),
        }
    }

    /// Kills the child, or all services, with SIGKILL and waits until they are gone. Those that are dead already are
    /// fine.
    ///
    /// # Errors
    /// When the shop is in this process, or not ours.
    pub fn kill(&mut self) -> Result<(), ShopError> {
        match self {
            Self::Embedded(_) => return Err(ShopError::NotAChild),
            Self::Elsewhere(_) => return Err(ShopError::NotOurs),
            Self::Child(child) => child.kill(),
            Self::Distributed(distributed) => distributed.kill(),
        }
        Ok(())
    }

    /// How the provider of a child behaves from its next start on; elsewhere it does not start again.
    pub fn set_provider(&mut self, settings: ProviderSettings) {
        if let Self::Child(child) = self {
            child.set_provider(settings);
        }
    }

    /// Starts what was killed again: the same data, the same ports.
    ///
    /// # Errors
    /// When it does not start, or the shop is in this process, or not ours.
    pub fn start_again(&mut self) -> Result<(), ShopError> {
        match self {
            Self::Embedded(_) => Err(ShopError::NotAChild),
            Self::Elsewhere(_) => Err(ShopError::NotOurs),
            Self::Child(child) => child.start_again(),
            Self::Distributed(distributed) => distributed.start_again(),
        }
    }

    /// Makes one replica of a service stand still, each time the next one.
    ///
    /// # Errors
    /// When the shop is not in processes of its own.
    pub fn pause(&mut self, service: &str) -> Result<(), ShopError> {
        match self {
            Self::Embedded(_) | Self::Child(_) => Err(ShopError::NotDistributed),
            Self::Elsewhere(_) => Err(ShopError::NotOurs),
            Self::Distributed(distributed) => {
                distributed.next_of(service)?.pause();
                Ok(())
            }
        }
    }

    /// Lets everything go on that stands still.
    ///
    /// # Errors
    /// Never; it is one of the things that a shop can be told.
    pub fn resume(&mut self) -> Result<(), ShopError> {
        if let Self::Distributed(distributed) = self {
            distributed.replicas().iter().for_each(Replica::resume);
        }
        Ok(())
    }

    /// How many of its processes stand still, as the system says.
    pub fn standing_still(&self) -> u64 {
        let still = self.pids().into_iter().filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
            state.is_some_and(|state| state.starts_with('T'))
        });
        still.count() as u64
    }

    /// The process in which the shop runs, the first service of a distributed one; none while it is dead, or when
    /// it is not ours.
    pub fn pid(&self) -> Option<u32> {
        self.pids().into_iter().next()
    }

    /// The processes in which the shop runs, as far as they live and are ours; without the provider, if that has
    /// one of its own.
    pub fn pids(&self) -> Vec<u32> {
        match self {
            Self::Embedded(_) => vec![std::process::id()],
            Self::Child(child) => child.pid().into_iter().collect(),
            Self::Elsewhere(_) => Vec::new(),
            Self::Distributed(distributed) => {
                let replicas = distributed.replicas().iter();
                let inside = replicas.filter(|replica| replica.service != "provider");
                inside.filter_map(Replica::pid).collect()
            }
        }
    }

    /// How much memory these processes had in use at most, where the system tells. In this process that is the
    /// harness too.
    pub fn peak_bytes(&self) -> Option<u64> {
        let each = self.pids().into_iter().filter_map(peak_bytes);
        Some(each.sum::<u64>()).filter(|sum| *sum > 0)
    }

    /// Stops taking requests, answers those in work, publishes what was said, and ends. What is not ours goes on.
    pub fn stop(self) {
        match self {
            Self::Embedded(embedded) => embedded.stop(),
            Self::Child(child) => child.stop(),
            Self::Distributed(distributed) => distributed.stop(),
            Self::Elsewhere(_) => {}
        }
    }
}

fn peak_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line?.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1_024)
}
