//! Faults wrap the ports, and nothing else in the code knows of them.
//!
//! Before and after each port call the wrapper waits at its [`Site`]. A crash can only land where code waits,
//! so these are the places where one is made to land; a site may also fail a call, or change what is published.

use crate::broker::{Broker, BrokerError, DeadLetter, Deliveries, Delivery, Depth, Late, Tapped};
use crate::store::{
    Change, Claim, Connections, Edit, Find, Insert, Last, Param, Row, Store, StoreError, Tx,
};
use async_trait::async_trait;
use contract::{Message, MessageId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// On which side of a port call we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Nothing was asked yet.
    Before,
    /// The port has answered, the caller does not know yet.
    After,
}

/// Where a transaction fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doom {
    /// It cannot be begun.
    Begin,
    /// Its first statement fails, and all that come after it.
    Statement,
    /// It cannot be committed, and nothing of it is kept.
    Commit,
    /// It is committed, and its caller is told that nobody knows.
    Unknown,
}

impl Doom {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Begin, Self::Statement, Self::Commit, Self::Unknown];

    fn error(self) -> StoreError {
        let why = "a fault, as asked for".to_owned();
        match self {
            Self::Begin | Self::Statement | Self::Commit => StoreError::Engine(why),
            Self::Unknown => StoreError::Unknown(why),
        }
    }
}

/// Which messages of a batch do not simply go to the broker once and now.
#[derive(Debug, Clone, Default)]
pub struct Disturbed {
    /// These are held back for `pause`, and confirmed only then.
    pub late: Vec<Message>,
    /// How long the late ones are held back.
    pub pause: Duration,
    /// These are published once more, each after its pause, and nobody waits for that.
    pub again: Vec<(Duration, Message)>,
}

