//! What can be seen of a fault from elsewhere: a service's own metrics, a process id, what the ports counted.

use super::{FaultKind, Planned, Side};
use crate::client::{Call, Client};
use crate::now_us;
use crate::proxy::Counts;
use crate::target::{Clients, Metrics, Places};
use hyper::StatusCode;
use shop::{Fired, State};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one question may take: a service that is down must not hold up the next look.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(20);
/// How long recovery is waited for.
const RECOVERY_MAX: Duration = Duration::from_secs(30);
/// A shop in which no saga has been open for so long has nothing left to recover from.
const IDLE: Duration = Duration::from_secs(1);

/// The services as somebody sees them who only looks.
#[derive(Clone)]
pub(super) struct Watch(BTreeMap<&'static str, Clients>);

/// What there was to see at one moment.
pub(super) struct Sight {
    pid: Option<u32>,
    /// Processes of the shop that stand still, as the system says.
    still: u64,
    states: BTreeMap<String, State>,
    metrics: Option<Metrics>,
    around: Surroundings,
}

/// What there was to see beside the services.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// What the proxy on the way counted.
    pub(super) counts: Counts,
    /// The database server's processes that serve the shop, as that server says.
    pub(super) sessions: Vec<i64>,
}

impl Watch {
    pub(super) fn new(places: &Places) -> Self {
        Self(places.clients(PATIENCE))
    }

    /// The first replica of a service.
    pub(super) fn client(&self, service: &str) -> Option<&Client> {
        self.0.get(service).map(Clients::first)
    }

    /// What there is to see of a fault, now.
    pub(super) async fn look(
        &self,
        fault: &Planned,
        (pid, still, states): (Option<u32>, u64, BTreeMap<String, State>),
        around: Surroundings,
    ) -> Sight {
        let metrics = self.ask(&tellers(fault)).await;
        Sight {
            pid,
            still,
            states,
            metrics,
            around,
        }
    }

