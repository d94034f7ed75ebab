//! The kinds of faults, one row each.

use crate::proxy::Network;
use serde::{Deserialize, Serialize};
use shop::{FaultSettings, ProviderSettings};
use std::time::Duration;

/// The longest window of a fault.
const WINDOW: Duration = Duration::from_secs(2);
/// A server that was stopped in order is down for so long, besides what its own end and start take.
const OUT: Duration = Duration::from_secs(1);
/// A service that crashed is down for so long at most.
const DOWN: Duration = Duration::from_millis(500);

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Orders under one dollar: their payment fails. The workload brings them.
    UnderMinimum,
    /// Payments that the provider declines. The workload brings them.
    Declines,
    /// Orders of more than there is. The workload brings them.
    OutOfStock,
    /// Charges whose request or answer is lost.
    ProviderTimeouts,
    /// A provider that takes ten times as long or more.
    ProviderSlow,
    /// Messages published twice.
    Duplicates,
    /// Messages published later than those that follow.
    Delays,
    /// Batches delivered in another order.
    Reorder,
    /// Transactions that fail, with nothing kept or with an unknown outcome.
    StoreErrors,
    /// Transactions that wait before they begin.
    StoreSlow,
    /// One service dies where it stands, and starts again.
    Crash,
    /// The process of the shop is killed with SIGKILL, and starts again. Only where it is a child.
    Kill,
    /// One replica of a service is killed with SIGKILL, and starts again.
    KillReplica,
    /// One replica of a service stands still (SIGSTOP), and goes on.
    PauseReplica,
    /// The broker closes all connections.
    BrokerConnections,
    /// The broker is stopped, and started again.
    BrokerRestart,
    /// PostgreSQL ends the connections of all services.
    DatabaseBackends,
    /// PostgreSQL stops as in a crash, and starts again.
    DatabaseRestart,
    /// The connections between a service and an engine break, and new ones are refused.
    NetworkCut,
    /// What a service and an engine say to each other arrives later.
    NetworkDelay,
    /// Few bytes a second pass between a service and an engine.
    NetworkThrottle,
    /// Nothing passes between a service and an engine, and neither is told.
    NetworkHalfOpen,
}

/// One of the two engines of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Its database.
    Database,
    /// The broker.
    Broker,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Database => "PostgreSQL",
            Self::Broker => "RabbitMQ",
        })
    }
}

/// What is done to bring a fault about.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Nothing: the workload does.
    Workload,
    /// The provider behaves otherwise for a while.
    Provider(fn(&mut ProviderSettings)),
    /// The ports of a service fail for a while.
    Ports(FaultSettings),
    /// A service crashes, and is started again after a while.
    Crash,
    /// The process is killed, and started again at once.
    Kill,
    /// A replica stands still for a while.
    Pause,
    /// An engine closes connections.
    Close(Side),
    /// An engine is stopped, and started again after a while.
    Stop(Side),
    /// The network between a service and an engine is like this for a while.
    Network(Network),
}

