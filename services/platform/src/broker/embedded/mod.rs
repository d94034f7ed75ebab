//! A broker inside the process: an actor with its own thread and a durable file.
//!
//! Publishes of all services are committed in groups and confirmed one by one. kill -9 at any moment and a
//! restart on the same file loses nothing that was confirmed and forgets at most acks, which the inboxes absorb.

mod disk;
mod exchange;
mod queue;

use super::{Broker, BrokerError, DeadLetter, Deliveries, Delivery, Depth, Result, Tapped};
use crate::Clock;
use crate::store::{StoreError, Synchronous};
use async_trait::async_trait;
use contract::{Message, MessageId};
use disk::Disk;
use exchange::Exchange;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Commands handled in one transaction of the file.
const GROUP: usize = 256;

/// Settings of an embedded broker.
#[derive(Debug, Clone)]
pub struct EmbeddedSettings {
    /// The queues of the exchange. A queue added later hears what is published from then on.
    pub queues: Vec<&'static str>,
    /// How many messages the tap keeps for its reader; older ones go when every queue is done with them.
    pub tap_max: i64,
    /// When the file waits for the disk.
    pub synchronous: Synchronous,
}

impl EmbeddedSettings {
    /// A broker with these queues and a tap of 100 000 messages.
    pub fn new(queues: Vec<&'static str>) -> Self {
        Self {
            queues,
            tap_max: 100_000,
            synchronous: Synchronous::Normal,
        }
    }
}

/// The handle to an embedded broker. The actor ends when the last handle and subscription is gone.
#[derive(Clone)]
pub struct Embedded {
    commands: mpsc::UnboundedSender<Command>,
    subscriptions: Arc<AtomicU64>,
}

impl Embedded {
    /// Opens the broker in the file `path` and starts its thread.
    ///
    /// # Errors
    /// When the file cannot be opened or does not hold a broker's queues.
    #[expect(
        clippy::disallowed_methods,
        reason = "the broker is not part of any service and has its own thread"
    )]
    pub fn open(
        path: &Path,
        settings: &EmbeddedSettings,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let exchange = Exchange::load(Disk::open(path, settings.synchronous)?, settings, clock)?;
        let (handle, commands) = Self::handle();
        std::thread::Builder::new()
            .name("broker".to_owned())
            .spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .expect("a runtime with a timer")
                    .block_on(run(exchange, commands));
            })
            .map_err(|error| StoreError::Engine(error.to_string()))?;
        Ok(handle)
    }

    /// A broker in memory. It runs as a task of the current runtime, so that a world can own its time.
    ///
    /// # Errors
    /// When SQLite cannot open a database in memory.
    #[expect(
        clippy::disallowed_methods,
        reason = "the broker is not part of any service and outlives them"
    )]
    pub fn in_memory(settings: &EmbeddedSettings, clock: Clock) -> Result<Self, StoreError> {
        let exchange = Exchange::load(Disk::in_memory()?, settings, clock)?;
        let (handle, commands) = Self::handle();
        tokio::spawn(run(exchange, commands));
        Ok(handle)
    }

    fn handle() -> (Self, mpsc::UnboundedReceiver<Command>) {
        // Unbounded as a channel, bounded by its users: a subscription has one batch out, a relay one window.
        let (commands, receiver) = mpsc::unbounded_channel();
        let handle = Self {
            commands,
            subscriptions: Arc::default(),
        };
        (handle, receiver)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        ask(&self.commands, command).await
    }
}

