//! The names that a run uses on servers which are not its own: databases, and a prefix on the broker. All of them are
//! taken away at the end, however that comes.

use super::servers::Servers;
use crate::target::{EngineUrls, SERVICES};
use platform::broker::Routing;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long taking everything away may take.
const GIVES_BACK_WITHIN: Duration = Duration::from_secs(60);

/// The names of a run. Dropped, it takes them away and says what it could not.
pub(super) struct Lease {
    servers: Servers,
    prefix: String,
    routing: Routing,
    databases: Vec<String>,
}

impl Lease {
    /// Nothing yet, under the name of a run: letters, digits and hyphens.
    pub(super) fn new(servers: Servers, run: &str, routing: Routing) -> Self {
        Self {
            servers,
            prefix: format!("crashcart_{}_", run.replace('-', "_")),
            routing,
            databases: Vec::new(),
        }
    }

    /// What stands before every name of the run.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Makes a database for each service; returns where each finds its engines.
    pub(super) async fn take(&mut self) -> Result<BTreeMap<&'static str, EngineUrls>, String> {
        // There is nothing to delete: it shows whether the broker can be used, before anything is made anywhere.
        self.servers.delete_all(&self.prefix, self.routing).await?;
        let mut engines = BTreeMap::new();
        for service in SERVICES {
            let name = format!("{}{service}", self.prefix);
            let created = self.servers.create_database(&name).await;
            if created.is_err() {
                // Nobody may have heard that it was made all the same. Should this fail too, it says no more.
                let _ = self.servers.drop_database(&name).await;
            }
            let url = created?;
            self.databases.push(name);
            let urls = EngineUrls {
                postgres: url,
                amqp: self.servers.amqp.clone(),
            };
            engines.insert(service, urls);
        }
        Ok(engines)
    }

    /// Its names need not be taken away: they go with the servers.
    pub(super) fn forget(&mut self) {
        self.databases.clear();
    }

    async fn give_back(
        servers: Servers,
        (prefix, routing): (String, Routing),
        databases: Vec<String>,
    ) -> Vec<String> {
        let mut left = Vec::new();
        if let Err(why) = servers.delete_all(&prefix, routing).await {
            left.push(format!(
                "queues and exchange with the prefix {prefix}: {why}"
            ));
        }
        for name in databases {
            if let Err(why) = servers.drop_database(&name).await {
                left.push(format!("database {name}: {why}"));
            }
        }
        left
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let databases = std::mem::take(&mut self.databases);
        if databases.is_empty() {
            return;
        }
        let (servers, names) = (self.servers.clone(), (self.prefix.clone(), self.routing));
        let giving = Self::give_back(servers, names, databases.clone());
        // On a thread of its own: whoever drops us may stand in a runtime.
        let given = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let timed = tokio::time::timeout(GIVES_BACK_WITHIN, giving).await;
                timed.map_err(std::io::Error::from)
            })
        });
        let left = match given.join() {
            Ok(Ok(left)) => left,
            Ok(Err(error)) => vec![format!(
                "{} and {}…: {error}",
                databases.join(", "),
                self.prefix
            )],
            Err(_) => vec![format!("{} and {}…", databases.join(", "), self.prefix)],
        };
        for what in left {
            eprintln!("crashcart: could not be removed: {what}");
        }
    }
}
