//! What a run costs: the processor time of every process that takes part, by group.

use super::servers::{Servers, host_of};
use crate::target::{Shop, cpu};
use std::collections::BTreeMap;
use std::time::Duration;

/// Processor time so far, by group of processes.
pub(super) type Spent = BTreeMap<&'static str, Duration>;

/// What the processes of a distributed run have taken so far. Servers count when they run here and the system lets us
/// see them; everything that they do counts, also what others ask of them.
pub(super) fn spent(shop: &Shop, servers: Option<&Servers>) -> Spent {
    let Shop::Distributed(distributed) = shop else {
        return Spent::new();
    };
    let replicas = distributed.replicas().iter();
    let mut spent = Spent::from([
        ("services", replicas.map(crate::target::Replica::cpu).sum()),
        ("harness", cpu::of(std::process::id()).unwrap_or_default()),
    ]);
    let urls = servers.map(|servers| {
        [
            ("PostgreSQL", host_of(&servers.postgres, "postgres", 5432)),
            ("RabbitMQ", host_of(&servers.amqp, "amqp", 5672)),
        ]
    });
    for (name, host) in urls.into_iter().flatten() {
        let port = host
            .filter(|(host, _)| matches!(host.as_str(), "127.0.0.1" | "localhost" | "[::1]"))
            .map(|(_, port)| port);
        if let Some(pid) = port.and_then(cpu::listener) {
            spent.insert(name, cpu::of_all_below(pid));
        }
    }
    spent
}

/// What came on top, milliseconds; only of groups that were seen both times.
pub(super) fn since(before: &Spent, after: &Spent) -> BTreeMap<String, u64> {
    let groups = after.iter().filter_map(|(group, after)| {
        let ms = after.saturating_sub(*before.get(group)?).as_millis();
        Some(((*group).to_owned(), u64::try_from(ms).unwrap_or(u64::MAX)))
    });
    groups.collect()
}