/// What happens at the port calls of one service.
#[async_trait]
pub trait Site: Send + Sync + 'static {
    /// Called on both sides of `call`; may wait, or never return because the service is crashed here.
    async fn pass(&self, call: &'static str, side: Side);

    /// Whether nothing can happen here just now. Then calls go straight to the port and do not pass.
    fn is_quiet(&self) -> bool {
        false
    }

    /// Where the transaction that begins now will fail, if it will. Only those that write are asked for: who
    /// watches a service that fails still wants to see it.
    fn doom(&self) -> Option<Doom> {
        None
    }

    /// A transaction has failed as it was to.
    fn failed(&self, _doom: Doom) {}

    /// Which messages of `batch` come late or once more.
    fn disturb(&self, _batch: &[Message]) -> Disturbed {
        Disturbed::default()
    }

    /// So many late messages were published in the end.
    fn published_late(&self, _n: usize) {}

    /// A message was published once more.
    fn published_again(&self) {}

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

    /// Draws how the transaction that begins now will end; an error when it cannot be begun.
    fn draw(&self) -> Result<Option<Doom>, StoreError> {
        match self.site.doom() {
            Some(doom @ Doom::Begin) => {
                self.site.failed(doom);
                Err(doom.error())
            }
            other => Ok(other),
        }
    }

    fn wrap(&self, inner: Box<dyn Tx>, doom: Option<Doom>) -> Box<dyn Tx> {
        Box::new(FaultyTx {
            inner,
            site: Arc::clone(&self.site),
            doom,
            has_failed: AtomicBool::new(false),
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
    fn engine(&self) -> &'static str {
        self.inner.engine()
    }

    fn connections(&self) -> Vec<Connections> {
        self.inner.connections()
    }

    async fn begin(&self) -> Result<Box<dyn Tx>, StoreError> {
        if self.site.is_quiet() {
            return self.inner.begin().await;
        }
        let doom = self.draw()?;
        at!(self.site, "begin", self.inner.begin()).map(|tx| self.wrap(tx, doom))
    }

    async fn read(&self) -> Result<Box<dyn Tx>, StoreError> {
        if self.site.is_quiet() {
            return self.inner.read().await;
        }
        at!(self.site, "read", self.inner.read()).map(|tx| self.wrap(tx, None))
    }

    async fn snapshot(&self) -> Result<Box<dyn Tx>, StoreError> {
        if self.site.is_quiet() {
            return self.inner.snapshot().await;
        }
        at!(self.site, "snapshot", self.inner.snapshot()).map(|tx| self.wrap(tx, None))
    }

    async fn find(&self, find: &Find, key: &str) -> Result<Option<Row>, StoreError> {
        if self.site.is_quiet() {
            return self.inner.find(find, key).await;
        }
        refused(&*self.site)?;
        at!(self.site, "look", self.inner.find(find, key))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Row>, StoreError> {
        if self.site.is_quiet() {
            return self.inner.claim(claim).await;
        }
        match self.draw()? {
            None => at!(self.site, "claim", self.inner.claim(claim)),
            Some(doom) => {
                if doom == Doom::Unknown {
                    at!(self.site, "claim", self.inner.claim(claim))?;
                }
                self.site.failed(doom);
                Err(doom.error())
            }
        }
    }
}

/// An error while statements fail at this site.
fn refused(site: &dyn Site) -> Result<(), StoreError> {
    if site.refuses() {
        return Err(StoreError::Statement("as asked for".to_owned()));
    }
    Ok(())
}

struct FaultyTx {
    inner: Box<dyn Tx>,
    site: Arc<dyn Site>,
    doom: Option<Doom>,
    has_failed: AtomicBool,
}

impl FaultyTx {
    /// Before each statement. What is refused is an error that its step has to answer for, and no outage.
    fn check(&self) -> Result<(), StoreError> {
        refused(&*self.site)?;
        if self.doom != Some(Doom::Statement) {
            return Ok(());
        }
        // The reactions of a batch share the transaction: many statements may fail, but it fails once.
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            self.site.failed(Doom::Statement);
        }
        Err(Doom::Statement.error())
    }
}

#[async_trait]
impl Tx for FaultyTx {
    async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64, StoreError> {
        self.check()?;
        at!(self.site, "execute", self.inner.execute(sql, params))
    }

    async fn execute_many(
        &self,
        sql: &str,
        rows: &[Vec<Param<'_>>],
    ) -> Result<Vec<u64>, StoreError> {
        self.check()?;
        at!(
            self.site,
            "execute_many",
            self.inner.execute_many(sql, rows)
        )
    }

    async fn insert_many(
        &self,
        insert: &Insert,
        rows: &[Vec<Param<'_>>],
    ) -> Result<Vec<bool>, StoreError> {
        self.check()?;
        at!(
            self.site,
            "insert_many",
            self.inner.insert_many(insert, rows)
        )
    }

    async fn update_many(
        &self,
        change: &Change,
        params: &[Param<'_>],
        keys: &[String],
    ) -> Result<u64, StoreError> {
        self.check()?;
        at!(
            self.site,
            "update_many",
            self.inner.update_many(change, params, keys)
        )
    }

    async fn edit(&self, edit: &Edit, given: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        self.check()?;
        at!(self.site, "edit", self.inner.edit(edit, given))
    }

    async fn find(&self, find: &Find, key: &str) -> Result<Option<Row>, StoreError> {
        self.check()?;
        at!(self.site, "find", self.inner.find(find, key))
    }

    async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        self.check()?;
        at!(self.site, "query", self.inner.query(sql, params))
    }

    async fn lock_rows(&self, table: &str, ids: &[String]) -> Result<(), StoreError> {
        self.check()?;
        at!(self.site, "lock_rows", self.inner.lock_rows(table, ids))
    }

    async fn lock_schema(&self) -> Result<(), StoreError> {
        self.inner.lock_schema().await
    }

    async fn tune(&self, statement: &str) -> Result<(), StoreError> {
        self.inner.tune(statement).await
    }

    async fn finish(self: Box<Self>, last: &[Last<'_>]) -> Result<(), StoreError> {
        for last in last {
            last.work(&*self).await?;
        }
        self.commit().await
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self {
            inner, site, doom, ..
        } = *self;
        let doomed = doom.filter(|doom| matches!(doom, Doom::Commit | Doom::Unknown));
        if doomed != Some(Doom::Commit) {
            at!(site, "commit", inner.commit())?;
        }
        doomed.map_or(Ok(()), |doom| {
            site.failed(doom);
            Err(doom.error())
        })
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

impl FaultyBroker {
    /// Publishes `message` again after `pause`. It is on its way through the network by then, which no service
    /// owns, so it is no task of the service.
    #[expect(
        clippy::disallowed_methods,
        reason = "the network is not part of any service"
    )]
    fn publish_again(&self, pause: Duration, message: Message) {
        let (inner, site) = (Arc::clone(&self.inner), Arc::clone(&self.site));
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if inner.publish(&[message]).await.is_ok() {
                site.published_again();
            }
        });
    }

    /// Publishes `messages` after `pause`, and confirms them then.
    fn publish_late(&self, pause: Duration, messages: Vec<Message>) -> Late {
        let (inner, site) = (Arc::clone(&self.inner), Arc::clone(&self.site));
        Late {
            ids: messages.iter().map(|message| message.id).collect(),
            confirmed: Box::pin(async move {
                tokio::time::sleep(pause).await;
                inner.publish(&messages).await?;
                site.published_late(messages.len());
                Ok(())
            }),
        }
    }
}

#[async_trait]
impl Broker for FaultyBroker {
    fn engine(&self) -> &'static str {
        self.inner.engine()
    }

    async fn publish_in_parts(&self, batch: &[Message]) -> Result<Vec<Late>, BrokerError> {
        if self.site.is_quiet() {
            return self.inner.publish_in_parts(batch).await;
        }
        let Disturbed { late, pause, again } = self.site.disturb(batch);
        if late.is_empty() {
            self.publish(batch).await?;
        } else {
            let on_time = batch
                .iter()
                .filter(|message| late.iter().all(|late| late.id != message.id));
            self.publish(&on_time.cloned().collect::<Vec<_>>()).await?;
        }
        for (pause, message) in again {
            self.publish_again(pause, message);
        }
        let late = (!late.is_empty()).then(|| self.publish_late(pause, late));
        Ok(late.into_iter().collect())
    }

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
        let mut batch = if self.site.is_quiet() {
            self.inner.next(max).await?
        } else {
            at!(self.site, "next", self.inner.next(max))?
        };
        self.site.deliver(&mut batch);
        Ok(batch)
    }

    async fn ack(&mut self, up_to: u64) -> Result<(), BrokerError> {
        if self.site.is_quiet() {
            return self.inner.ack(up_to).await;
        }
        at!(self.site, "ack", self.inner.ack(up_to))
    }

    async fn retry(&mut self, tag: u64, pause: Duration, reason: &str) -> Result<(), BrokerError> {
        at!(self.site, "retry", self.inner.retry(tag, pause, reason))
    }

    async fn bury(&mut self, tag: u64, reason: &str) -> Result<(), BrokerError> {
        at!(self.site, "bury", self.inner.bury(tag, reason))
    }
}
