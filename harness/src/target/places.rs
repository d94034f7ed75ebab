//! Where a shop can be reached: the services by name, and the addresses of all replicas of each.

use crate::client::Client;
use ::shop::Addresses;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The services that every shop has, in the order of their ports.
pub const SERVICES: [&str; 4] = ["orders", "products", "payments", "provider"];

/// Where the services of a shop listen: the replicas of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<&'static str, Vec<SocketAddr>>);

impl Places {
    /// Adds a replica of a service. False: a shop has no such service.
    pub fn add(&mut self, service: &str, address: SocketAddr) -> bool {
        let known = SERVICES.into_iter().find(|known| *known == service);
        if let Some(service) = known {
            self.0.entry(service).or_default().push(address);
        }
        known.is_some()
    }

    /// The replicas of a service; none if it has none.
    pub fn of(&self, service: &str) -> &[SocketAddr] {
        self.0.get(service).map_or(&[], Vec::as_slice)
    }

    /// The services without a replica.
    pub fn missing(&self) -> Vec<&'static str> {
        let services = SERVICES.into_iter();
        services.filter(|name| self.of(name).is_empty()).collect()
    }

    /// The first replica of each service.
    ///
    /// # Panics
    /// When a service is missing.
    pub fn first(&self) -> Addresses {
        let first = |service| *self.of(service).first().expect("a replica of each service");
        Addresses {
            orders: first("orders"),
            products: first("products"),
            payments: first("payments"),
            provider: first("provider"),
        }
    }

    /// Clients of all replicas, by service.
    pub(crate) fn clients(&self, patience: Duration) -> BTreeMap<&'static str, Clients> {
        let clients = self.0.iter().map(|(service, addresses)| {
            let clients = addresses.iter();
            let clients = clients.map(|address| Client::new(*address, patience));
            (*service, Clients::new(clients.collect()))
        });
        clients.collect()
    }
}

impl From<&Addresses> for Places {
    fn from(addresses: &Addresses) -> Self {
        let one = |(service, address)| (service, vec![address]);
        Self(addresses.all().map(one).into())
    }
}

impl From<&Self> for Places {
    fn from(places: &Self) -> Self {
        places.clone()
    }
}

/// Clients of all replicas of one service. Cheap to clone.
#[derive(Clone)]
pub struct Clients {
    clients: Arc<[Client]>,
    turn: Arc<AtomicUsize>,
}

impl Clients {
    /// # Panics
    /// Without a client.
    fn new(clients: Vec<Client>) -> Self {
        assert!(!clients.is_empty(), "a service has a replica");
        Self {
            clients: clients.into(),
            turn: Arc::default(),
        }
    }

    /// The first replica: what must go to one goes there.
    pub fn first(&self) -> &Client {
        &self.clients[0]
    }

    /// The replica whose turn it is.
    pub fn next(&self) -> &Client {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.clients[turn % self.clients.len()]
    }

    /// All of them.
    pub fn all(&self) -> &[Client] {
        &self.clients
    }

    /// Clients of the same replicas that share no connection with these.
    #[must_use]
    pub fn with_own_connections(&self) -> Self {
        let clients = self.clients.iter().map(Client::with_own_connections);
        Self::new(clients.collect())
    }
}

impl From<Client> for Clients {
    fn from(client: Client) -> Self {
        Self::new(vec![client])
    }
}
