//! The broker port: one fanout exchange, one durable queue per service, at least once.
//!
//! No order is promised beyond cause before effect, and every message may come more than once.

mod embedded;
mod letter;
mod nowhere;
pub mod rabbit;

pub use embedded::{Embedded, EmbeddedSettings};
pub use letter::{DeadBody, DeadLetter};
pub use nowhere::Nowhere;
pub use rabbit::{Queue, Rabbit, RabbitSettings, RabbitTap, Routing};

use crate::BoxFuture;
use async_trait::async_trait;
use contract::{Message, MessageId};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// What a broker did not do. After a failed publish the messages may or may not be on the exchange.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BrokerError {
    /// The broker cannot be reached, or was lost on the way.
    #[error("the broker is not there: {0}")]
    Unavailable(String),
    /// A message cannot be carried.
    #[error("the broker refused a message: {0}")]
    Refused(String),
    /// There is no such queue.
    #[error("there is no queue {0:?}")]
    NoQueue(String),
    /// This broker cannot do that.
    #[error("this broker does not offer {0}")]
    NotOffered(&'static str),
}

/// The result of asking a broker.
pub type Result<T, E = BrokerError> = std::result::Result<T, E>;

/// The exchange and its queues.
#[async_trait]
pub trait Broker: Send + Sync {
    /// What it is: `embedded`, `rabbitmq`, or `none`.
    fn engine(&self) -> &'static str;

    /// Puts `batch` on the exchange; returns when all of it is safe in every queue.
    async fn publish(&self, batch: &[Message]) -> Result<()>;

    /// Like [`Broker::publish`], but what the broker holds back is confirmed later, each part on its own. What
    /// is not in one of the parts is safe when this returns.
    async fn publish_in_parts(&self, batch: &[Message]) -> Result<Vec<Late>> {
        self.publish(batch).await.map(|()| Vec::new())
    }

    /// Consumes `queue`. Dropping the deliveries returns what was not acked.
    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Deliveries>>;

    /// How full `queue` is.
    async fn depth(&self, queue: &str) -> Result<Depth>;

    /// Up to `n` messages that were given up, those after `after` first.
    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<MessageId>,
        n: usize,
    ) -> Result<Vec<DeadLetter>>;

    /// Returns a given up message to `queue`, with all its chances. False: there is none with this id.
    async fn replay(&self, queue: &str, id: MessageId) -> Result<bool>;

    /// Removes a given up message for good. False: there is none with this id.
    async fn discard(&self, queue: &str, id: MessageId) -> Result<bool>;

    /// Up to `n` of the messages that were on the exchange after `after`, in the order of the exchange.
    async fn tap(&self, after: i64, n: usize) -> Result<Vec<Tapped>>;
}

/// Messages that the broker has not confirmed yet.
pub struct Late {
    /// Which.
    pub ids: Vec<MessageId>,
    /// Ends when they are safe in every queue. Dropped before, they may never get there.
    pub confirmed: BoxFuture<'static, Result<()>>,
}

/// Deliveries of one queue to one consumer.
#[async_trait]
pub trait Deliveries: Send {
    /// Waits for messages and takes up to `max` of them.
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>>;

    /// Done with everything up to and with `up_to` that was not put aside.
    async fn ack(&mut self, up_to: u64) -> Result<()>;

    /// Delivers this message again to this queue only, not before `pause` has passed.
    async fn retry(&mut self, tag: u64, pause: Duration, reason: &str) -> Result<()>;

    /// Moves this message to the queue's dead queue.
    async fn bury(&mut self, tag: u64, reason: &str) -> Result<()>;
}

/// A message handed to a consumer.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Ascending within one subscription.
    pub tag: u64,
    /// The message.
    pub message: Arc<Message>,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How often it was put off.
    pub attempts: u32,
}

/// How full a queue is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Depth {
    /// Waiting for a consumer.
    pub ready: usize,
    /// With a consumer.
    pub unacked: usize,
    /// Put off until later.
    pub retrying: usize,
    /// Given up.
    pub dead: usize,
}

/// A message as the tap saw it.
#[derive(Debug, Clone)]
pub struct Tapped {
    /// Its place on the exchange.
    pub seq: i64,
    /// CloudEvents JSON.
    pub json: String,
}
