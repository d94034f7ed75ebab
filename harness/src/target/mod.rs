//! The shop under test as the harness sees it: the addresses of its services, a state of rest, and tables to read.

pub mod child;
pub mod cpu;
mod distributed;
mod metrics;
mod places;
mod process;
mod shop;

pub use self::distributed::{
    Distributed, DistributedConfig, EngineUrls, Replica, STARTS_WITHIN, Traces,
};
pub use self::metrics::Metrics;
pub use self::places::{Clients, Places, SERVICES};
pub use self::shop::{Distribution, Place, RunningShop, Shop, ShopError};

use crate::client::{Call, Client, ClientError, NDJSON};
use crate::evidence::{Evidence, Reader, collect};
use crate::history::Operation;
use crate::plan::Plan;
use hyper::StatusCode;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one request may take before its outcome is unknown; exports included.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the shop may stand still before it is judged as it stands.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// How long it may go on without coming to rest.
const REST_MAX: Duration = Duration::from_secs(180);
/// How long a service may take to say whether it is ready.
const READY: Duration = Duration::from_secs(3);
/// Between two looks at whether anything moves.
const LOOK: Duration = Duration::from_millis(500);

/// A shop that can be asked.
pub struct Target {
    clients: BTreeMap<&'static str, Clients>,
}

impl Target {
    /// The shop at these places.
    pub fn new(places: impl Into<Places>) -> Self {
        Self {
            clients: places.into().clients(PATIENCE),
        }
    }

    /// A client of the first replica of one of its services.
    ///
    /// # Panics
    /// When the shop has no service with this name.
    pub fn client(&self, service: &str) -> Client {
        self.clients[service].first().clone()
    }

    /// Clients of all replicas of one of its services.
    ///
    /// # Panics
    /// When the shop has no service with this name.
    pub fn clients(&self, service: &str) -> &Clients {
        &self.clients[service]
    }

    /// Waits until nothing moves: logs published and queues empty twice, half a second apart, and no saga open.
    /// What stays as it is for long is stuck: that is a finding, not a reason to wait for ever.
    ///
    /// # Errors
    /// When something still moves after the longest time.
    pub async fn at_rest(&self) -> Result<(), String> {
        let began = Instant::now();
        let (mut quiet, mut last, mut since) = (0, None, Instant::now());
        loop {
            let now = self.moving().await;
            quiet = if now == Some(Moving::default()) {
                quiet + 1
            } else {
                0
            };
            if quiet >= 2 {
                return Ok(());
            }
            if now != last {
                (last, since) = (now, Instant::now());
            }
            let stands_still = since.elapsed() > STUCK_AFTER;
            match last {
                Some(_) if stands_still => return Ok(()),
                None if stands_still => {
                    return Err(format!("the shop did not answer for {STUCK_AFTER:?}"));
                }
                _ if began.elapsed() > REST_MAX => {
                    return Err(format!("the shop did not come to rest within {REST_MAX:?}"));
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Reads everything that the shop tells into memory, beside what the clients did.
    pub async fn evidence(&self, plan: Plan, history: Vec<Operation>) -> Evidence {
        let read = |service, path: String| {
            let client = self.client(service);
            async move {
                export(&client, &path)
                    .await
                    .map_err(|error| error.to_string())
            }
        };
        collect(Reader::default(), plan, history, read).await
    }

    /// The first replica that is not ready, and what it says; none when all are.
    pub async fn not_ready(&self) -> Option<String> {
        for (service, replicas) in &self.clients {
            for client in replicas.all() {
                let asked = client.send(Call::get("/ready"));
                let said = match tokio::time::timeout(READY, asked).await {
                    Ok(Ok((StatusCode::OK, _))) => continue,
                    Ok(Ok((status, body))) => {
                        format!("{status} {}", String::from_utf8_lossy(&body))
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("no answer within {READY:?}"),
                };
                return Some(format!("{service} at {}: {said}", client.address()));
            }
        }
        None
    }

    /// How full the queue of a service is, over all its replicas: what waits is the same for all of them, what is
    /// with a consumer each counts for itself. What is put off is with consumers too, as long as they can hold it;
    /// more than that is counted by each, so there may be less than is said, but never more.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn queues(&self, service: &str) -> Result<String, String> {
        let mut all = serde_json::Map::new();
        for client in self.clients[service].all() {
            let text = export(client, "/api/v1/queues").await;
            let text = text.map_err(|error| error.to_string())?;
            let counts: serde_json::Map<_, _> =
                serde_json::from_str(&text).map_err(|error| error.to_string())?;
            for (name, value) in counts {
                let so_far = all.get(&name).and_then(serde_json::Value::as_u64);
                let merged = match (so_far, value.as_u64()) {
                    (Some(a), Some(b)) if ["unacked", "retrying"].contains(&name.as_str()) => {
                        (a + b).into()
                    }
                    (Some(a), Some(b)) => a.max(b).into(),
                    _ => value,
                };
                all.insert(name, merged);
            }
        }
        Ok(serde_json::Value::Object(all).to_string())
    }

    /// What still has to move; none when somebody does not answer.
    async fn moving(&self) -> Option<Moving> {
        let orders = Metrics::read_all(self.clients.get("orders")?).await?;
        let mut moving = Moving {
            open: orders.most("crashcart_sagas_in_flight")?,
            ..Moving::default()
        };
        for (service, replicas) in &self.clients {
            for client in replicas.all() {
                let asked = client.send(Call::get("/api/v1/queues")).await;
                let Ok((StatusCode::OK, body)) = asked else {
                    return None;
                };
                let counts: serde_json::Value = serde_json::from_slice(&body).ok()?;
                if !nothing_moves(&counts) {
                    moving.queues.push((service, counts.to_string()));
                }
            }
        }
        Some(moving)
    }
}

/// What still has to move.
#[derive(Debug, Default, PartialEq)]
struct Moving {
    open: u64,
    queues: Vec<(&'static str, String)>,
}

/// Whether the answer of `/api/v1/queues` says that nothing waits, is out, is put off, or is unpublished.
pub fn nothing_moves(queues: &serde_json::Value) -> bool {
    let moving = ["ready", "unacked", "retrying", "unpublished"];
    moving.iter().all(|count| queues[count] == 0)
}

/// Everything at `path` as NDJSON.
///
/// # Errors
/// [`ClientError::Unknown`] for every answer but 200.
pub async fn export(client: &Client, path: &str) -> Result<String, ClientError> {
    match client
        .send(Call {
            accept: Some(NDJSON),
            ..Call::get(path)
        })
        .await?
    {
        (StatusCode::OK, body) => {
            String::from_utf8(body.into()).map_err(|error| ClientError::Unknown(error.to_string()))
        }
        (status, _) => Err(ClientError::Unknown(format!("{path}: {status}"))),
    }
}