async fn ask<T>(
    commands: &mpsc::UnboundedSender<Command>,
    command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
) -> Result<T> {
    let (reply, answer) = oneshot::channel();
    let gone = || BrokerError::Unavailable("it has stopped".to_owned());
    commands.send(command(reply)).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// What the actor is asked to do.
enum Command {
    Publish {
        batch: Vec<(Arc<Message>, String)>,
        reply: oneshot::Sender<Result<()>>,
    },
    Subscribe {
        queue: String,
        reply: oneshot::Sender<Result<()>>,
    },
    Next {
        queue: String,
        subscription: u64,
        max: usize,
        reply: oneshot::Sender<Result<Vec<Delivery>>>,
    },
    Ack {
        queue: String,
        subscription: u64,
        up_to: u64,
    },
    PutAside {
        queue: String,
        subscription: u64,
        tag: u64,
        until: Until,
        reason: String,
    },
    Release {
        queue: String,
        subscription: u64,
    },
    Admin(Admin),
}

/// What people and checkers ask for.
enum Admin {
    Depth {
        queue: String,
        reply: oneshot::Sender<Result<Depth>>,
    },
    DeadLetters {
        queue: String,
        after: Option<MessageId>,
        n: usize,
        reply: oneshot::Sender<Result<Vec<DeadLetter>>>,
    },
    Replay {
        queue: String,
        id: MessageId,
        reply: oneshot::Sender<Result<bool>>,
    },
    Discard {
        queue: String,
        id: MessageId,
        reply: oneshot::Sender<Result<bool>>,
    },
    Tap {
        after: i64,
        n: usize,
        reply: oneshot::Sender<Result<Vec<Tapped>>>,
    },
}

/// How long a message is put aside.
#[derive(Debug, Clone, Copy)]
enum Until {
    Later(Duration),
    Dead,
}

/// The actor: takes what is there, applies it as one group, delivers.
async fn run(mut exchange: Exchange, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut group = Vec::new();
    loop {
        let due = exchange.next_due();
        tokio::select! {
            biased;
            taken = commands.recv_many(&mut group, GROUP) => {
                if taken == 0 {
                    return;
                }
            }
            () = wait(due) => {}
        }
        exchange.step(group.drain(..));
    }
}

async fn wait(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Broker for Embedded {
    fn engine(&self) -> &'static str {
        "embedded"
    }

    async fn publish(&self, batch: &[Message]) -> Result<()> {
        let encode = |message: &Message| {
            let json = message
                .to_json()
                .map_err(|error| BrokerError::Refused(error.to_string()))?;
            Ok((Arc::new(message.clone()), json))
        };
        let batch = batch.iter().map(encode).collect::<Result<Vec<_>>>()?;
        self.ask(|reply| Command::Publish { batch, reply }).await
    }

    async fn subscribe(&self, queue: &str) -> Result<Box<dyn Deliveries>> {
        let queue = queue.to_owned();
        self.ask(|reply| Command::Subscribe {
            queue: queue.clone(),
            reply,
        })
        .await?;
        Ok(Box::new(Subscription {
            commands: self.commands.clone(),
            queue,
            id: self.subscriptions.fetch_add(1, Ordering::Relaxed),
        }))
    }

    async fn depth(&self, queue: &str) -> Result<Depth> {
        self.ask(|reply| {
            Command::Admin(Admin::Depth {
                queue: queue.to_owned(),
                reply,
            })
        })
        .await
    }

    async fn dead_letters(
        &self,
        queue: &str,
        after: Option<MessageId>,
        n: usize,
    ) -> Result<Vec<DeadLetter>> {
        self.ask(|reply| {
            Command::Admin(Admin::DeadLetters {
                queue: queue.to_owned(),
                after,
                n,
                reply,
            })
        })
        .await
    }

    async fn replay(&self, queue: &str, id: MessageId) -> Result<bool> {
        self.ask(|reply| {
            Command::Admin(Admin::Replay {
                queue: queue.to_owned(),
                id,
                reply,
            })
        })
        .await
    }

    async fn discard(&self, queue: &str, id: MessageId) -> Result<bool> {
        self.ask(|reply| {
            Command::Admin(Admin::Discard {
                queue: queue.to_owned(),
                id,
                reply,
            })
        })
        .await
    }

    async fn tap(&self, after: i64, n: usize) -> Result<Vec<Tapped>> {
        self.ask(|reply| Command::Admin(Admin::Tap { after, n, reply }))
            .await
    }
}

struct Subscription {
    commands: mpsc::UnboundedSender<Command>,
    queue: String,
    id: u64,
}

impl Subscription {
    /// Without an answer: an ack that is lost is a repeated delivery, and those are absorbed anyway.
    fn tell(&self, command: Command) -> Result<()> {
        self.commands
            .send(command)
            .map_err(|_| BrokerError::Unavailable("it has stopped".to_owned()))
    }

    fn put_aside(&self, tag: u64, until: Until, reason: &str) -> Result<()> {
        self.tell(Command::PutAside {
            queue: self.queue.clone(),
            subscription: self.id,
            tag,
            until,
            reason: reason.to_owned(),
        })
    }
}

#[async_trait]
impl Deliveries for Subscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        let (queue, subscription) = (self.queue.clone(), self.id);
        ask(&self.commands, |reply| Command::Next {
            queue,
            subscription,
            max,
            reply,
        })
        .await
    }

    async fn ack(&mut self, up_to: u64) -> Result<()> {
        self.tell(Command::Ack {
            queue: self.queue.clone(),
            subscription: self.id,
            up_to,
        })
    }

    async fn retry(&mut self, tag: u64, pause: Duration, reason: &str) -> Result<()> {
        self.put_aside(tag, Until::Later(pause), reason)
    }

    async fn bury(&mut self, tag: u64, reason: &str) -> Result<()> {
        self.put_aside(tag, Until::Dead, reason)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let _ = self.tell(Command::Release {
            queue: self.queue.clone(),
            subscription: self.id,
        });
    }
}
