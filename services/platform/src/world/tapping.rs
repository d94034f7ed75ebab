//! RabbitMQ with a tap that can be read twice, as the embedded broker has one.
//!
//! A task takes what the tap sees into memory. What was confirmed to somebody of this world is waited for, so that
//! whoever reads the tap after a confirm finds the message in it.

use crate::broker::{
    Broker, BrokerError, DeadLetter, Deliveries, Depth, Rabbit, RabbitSettings, RabbitTap, Tapped,
};
use crate::lock::lock;
use async_trait::async_trait;
use contract::{Message, MessageId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Messages taken from the tap in one go.
const TAKEN_MAX: usize = 1_024;
/// How long the tap may be behind the confirms.
const BEHIND_MAX: Duration = Duration::from_secs(20);

pub(super) struct Tapping {
    settings: RabbitSettings,
    rabbit: Rabbit,
    /// How often each message was confirmed.
    confirmed: Mutex<BTreeMap<MessageId, usize>>,
    seen: Arc<watch::Sender<Seen>>,
    taking: Mutex<Option<JoinHandle<()>>>,
    is_closed: AtomicBool,
}

/// What the tap has seen, in its order.
#[derive(Default)]
struct Seen {
    tapped: Vec<Tapped>,
    times: BTreeMap<MessageId, usize>,
}

impl Tapping {
    pub(super) fn new(settings: RabbitSettings) -> Self {
        let rabbit = Rabbit::new(settings.clone()).expect("a URL of RabbitMQ");
        Self {
            settings,
            rabbit,
            confirmed: Mutex::default(),
            seen: Arc::new(watch::Sender::new(Seen::default())),
            taking: Mutex::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Opens the tap; whatever is published from now on is in it.
    #[expect(
        clippy::disallowed_methods,
        reason = "who watches a world is no task of its services"
    )]
    pub(super) async fn open(&self, name: &str) {
        let tap = RabbitTap::open(&self.settings, name).await;
        let mut tap = tap.expect("a tap can be opened");
        let seen = Arc::clone(&self.seen);
        let taking = tokio::spawn(async move {
            while let Ok(taken) = tap.next(TAKEN_MAX).await {
                seen.send_modify(|seen| taken.into_iter().for_each(|json| seen.note(json)));
            }
        });
        *lock(&self.taking) = Some(taking);
    }

    /// From now on nobody can ask anything: whoever is late must not declare again what is being removed.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        if let Some(taking) = lock(&self.taking).take() {
            taking.abort();
        }
    }

    fn rabbit(&self) -> Result<&Rabbit, BrokerError> {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(BrokerError::Unavailable("the world is over".to_owned()));
        }
        Ok(&self.rabbit)
    }

    fn has_all(&self, seen: &Seen) -> bool {
        let confirmed = lock(&self.confirmed);
        let is_there =
            |(id, times): (&MessageId, &usize)| seen.times.get(id).is_some_and(|n| n >= times);
        confirmed.iter().all(is_there)
    }
}

impl Seen {
    fn note(&mut self, json: String) {
        if let Ok(message) = Message::from_json(&json) {
            *self.times.entry(message.id).or_default() += 1;
        }
        let seq = i64::try_from(self.tapped.len()).unwrap_or(i64::MAX) + 1;
        self.tapped.push(Tapped { seq, json });
    }
}

#[async_trait]
impl Broker for Tapping {
    fn engine(&self) -> &'static str {
        "rabbitmq"
    }

    async fn publish(&self, batch: &[Message]) -> Result<(), BrokerError> {
        self.rabbit()?.publish(batch).await?;
        let mut confirmed = lock(&self.confirmed);
        for message in batch {
            *confirmed.entry(message.id).or_default() += 1;
        }
        Ok(())
    }

    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Deliveries>, BrokerError> {
        self.rabbit()?.subscribe(queue).await
    }

    async fn depth(&self, queue: &str) -> Result<Depth, BrokerError> {
        self.rabbit()?.depth(queue).await
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<MessageId>,
        n: usize,
    ) -> Result<Vec<DeadLetter>, BrokerError> {
        self.rabbit()?.dead_letters(queue, after, n).await
    }

    async fn replay(&self, queue: &str, id: MessageId) -> Result<bool, BrokerError> {
        self.rabbit()?.replay(queue, id).await
    }

    async fn discard(&self, queue: &str, id: MessageId) -> Result<bool, BrokerError> {
        self.rabbit()?.discard(queue, id).await
    }

    async fn tap(&self, after: i64, n: usize) -> Result<Vec<Tapped>, BrokerError> {
        let mut seen = self.seen.subscribe();
        let caught_up = seen.wait_for(|seen| self.has_all(seen));
        let behind = || BrokerError::Unavailable("the tap is behind".to_owned());
        let seen = tokio::time::timeout(BEHIND_MAX, caught_up)
            .await
            .map_err(|_| behind())?
            .map_err(|_| behind())?;
        let later = seen.tapped.iter().filter(|tapped| tapped.seq > after);
        Ok(later.take(n).cloned().collect())
    }
}
