//! Faults wrap the ports, and nothing else in the code knows of them.
//!
//! Before and after each port call the wrapper waits at its [`Site`]. A crash can only land where code waits,
//! so these are the places where one is made to land; a site may also fail a call, or change what is published.

use crate::broker::{Broker, BrokerError, DeadLetter, Deliveries, Delivery, Depth, Tapped};
use crate::store::{Claim, Param, Row, Store, StoreError, Tx};
use async_trait::async_trait;
use contract::{Message, MessageId};
use std::sync::Arc;
use std::time::Duration;

/// On which side of a port call we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Nothing was asked yet.
    Before,
    /// The port has answered, the caller does not know yet.
    After,
}

/// What happens at the port calls of one service.
#[async_trait]
pub trait Site: Send + Sync + 'static {
    /// Called on both sides of `call`; may wait, or never return because the service is crashed here.
    async fn pass(&self, call: &'static str, side: Side);

    /// Whether the database cannot be had just now.
    fn outage(&self) -> bool {
        false
    }

    /// The batches to publish instead of `batch`, each after its pause.
    fn publishes(&self, batch: &[Message]) -> Vec<(Duration, Vec<Message>)> {
        vec![(Duration::ZERO, batch.to_vec())]
    }

    /// Whether statements fail just now.
    fn refuses(&self) -> bool {
        false
    }

    /// Changes a batch that was delivered: its order, or what is in it.
    fn deliver(&self, _batch: &mut Vec<Delivery>) {}
}

/// A store whose calls pass a site.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    site: Arc<dyn Site>,
}

impl FaultyStore {
    /// `inner` behind `site`.
    pub fn new(inner: Arc<dyn Store>, site: Arc<dyn Site>) -> Self {
        Self { inner, site }
    }

    fn wrap(&self, inner: Box<dyn Tx>) -> Box<dyn Tx> {
        Box::new(FaultyTx {
            inner,
            site: Arc::clone(&self.site),
        })
    }
}

/// Passes `$site` on both sides of `$call`.
macro_rules! at {
    ($site:expr, $name:literal, $call:expr) => {{
        $site.pass($name, Side::Before).await;
        let answer = $call.await;
        $site.pass($name, Side::After).await;
        answer
    }};
}

#[async_trait]
impl Store for FaultyStore {
    async fn begin(&self) -> Result<Box<dyn Tx>, StoreError> {
        if self.site.outage() {
            return Err(StoreError::Engine("an outage, as asked for".to_owned()));
        }
        at!(self.site, "begin", self.inner.begin()).map(|tx| self.wrap(tx))
    }

    async fn read(&self) -> Result<Box<dyn Tx>, StoreError> {
        at!(self.site, "read", self.inner.read()).map(|tx| self.wrap(tx))
    }

    async fn snapshot(&self) -> Result<Box<dyn Tx>, StoreError> {
        at!(self.site, "snapshot", self.inner.snapshot()).map(|tx| self.wrap(tx))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Row>, StoreError> {
        at!(self.site, "claim", self.inner.claim(claim))
    }
}

struct FaultyTx {
    inner: Box<dyn Tx>,
    site: Arc<dyn Site>,
}

impl FaultyTx {
    /// An error while statements fail. It is one that its step has to answer for: no outage.
    fn refused(&self) -> Result<(), StoreError> {
        if self.site.refuses() {
            return Err(StoreError::Statement("as asked for".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Tx for FaultyTx {
    async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        self.refused()?;
        at!(self.site, "execute", self.inner.execute(sql, params))
    }

    async fn execute_many(
        &self,
        sql: &str,
        rows: &[Vec<Param<'_>>],
    ) -> Result<Vec<u64>, StoreError> {
        self.refused()?;
        at!(
            self.site,
            "execute_many",
            self.inner.execute_many(sql, rows)
        )
    }

    async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        self.refused()?;
        at!(self.site, "query", self.inner.query(sql, params))
    }

    async fn lock_rows(&self, table: &str, ids: &[String]) -> Result<(), StoreError> {
        at!(self.site, "lock_rows", self.inner.lock_rows(table, ids))
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { inner, site } = *self;
        at!(site, "commit", inner.commit())
    }
}

/// A broker whose calls pass a site.
pub struct FaultyBroker {
    inner: Arc<dyn Broker>,
    site: Arc<dyn Site>,
}

impl FaultyBroker {
    /// `inner` behind `site`.
    pub fn new(inner: Arc<dyn Broker>, site: Arc<dyn Site>) -> Self {
        Self { inner, site }
    }
}

#[async_trait]
impl Broker for FaultyBroker {
    async fn publish(&self, batch: &[Message]) -> Result<(), BrokerError> {
        self.site.pass("publish", Side::Before).await;
        for (pause, part) in self.site.publishes(batch) {
            tokio::time::sleep(pause).await;
            self.inner.publish(&part).await?;
        }
        self.site.pass("publish", Side::After).await;
        Ok(())
    }

    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Deliveries>, BrokerError> {
        let inner = at!(self.site, "subscribe", self.inner.subscribe(queue))?;
        Ok(Box::new(FaultyDeliveries {
            inner,
            site: Arc::clone(&self.site),
        }))
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        self.inner.depth(queue).await
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<MessageId>,
        n: usize,
    ) -> Result<Vec<DeadLetter>, BrokerError> {
        self.inner.dead_letters(queue, after, n).await
    }

    async fn replay(&self, queue: &str, id: MessageId) -> Result<bool, BrokerError> {
        at!(self.site, "replay", self.inner.replay(queue, id))
    }

    async fn discard(&self, queue: &str, id: MessageId) -> Result<bool, BrokerError> {
        at!(self.site, "discard", self.inner.discard(queue, id))
    }

    async fn tap(&self, after: i64, n: usize) -> Result<Vec<Tapped>, BrokerError> {
        self.inner.tap(after, n).await
    }
}

struct FaultyDeliveries {
    inner: Box<dyn Deliveries>,
    site: Arc<dyn Site>,
}

#[async_trait]
impl Deliveries for FaultyDeliveries {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>, BrokerError> {
        let mut batch = at!(self.site, "next", self.inner.next(max))?;
        self.site.deliver(&mut batch);
        Ok(batch)
    }

    async fn ack(&mut self, up_to: u64) -> Result<(), BrokerError> {
        at!(self.site, "ack", self.inner.ack(up_to))
    }

    async fn retry(&mut self, tag: u64, pause: Duration, reason: &str) -> Result<(), BrokerError> {
        at!(self.site, "retry", self.inner.retry(tag, pause, reason))
    }

    async fn bury(&mut self, tag: u64, reason: &str) -> Result<(), BrokerError> {
        at!(self.site, "bury", self.inner.bury(tag, reason))
    }
}