    /// The same before the fault. Somebody who still recovers from the one before it is asked again: without what he
    /// counted until now, nothing that he counts later tells of this one.
    pub(super) async fn look_first<L: Future<Output = Sight>>(
        fault: &Planned,
        look: impl Fn() -> L,
    ) -> Sight {
        let began = Instant::now();
        loop {
            let sight = look().await;
            let is_whole = sight.metrics.is_some() || tellers(fault).is_empty();
            if is_whole || began.elapsed() > PATIENCE {
                return sight;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The metrics of some services together; none when one of them does not answer.
    async fn ask(&self, services: &[&str]) -> Option<Metrics> {
        let mut all = None::<Metrics>;
        for service in services {
            let metrics = Metrics::read_all(self.0.get(service)?).await?;
            all = Some(match all {
                Some(all) => all.and(metrics),
                None => metrics,
            });
        }
        all
    }

    /// Waits until every service is ready and an order has been settled since, or none is left to be settled.
    /// Returns when that was; none when it took too long.
    pub(super) async fn recovered(&self) -> Option<i64> {
        let began = Instant::now();
        let (mut base, mut idle) = (None::<u64>, None);
        while began.elapsed() < RECOVERY_MAX {
            let now_us = now_us();
            let orders = Metrics::read_all(self.0.get("orders")?).await;
            let settled = orders.as_ref().map(|orders| total(orders, SETTLED));
            // A service that starts again counts from the beginning.
            base = [base, settled].into_iter().flatten().min();
            if self.all_ready().await {
                if settled > base {
                    return Some(now_us);
                }
                let open = orders.as_ref().map(|orders| orders.most(OPEN).unwrap_or(0));
                let (since, since_us) = *idle.get_or_insert((Instant::now(), now_us));
                if open != Some(0) {
                    idle = None;
                } else if since.elapsed() >= IDLE {
                    return Some(since_us);
                }
            } else {
                idle = None;
            }
            tokio::time::sleep(LOOK).await;
        }
        None
    }

    async fn all_ready(&self) -> bool {
        for client in self.0.values().flat_map(Clients::all) {
            let answer = client.send(Call::get("/ready")).await;
            if !matches!(answer, Ok((StatusCode::OK, _))) {
                return false;
            }
        }
        true
    }
}

/// The services whose metrics tell of a fault.
fn tellers(fault: &Planned) -> Vec<&str> {
    match fault.kind {
        // Nobody answers for one that stands still, and the system tells of it.
        FaultKind::PauseReplica => Vec::new(),
        // Orders feel it when the provider is slow; the provider itself does not.
        FaultKind::ProviderSlow => vec!["orders"],
        FaultKind::BrokerConnections | FaultKind::BrokerRestart => {
            vec!["orders", "products", "payments"]
        }
        _ => fault.service.as_deref().into_iter().collect(),
    }
}

const OPEN: &str = "crashcart_sagas_in_flight";
const SETTLED: &str = "crashcart_sagas_settled_total";
const BEGUN_AT: &str = "crashcart_start_time_seconds";

/// The sum of all series of a metric; nothing counted yet is zero.
fn total(metrics: &Metrics, name: &str) -> u64 {
    metrics.sum(name).unwrap_or(0)
}

/// How often a fault happened, how often it was seen, and what was seen.
pub(super) struct Seen {
    pub(super) fired: u64,
    pub(super) observed: u64,
    pub(super) how: String,
}

/// What has changed between two looks at a fault; it is `known` how often some happened when they began.
pub(super) fn compare(fault: &Planned, known: u64, (before, after): (&Sight, &Sight)) -> Seen {
    let service = fault.service.as_deref();
    let state = |sight: &Sight| sight.states.get(service.unwrap_or_default()).copied();
    let (old, new) = (state(before), state(after));
    let ports = |count: fn(&Fired) -> u64| {
        let count = |state: Option<State>| state.map_or(0, |state| count(&state.fired));
        count(new).saturating_sub(count(old))
    };
    let told = |count| told((before, after), count);
    match fault.kind {
        FaultKind::UnderMinimum
        | FaultKind::Declines
        | FaultKind::OutOfStock
        | FaultKind::ProviderTimeouts => seen(1, 0, "in the evidence".to_owned()),
        FaultKind::Duplicates => seen(ports(|f| f.duplicated), 0, "in the evidence".to_owned()),
        FaultKind::Delays => {
            let n = ports(|fired| fired.delayed);
            seen(n, n, format!("{n} messages were published late"))
        }
        FaultKind::Reorder => {
            let n = ports(|fired| fired.reordered);
            seen(n, n, format!("{n} batches were delivered in another order"))
        }
        FaultKind::StoreErrors => {
            let n = told(|metrics| total(metrics, "crashcart_store_errors_total"));
            let fired = ports(|fired| fired.store_failed + fired.store_unknown);
            seen(fired, n, format!("{n} failed transactions in its metrics"))
        }
        FaultKind::StoreSlow => {
            let n = told(|metrics| metrics.above("crashcart_store_begin_seconds", "0.025"));
            let fired = ports(|fired| fired.store_slowed);
            seen(
                fired,
                n,
                format!("{n} transactions waited for more than 25 ms"),
            )
        }
        FaultKind::ProviderSlow => {
            let n = told(|metrics| metrics.above("crashcart_saga_duration_seconds", "0.1"));
            seen(1, n, format!("{n} sagas took more than 100 ms"))
        }
        FaultKind::Crash | FaultKind::KillReplica => {
            let incarnation = |state: Option<State>| state.map_or(0, |state| state.incarnation);
            let begun = |sight: &Sight| sight.metrics.as_ref()?.micros(BEGUN_AT);
            let anew = begun(before).zip(begun(after)).is_some_and(|(a, b)| a < b);
            let (old, new) = (incarnation(old), incarnation(new));
            let how = format!("incarnation {old} → {new}");
            seen(new.saturating_sub(old), u64::from(anew), how)
        }
        FaultKind::Kill => {
            let name = |pid: Option<u32>| pid.map_or("none".to_owned(), |pid| pid.to_string());
            let is_another = before.pid.is_some() && after.pid.is_some() && before.pid != after.pid;
            let how = format!("pid {} → {}", name(before.pid), name(after.pid));
            seen(1, u64::from(is_another), how)
        }
        FaultKind::PauseReplica
        | FaultKind::BrokerConnections
        | FaultKind::BrokerRestart
        | FaultKind::DatabaseBackends
        | FaultKind::DatabaseRestart => of_engines(fault.kind, known, (before, after)),
        FaultKind::NetworkCut
        | FaultKind::NetworkDelay
        | FaultKind::NetworkThrottle
        | FaultKind::NetworkHalfOpen => on_the_way(fault, (before, after)),
    }
}

fn seen(fired: u64, observed: u64, how: String) -> Seen {
    Seen {
        fired,
        observed,
        how,
    }
}

/// What became of processes and engines that were stopped or lost connections, which happened `fired` times.
fn of_engines(kind: FaultKind, fired: u64, (before, after): (&Sight, &Sight)) -> Seen {
    match kind {
        FaultKind::PauseReplica => {
            let n = after.still;
            let what = if n == 1 { "process" } else { "processes" };
            seen(fired, n, format!("{n} {what} stood still"))
        }
        FaultKind::DatabaseBackends | FaultKind::DatabaseRestart => {
            let n = new_sessions((before, after));
            let how = format!("services connected to PostgreSQL {n} times anew");
            seen(fired, n, how)
        }
        _ => {
            let n = told((before, after), broker_errors);
            seen(fired, n, format!("services lost the broker {n} times"))
        }
    }
}

/// What has changed in the metrics of the services.
fn told((before, after): (&Sight, &Sight), count: fn(&Metrics) -> u64) -> u64 {
    match (&before.metrics, &after.metrics) {
        (Some(before), Some(after)) => count(after).saturating_sub(count(before)),
        // Who does not answer tells nothing.
        _ => 0,
    }
}

fn broker_errors(metrics: &Metrics) -> u64 {
    total(metrics, "crashcart_broker_errors_total")
}

/// Connections to the database that were not there before.
fn new_sessions((before, after): (&Sight, &Sight)) -> u64 {
    let old = &before.around.sessions;
    let sessions = after.around.sessions.iter();
    sessions.filter(|pid| !old.contains(pid)).count() as u64
}

/// What took a service longer than a bound, in seconds: messages, and requests that change something. While clients
/// hang nothing new is said, so a service can be cut off without a single late message.
fn late(metrics: &Metrics, bound: &str) -> u64 {
    metrics.above("crashcart_message_lag_seconds", bound) + metrics.changes_above(bound)
}

/// What has changed since the network between a service and an engine broke: what the proxy did, and what others saw.
fn on_the_way(fault: &Planned, sights: (&Sight, &Sight)) -> Seen {
    let (was, is) = (sights.0.around.counts, sights.1.around.counts);
    let (fired, observed, what) = match (fault.kind, fault.side) {
        (FaultKind::NetworkCut, Some(Side::Database)) => {
            (is.cut - was.cut, new_sessions(sights), "new connections")
        }
        (FaultKind::NetworkCut, _) => {
            let lost = told(sights, broker_errors);
            (is.cut - was.cut, lost, "times without the broker")
        }
        (FaultKind::NetworkHalfOpen, _) => {
            let late = told(sights, |metrics| late(metrics, "0.5"));
            let silenced = is.silenced - was.silenced;
            (silenced, late, "messages and requests later than 500 ms")
        }
        _ => {
            let late = told(sights, |metrics| late(metrics, "0.1"));
            let held = is.bytes_held - was.bytes_held;
            (held, late, "messages and requests later than 100 ms")
        }
    };
    let side = fault.side.map_or(String::new(), |side| side.to_string());
    Seen {
        fired,
        observed,
        how: format!("on the way to {side}: {observed} {what}"),
    }
}
