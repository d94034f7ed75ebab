//! The shop under test as the harness sees it: four addresses, a state of rest, and tables to read.

pub mod child;
mod shop;

pub use self::shop::{Place, Shop, ShopError};

use crate::client::{Call, Client, ClientError};
use crate::evidence::{Evidence, Operation, Unreadable};
use crate::progress;
use ::shop::Addresses;
use hyper::StatusCode;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long one request may take before its outcome is unknown; exports included.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the shop may go without settling anything before it is judged as it stands.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// Between two looks at whether anything moves.
const LOOK: Duration = Duration::from_millis(500);

/// A shop that can be asked.
pub struct Target {
    clients: BTreeMap<&'static str, Client>,
}

impl Target {
    /// The shop at these addresses.
    pub fn new(addresses: &Addresses) -> Self {
        let client = |(name, address)| (name, Client::new(address, PATIENCE));
        Self {
            clients: addresses.all().map(client).into(),
        }
    }

    /// A client of one of its services.
    ///
    /// # Panics
    /// When the shop has no service with this name.
    pub fn client(&self, service: &str) -> Client {
        self.clients[service].clone()
    }

    /// Waits until nothing moves: logs published and queues empty twice, half a second apart, and no saga open.
    /// A saga that stays open for long is stuck: that is a finding, not a reason to wait for ever.
    ///
    /// # Errors
    /// When something still moves although nothing has settled for long.
    pub async fn at_rest(&self) -> Result<(), Unreadable> {
        let (mut quiet, mut open, mut since) = (0, None, Instant::now());
        loop {
            let now_open = progress::open_sagas(&self.client("orders")).await;
            if now_open != open {
                (open, since) = (now_open, Instant::now());
            }
            let stuck = since.elapsed() > STUCK_AFTER;
            quiet = if self.is_quiet().await { quiet + 1 } else { 0 };
            if quiet >= 2 && (open == Some(0) || stuck) {
                return Ok(());
            }
            if stuck {
                let why =
                    format!("the shop did not come to rest: nothing settled for {STUCK_AFTER:?}");
                return Err(Unreadable(why));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn is_quiet(&self) -> bool {
        for client in self.clients.values() {
            let Ok((StatusCode::OK, body)) = client.send(Call::get("/api/v1/queues")).await else {
                return false;
            };
            let counts: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            if !nothing_moves(&counts) {
                return false;
            }
        }
        true
    }

    /// Reads all tables. Those of different services can be compared only when nothing is on its way between
    /// them, so without rest there is no evidence.
    pub async fn evidence(
        &self,
        history: Vec<Operation>,
        at_rest: Result<(), Unreadable>,
    ) -> Evidence {
        Evidence::collect(Ok(history), |service, path| {
            let (client, at_rest) = (self.client(service), at_rest.clone());
            async move {
                at_rest.map_err(|Unreadable(why)| why)?;
                export(&client, path)
                    .await
                    .map_err(|error| error.to_string())
            }
        })
        .await
    }
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
            ndjson: true,
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