impl FaultKind {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 22] = [
        Self::UnderMinimum,
        Self::Declines,
        Self::OutOfStock,
        Self::ProviderTimeouts,
        Self::ProviderSlow,
        Self::Duplicates,
        Self::Delays,
        Self::Reorder,
        Self::StoreErrors,
        Self::StoreSlow,
        Self::Crash,
        Self::Kill,
        Self::KillReplica,
        Self::PauseReplica,
        Self::BrokerConnections,
        Self::BrokerRestart,
        Self::DatabaseBackends,
        Self::DatabaseRestart,
        Self::NetworkCut,
        Self::NetworkDelay,
        Self::NetworkThrottle,
        Self::NetworkHalfOpen,
    ];

    /// Its name in flags, files and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnderMinimum => "under-minimum",
            Self::Declines => "declines",
            Self::OutOfStock => "out-of-stock",
            Self::ProviderTimeouts => "provider-timeouts",
            Self::ProviderSlow => "provider-slow",
            Self::Duplicates => "duplicates",
            Self::Delays => "delays",
            Self::Reorder => "reorder",
            Self::StoreErrors => "store-errors",
            Self::StoreSlow => "store-slow",
            Self::Crash => "crash",
            Self::Kill => "kill",
            Self::KillReplica => "kill-replica",
            Self::PauseReplica => "pause-replica",
            Self::BrokerConnections => "broker-connections",
            Self::BrokerRestart => "broker-restart",
            Self::DatabaseBackends => "database-backends",
            Self::DatabaseRestart => "database-restart",
            Self::NetworkCut => "network-cut",
            Self::NetworkDelay => "network-delay",
            Self::NetworkThrottle => "network-throttle",
            Self::NetworkHalfOpen => "network-half-open",
        }
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether a process dies of it, or one service in it.
    pub const fn kills(self) -> bool {
        matches!(self, Self::Crash | Self::Kill | Self::KillReplica)
    }

    /// Whether it happens for a while. The others are in the workload, from its beginning to its end.
    pub fn has_window(self) -> bool {
        !matches!(self.act(), Act::Workload)
    }

    /// Whether it happens at one of the services.
    pub fn is_at_a_service(self) -> bool {
        !self.needs_distributed() && matches!(self.act(), Act::Ports(_) | Act::Crash)
    }

    /// Whether only a shop in processes on PostgreSQL and RabbitMQ can suffer it.
    pub const fn needs_distributed(self) -> bool {
        !matches!(
            self,
            Self::UnderMinimum
                | Self::Declines
                | Self::OutOfStock
                | Self::ProviderTimeouts
                | Self::ProviderSlow
                | Self::Duplicates
                | Self::Delays
                | Self::Reorder
                | Self::StoreErrors
                | Self::StoreSlow
                | Self::Crash
                | Self::Kill
        )
    }

    /// The engine that must be one of our own, because what is done to it would harm whoever else uses it.
    pub fn needs_own(self) -> Option<Side> {
        match self.act() {
            Act::Stop(side) => Some(side),
            Act::Close(Side::Broker) => Some(Side::Broker),
            _ => None,
        }
    }

    /// Whether it is over as soon as it has happened, so that it cannot last.
    pub fn is_over_at_once(self) -> bool {
        matches!(self.act(), Act::Close(_))
    }

    /// Whether it takes so long that it happens only when it is asked for by name.
    pub const fn is_long(self) -> bool {
        matches!(self, Self::BrokerRestart)
    }

    /// Whether it lies on the way between a service and one of its engines.
    pub fn is_on_the_way(self) -> bool {
        matches!(self.act(), Act::Network(_))
    }

    /// Whether only a shop in a child can suffer it.
    pub const fn needs_child(self) -> bool {
        matches!(self, Self::Kill)
    }

    /// Whether it is done to processes that must be ours; the others come from the workload and the provider.
    pub fn needs_our_processes(self) -> bool {
        !matches!(self.act(), Act::Workload | Act::Provider(_))
    }

    /// Whether only the evidence of the whole run can tell that it happened.
    pub const fn is_seen_in_evidence(self) -> bool {
        matches!(
            self,
            Self::UnderMinimum
                | Self::Declines
                | Self::OutOfStock
                | Self::ProviderTimeouts
                | Self::Duplicates
        )
    }

    /// The longest that it may last.
    pub(super) const fn longest(self) -> Duration {
        match self {
            Self::Kill | Self::BrokerConnections | Self::DatabaseBackends => Duration::ZERO,
            Self::Crash | Self::KillReplica | Self::DatabaseRestart => DOWN,
            Self::BrokerRestart => OUT,
            _ => WINDOW,
        }
    }

    /// What brings it about.
    pub(super) fn act(self) -> Act {
        match self {
            Self::UnderMinimum | Self::Declines | Self::OutOfStock => Act::Workload,
            Self::ProviderTimeouts => Act::Provider(|provider| {
                provider.lost_request_rate = 0.1;
                provider.lost_answer_rate = 0.2;
            }),
            Self::ProviderSlow => Act::Provider(|provider| {
                provider.latency_ms_p50 = 200.0;
                provider.latency_ms_p99 = 800.0;
            }),
            Self::Duplicates => Act::Ports(FaultSettings {
                duplicate_rate: 0.3,
                ..FaultSettings::default()
            }),
            Self::Delays => Act::Ports(FaultSettings {
                delay_rate: 0.3,
                delay_ms: 300,
                ..FaultSettings::default()
            }),
            Self::Reorder => Act::Ports(FaultSettings {
                reorder: true,
                ..FaultSettings::default()
            }),
            Self::StoreErrors => Act::Ports(FaultSettings {
                store_error_rate: 0.2,
                ..FaultSettings::default()
            }),
            Self::StoreSlow => Act::Ports(FaultSettings {
                store_slow_ms: 40,
                ..FaultSettings::default()
            }),
            Self::Crash | Self::KillReplica => Act::Crash,
            Self::Kill => Act::Kill,
            Self::PauseReplica => Act::Pause,
            Self::BrokerConnections => Act::Close(Side::Broker),
            Self::BrokerRestart => Act::Stop(Side::Broker),
            Self::DatabaseBackends => Act::Close(Side::Database),
            Self::DatabaseRestart => Act::Stop(Side::Database),
            Self::NetworkCut => Act::Network(Network::Cut),
            Self::NetworkDelay => Act::Network(Network::Delay(Duration::from_millis(100))),
            Self::NetworkThrottle => Act::Network(Network::Throttle(20_000)),
            Self::NetworkHalfOpen => Act::Network(Network::HalfOpen),
        }
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
