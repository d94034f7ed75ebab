//! What a run costs: the processor time of every process that takes part, by group.

use super::servers::Servers;
use crate::engines::{PrivatePostgres, PrivateRabbit};
use crate::faults::Around;
use crate::target::{Shop, cpu};
use platform::Endpoint;
use std::collections::BTreeMap;
use std::time::Duration;

/// Processor time so far, by group of processes.
pub(super) type Spent = BTreeMap<&'static str, Duration>;

/// What the processes of a distributed run have taken so far. Servers of our own count over all their starts, others
/// when they run here and the system lets us see them; everything that they do counts, also what others ask of them.
pub(super) fn spent(shop: &Shop, around: &Around, servers: Option<&Servers>) -> Spent {
    let Shop::Distributed(distributed) = shop else {
        return Spent::new();
    };
    let replicas = distributed.replicas().iter();
    let mut spent = Spent::from([
        ("services", replicas.map(crate::target::Replica::cpu).sum()),
        ("harness", cpu::of(std::process::id()).unwrap_or_default()),
    ]);
    let postgres = around.postgres.as_ref().map(PrivatePostgres::cpu);
    let rabbit = around.rabbit.as_ref().map(PrivateRabbit::cpu);
    let other = |url: fn(&Servers) -> &str| of_listener(url(servers?));
    let groups = [
        ("PostgreSQL", postgres.or_else(|| other(|of| &of.postgres))),
        ("RabbitMQ", rabbit.or_else(|| other(|of| &of.amqp))),
    ];
    let seen = groups
        .into_iter()
        .filter_map(|(group, took)| Some((group, took?)));
    spent.extend(seen);
    spent
}

/// What a server that runs on this machine has taken so far.
fn of_listener(url: &str) -> Option<Duration> {
    let endpoint = Endpoint::of(url).filter(Endpoint::is_here)?;
    Some(cpu::of_all_below(cpu::listener(endpoint.port())?))
}

/// What came on top, milliseconds; only of groups that were seen both times.
pub(super) fn since(before: &Spent, after: &Spent) -> BTreeMap<String, u64> {
    let groups = after.iter().filter_map(|(group, after)| {
        let ms = after.saturating_sub(*before.get(group)?).as_millis();
        Some(((*group).to_owned(), u64::try_from(ms).unwrap_or(u64::MAX)))
    });
    groups.collect()
}
