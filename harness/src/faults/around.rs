//! What stands around a distributed shop and can be broken: its engines, and the network on the way to them.

use super::{Planned, Side};
use crate::engines::{EngineError, PrivatePostgres, PrivateRabbit};
use crate::proxy::{Counts, Network, Proxy};
use platform::Endpoint;
use platform::store::postgres::admin;
use std::collections::BTreeMap;

/// What stands around a shop. Everything here blocks.
#[derive(Default)]
pub struct Around {
    /// The database server, when it is one of our own.
    pub postgres: Option<PrivatePostgres>,
    /// The broker, when it is one of our own.
    pub rabbit: Option<PrivateRabbit>,
    /// The database server's address, as somebody who may do everything.
    pub postgres_url: String,
    /// Stands before the names of all databases of the shop.
    pub prefix: String,
    proxies: BTreeMap<(String, Side), Proxy>,
}

impl Around {
    /// Puts a proxy on each way that one of these faults will break; all other ways stay as they are.
    ///
    /// # Errors
    /// When there is no port for one, or nobody knows where the engine is.
    pub fn stand_between(
        &mut self,
        planned: &[Planned],
        url: impl Fn(&str, Side) -> Option<String>,
    ) -> Result<(), String> {
        for fault in planned {
            let (Some(service), Some(side)) = (&fault.service, fault.side) else {
                continue;
            };
            let way = (service.clone(), side);
            if self.proxies.contains_key(&way) {
                continue;
            }
            let url = url(service, side).ok_or_else(|| format!("{service} has no {side}"))?;
            let unknown = || format!("nobody knows where {side} is");
            let endpoint = Endpoint::of(&url).ok_or_else(unknown)?;
            let to = endpoint.address().map_err(|_| unknown())?;
            let proxy = Proxy::start(to).map_err(|error| format!("a proxy: {error}"))?;
            self.proxies.insert(way, proxy);
        }
        Ok(())
    }

    /// The URL by which a service reaches an engine: through the proxy, where there is one.
    pub fn url(&self, service: &str, side: Side, direct: &str) -> String {
        let proxy = self.proxies.get(&(service.to_owned(), side));
        match (proxy, Endpoint::of(direct)) {
            (Some(proxy), Some(endpoint)) => endpoint.by_way_of(proxy.address()),
            _ => direct.to_owned(),
        }
    }

    /// What the proxy between the two did so far.
    pub(super) fn counts(&self, service: &str, side: Side) -> Counts {
        let proxy = self.proxies.get(&(service.to_owned(), side));
        proxy.map(Proxy::counts).unwrap_or_default()
    }

    pub(super) fn set(&self, service: &str, side: Side, network: Network) -> Result<(), String> {
        let proxy = self.proxies.get(&(service.to_owned(), side));
        let proxy = proxy.ok_or_else(|| format!("nothing stands between {service} and {side}"))?;
        proxy.set(network).map_err(|error| error.to_string())
    }

    /// Has an engine close the connections of the shop; how many there were.
    pub(super) fn close(&self, side: Side) -> Result<u64, String> {
        match side {
            Side::Broker => self
                .rabbit()?
                .close_connections()
                .map_err(|error| error.to_string()),
            Side::Database => {
                let ended = admin::terminate_backends(&self.postgres_url, &self.prefix);
                wait_for(ended)?.map_err(|error| error.to_string())
            }
        }
    }

    /// Stops an engine: PostgreSQL as in a crash, the broker in order, because one that is killed soon after a queue
    /// was declared forgets the queue.
    pub(super) fn stop(&mut self, side: Side) -> Result<(), String> {
        match side {
            Side::Database => match &mut self.postgres {
                Some(postgres) => postgres.stop_immediate(),
                None => return Err(not_ours(side)),
            },
            Side::Broker => match &mut self.rabbit {
                Some(rabbit) => rabbit.stop(),
                None => return Err(not_ours(side)),
            },
        }
        Ok(())
    }

    /// Starts an engine that was stopped.
    pub(super) fn start(&mut self, side: Side) -> Result<(), String> {
        let started = match side {
            Side::Database => self
                .postgres
                .as_mut()
                .map_or(Ok(()), PrivatePostgres::start_again),
            Side::Broker => self
                .rabbit
                .as_mut()
                .map_or(Ok(()), PrivateRabbit::start_again),
        };
        started.map_err(|error: EngineError| error.to_string())
    }

    /// Ends whatever was begun and not ended.
    ///
    /// # Errors
    /// When an engine does not start again.
    pub fn restore(&mut self) -> Result<(), String> {
        for proxy in self.proxies.values() {
            proxy.heal().map_err(|error| error.to_string())?;
        }
        self.start(Side::Database)?;
        self.start(Side::Broker)
    }

    /// The server's processes that serve a service, or all services of the shop.
    pub(super) fn sessions(&self, service: Option<&str>) -> Vec<i64> {
        let prefix = format!("{}{}", self.prefix, service.unwrap_or_default());
        let asked = admin::sessions(&self.postgres_url, &prefix);
        // A server that is down serves nobody.
        wait_for(asked)
            .and_then(|said| said.map_err(|error| error.to_string()))
            .unwrap_or_default()
    }

    fn rabbit(&self) -> Result<&PrivateRabbit, String> {
        self.rabbit.as_ref().ok_or_else(|| not_ours(Side::Broker))
    }
}

fn not_ours(side: Side) -> String {
    format!("{side} is not ours to break")
}

/// The result of `work`, on a thread that may be blocked.
fn wait_for<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    Ok(runtime.map_err(|error| error.to_string())?.block_on(work))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::FaultKind;
    use std::time::Duration;

    #[test]
    fn only_the_way_that_will_be_broken_leads_through_a_proxy() {
        let fault = Planned {
            id: "network-cut-1".to_owned(),
            kind: FaultKind::NetworkCut,
            service: Some("orders".to_owned()),
            side: Some(Side::Broker),
            at: Duration::ZERO,
            lasts: Duration::ZERO,
        };
        let direct = "amqp://guest:guest@127.0.0.1/%2f?x=1";
        let mut around = Around::default();
        let url = |_: &str, _| Some(direct.to_owned());
        around.stand_between(&[fault], url).unwrap();
        let proxied = around.url("orders", Side::Broker, direct);
        let (host, port) = proxied.rsplit_once(':').unwrap();
        assert_eq!(host, "amqp://guest:guest@127.0.0.1");
        assert!(port.ends_with("/%2f?x=1"), "{proxied}");
        assert_eq!(around.url("orders", Side::Database, direct), direct);
        assert_eq!(around.url("payments", Side::Broker, direct), direct);
    }
}
