//! RabbitMQ: one durable exchange, a quorum queue for each service, confirms in windows.
//!
//! A connection for publishing and one for consuming are made when they are first needed. Whatever goes wrong on
//! one ends it with everything in flight on it; the next who needs it makes it again, topology included. What was
//! unacked comes back by itself, and what was unconfirmed is still in the event logs.

pub mod admin;
mod arrivals;
mod dead;
mod deliveries;
mod envelope;
mod link;
mod publisher;
mod tap;
mod topology;
mod waiting;

pub use tap::RabbitTap;

use super::{Broker, BrokerError, DeadLetter, Deliveries, Depth, Result, Tapped};
use arrivals::Subscriptions;
use async_trait::async_trait;
use contract::{EventType, Message, MessageId};
use link::Line;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Which queues the exchange puts a message into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Routing {
    /// Every queue gets every message; a service skips what it does not want.
    #[default]
    Fanout,
    /// A queue gets what its service hears.
    Topic,
}

/// A service's queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// The service's name.
    pub service: &'static str,
    /// What it hears; what else comes is not for it.
    pub hears: Vec<EventType>,
}

/// How to reach the broker, and what to call things there.
#[derive(Debug, Clone)]
pub struct RabbitSettings {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…`.
    pub url: String,
    /// What the server calls us in its list of connections.
    pub application: String,
    /// Stands before the name of the exchange and of each queue, so that several shops can share a broker.
    pub prefix: String,
    /// Which queues get what.
    pub routing: Routing,
    /// The queues of all services: whoever starts first declares all of them, so that no message is lost on those
    /// who start later.
    pub queues: Vec<Queue>,
    /// Messages that may be with this process unacked.
    pub prefetch: u16,
    /// How long the server may take to answer.
    pub timeout: Duration,
    /// Certificates to trust besides the system's, as a PEM file.
    pub ca: Option<PathBuf>,
}

impl RabbitSettings {
    /// The usual settings for the broker at `url`.
    pub fn new(url: impl Into<String>, application: impl Into<String>, queues: Vec<Queue>) -> Self {
        Self {
            url: url.into(),
            application: application.into(),
            prefix: String::new(),
            routing: Routing::default(),
            queues,
            prefetch: 256,
            timeout: Duration::from_secs(5),
            ca: None,
        }
    }
}

/// A RabbitMQ broker. Connects when it is first needed, and again whenever a connection was lost. Cheap to clone.
#[derive(Clone)]
pub struct Rabbit(Arc<Inner>);

struct Inner {
    settings: Arc<RabbitSettings>,
    publishing: Line,
    consuming: Line,
    subscriptions: Subscriptions,
    /// One look at dead letters at a time: two would each see a part of them.
    dead: tokio::sync::Mutex<()>,
}

impl Rabbit {
    /// A broker that nobody has connected to yet.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] when the URL or the file of certificates cannot be read; it says what is wrong.
    pub fn new(settings: RabbitSettings) -> Result<Self> {
        let settings = Arc::new(settings);
        let address = link::Address::new(&settings)?;
        Ok(Self(Arc::new(Inner {
            publishing: Line::new(&settings, address.clone(), "publish"),
            consuming: Line::new(&settings, address, "consume"),
            settings,
            subscriptions: Subscriptions::default(),
            dead: tokio::sync::Mutex::default(),
        })))
    }

    /// The name of `service`'s queue, if it has one.
    fn queue(&self, service: &str) -> Result<String> {
        let Inner { settings, .. } = &*self.0;
        if settings.queues.iter().any(|queue| queue.service == service) {
            Ok(topology::queue(settings, service))
        } else {
            Err(BrokerError::NoQueue(service.to_owned()))
        }
    }
}

#[async_trait]
impl Broker for Rabbit {
    fn engine(&self) -> &'static str {
        "rabbitmq"
    }

    async fn publish(&self, batch: &[Message]) -> Result<()> {
        let link = self.0.publishing.link().await?;
        let outcome = publisher::publish(&link, &self.0.settings, batch).await;
        self.0.publishing.judge(&link, outcome)
    }

    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Deliveries>> {
        let name = self.queue(queue)?;
        let link = self.0.consuming.link().await?;
        let outcome = deliveries::subscribe(self, &link, queue, &name).await;
        Ok(Box::new(self.0.consuming.judge(&link, outcome)?))
    }

    async fn depth(&self, queue: &str) -> Result<Depth> {
        let name = self.queue(queue)?;
        let link = self.0.consuming.link().await?;
        // Along the way of a message, with our own before and after: one that moves may be counted twice, but never
        // not at all.
        let retry = topology::retry(&self.0.settings, queue);
        let held = |name: &str| self.0.subscriptions.unacked(name);
        let (out, put_off) = (held(&name), held(&retry));
        let outcome = topology::depth(&link, &self.0.settings, queue).await;
        let (ready, retrying, dead) = self.0.consuming.judge(&link, outcome)?;
        let (put_off, out) = (held(&retry).max(put_off), held(&name).max(out));
        Ok(Depth {
            ready,
            unacked: out,
            retrying: retrying + put_off,
            dead,
        })
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<MessageId>,
        n: usize,
    ) -> Result<Vec<DeadLetter>> {
        self.queue(queue)?;
        dead::list(&self.0, queue, after, n).await
    }

    async fn replay(&self, queue: &str, id: MessageId) -> Result<bool> {
        self.queue(queue)?;
        dead::replay(&self.0, queue, id).await
    }

    async fn discard(&self, queue: &str, id: MessageId) -> Result<bool> {
        self.queue(queue)?;
        dead::discard(&self.0, queue, id).await
    }

    async fn tap(&self, _after: i64, _n: usize) -> Result<Vec<Tapped>> {
        Err(BrokerError::NotOffered("a tap that can be read twice"))
    }
}
