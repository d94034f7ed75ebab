//! The broker of a service that says nothing and hears nothing.

use super::{Broker, BrokerError, DeadLetter, Deliveries, Depth, Result, Tapped};
use async_trait::async_trait;
use contract::{Message, MessageId};

/// No exchange and no queue, which is all that some services need.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nowhere;

fn no_queue<T>(queue: &str) -> Result<T> {
    Err(BrokerError::NoQueue(queue.to_owned()))
}

#[async_trait]
impl Broker for Nowhere {
    fn engine(&self) -> &'static str {
        "none"
    }

    async fn publish(&self, _batch: &[Message]) -> Result<()> {
        Err(BrokerError::NotOffered("an exchange"))
    }

    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Deliveries>> {
        no_queue(queue)
    }

    async fn depth(&self, queue: &str) -> Result<Depth> {
        no_queue(queue)
    }

    async fn dead_letters(
        &self,
        queue: &str,
        _after: Option<MessageId>,
        _n: usize,
    ) -> Result<Vec<DeadLetter>> {
        no_queue(queue)
    }

    async fn replay(&self, queue: &str, _id: MessageId) -> Result<bool> {
        no_queue(queue)
    }

    async fn discard(&self, queue: &str, _id: MessageId) -> Result<bool> {
        no_queue(queue)
    }

    async fn tap(&self, _after: i64, _n: usize) -> Result<Vec<Tapped>> {
        Err(BrokerError::NotOffered("a tap that can be read twice"))
    }
}
