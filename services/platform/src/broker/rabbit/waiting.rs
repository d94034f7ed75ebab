//! Messages that were put off. Whoever consumes a service's queue also holds what waits for it, until it is due.
//!
//! A message is given back to the queue first and then acked here, so a crash in between repeats it and nothing loses
//! it. No clocks are compared: a pause counts from when the message came to who holds it, and begins again after that
//! one was lost. Behind [`HELD_MAX`] messages a replica others wait their turn, also those with shorter pauses.

use super::arrivals::{Arrivals, Holds};
use super::envelope::{self, Outgoing};
use super::link::Link;
use super::publisher::{self, Confirming};
use super::{BrokerError, Rabbit, Result, topology};
use crate::lock::lock;
use futures_util::FutureExt;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Messages that one subscription holds at a time.
const HELD_MAX: u16 = 1_000;
/// The longest pause. A server takes back what is unacked for half an hour, and would do so for ever.
const PAUSE_MAX: Duration = Duration::from_secs(600);
/// So many leave at a time: when one of them is not confirmed, all of them are sent again.
const LEAVING_MAX: usize = 64;
/// How long to wait before what could not be given back is sent again, the first time and at most.
const AGAIN_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

/// What one subscription holds of a retry queue.
pub(super) struct Waiting {
    channel: Channel,
    held: Mutex<Held>,
}

struct Held {
    arrivals: Arrivals,
    /// By when they are due, and then by tag.
    waiting: BTreeMap<(Instant, u64), Delivery>,
    /// Due, on their way to the service's queue, and not acked. By tag.
    leaving: BTreeMap<u64, Delivery>,
}

impl Holds for Waiting {
    fn count(&self) -> usize {
        let mut held = self.held();
        let arrived = held.arrivals.count();
        arrived.map_or(0, |n| n + held.waiting.len() + held.leaving.len())
    }
}

impl Waiting {
    /// Consumes the retry queue of `service`.
    pub(super) async fn open(rabbit: &Rabbit, link: &Link, service: &str) -> Result<Arc<Self>> {
        let name = topology::retry(&rabbit.0.settings, service);
        let (channel, arrivals) = Arrivals::open(link, &name, HELD_MAX).await?;
        let waiting = Arc::new(Self {
            channel,
            held: Mutex::new(Held {
                arrivals,
                waiting: BTreeMap::new(),
                leaving: BTreeMap::new(),
            }),
        });
        let holder = Arc::downgrade(&waiting);
        rabbit.0.subscriptions.add(&name, holder);
        Ok(waiting)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }

    /// Gives everything back to the queue `name` when it is due. Ends when the server does not let us hold it any
    /// more, and says why.
    pub(super) async fn give_back(self: Arc<Self>, rabbit: Rabbit, name: String) -> BrokerError {
        let mut own = None;
        let [mut pause, pause_max] = AGAIN_AFTER;
        loop {
            if let Err(error) = self.until_due().await {
                return error;
            }
            match self.send(&rabbit, &mut own, &name).await {
                Ok(()) => {
                    pause = AGAIN_AFTER[0];
                    let sent = std::mem::take(&mut self.held().leaving);
                    for tag in sent.into_keys() {
                        if let Err(error) = self.done(tag) {
                            return error;
                        }
                    }
                }
                // A server that takes no messages still sends some, so this is no reason to end: they stay here.
                Err(error) => {
                    tracing::debug!(%error, queue = name, "what is due cannot be given back yet");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(pause_max);
                }
            }
        }
    }

    /// Waits until something is leaving.
    async fn until_due(&self) -> Result<()> {
        loop {
            let next = {
                let mut held = self.held();
                held.look(Instant::now())?;
                if !held.leaving.is_empty() {
                    return Ok(());
                }
                held.waiting.first_key_value().map(|((due, _), _)| *due)
            };
            let comes = std::future::poll_fn(|cx| self.held().come(Some(cx)));
            let due = async {
                match next {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                came = comes => came?,
                () = due => {}
            }
        }
    }

    /// Sends what is leaving to the queue `name`, and waits for the confirms.
    async fn send(&self, rabbit: &Rabbit, own: &mut Option<Own>, name: &str) -> Result<()> {
        let leaving = {
            let held = self.held();
            let outgoing = held.leaving.values().map(|one| {
                let properties = envelope::returned(one);
                Outgoing::to_queue(name, one.data.clone(), properties)
            });
            outgoing.collect::<Result<Vec<_>>>()?
        };
        let link = connected(rabbit).await?;
        let own = match own {
            Some(own) if Arc::ptr_eq(&own.link, &link) => own,
            other => other.insert(Own {
                link: Arc::clone(&link),
                channel: Confirming::default(),
            }),
        };
        let outcome = publisher::send(&link, &own.channel, leaving).await;
        rabbit.0.publishing.judge(&link, outcome)
    }

    /// Acks `raw` here when it is one that was just given back, and says so by having come: who goes away now does
    /// not leave it behind a second time.
    pub(super) fn came_back(&self, raw: &Delivery) -> Result<()> {
        if envelope::attempts(raw) == 0 {
            return Ok(());
        }
        let tag = {
            let mut held = self.held();
            let mut leaving = held.leaving.iter();
            let same = leaving.find(|(_, one)| envelope::is_same(one, raw));
            let Some(tag) = same.map(|(tag, _)| *tag) else {
                return Ok(());
            };
            held.leaving.remove(&tag);
            tag
        };
        self.done(tag)
    }

    /// Acks one, without waiting. A lost ack is a repeated message.
    fn done(&self, tag: u64) -> Result<()> {
        let one = BasicAckOptions { multiple: false };
        match self.channel.basic_ack(tag, one).now_or_never() {
            Some(Err(error)) => Err(BrokerError::Unavailable(format!("ack: {error}"))),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

/// The connection for publishing. A new one is made by a task of its own: this here is polled only now and then, and
/// meanwhile nobody may wait for a lock that it holds.
#[expect(
    clippy::disallowed_methods,
    reason = "an engine's own housekeeping: the task ends when it has connected, or could not"
)]
async fn connected(rabbit: &Rabbit) -> Result<Arc<Link>> {
    let rabbit = rabbit.clone();
    let connecting = tokio::spawn(async move { rabbit.0.publishing.link().await });
    let gone = |error: tokio::task::JoinError| BrokerError::Unavailable(error.to_string());
    connecting.await.map_err(gone)?
}

/// A channel for giving back, that nobody else waits for.
struct Own {
    link: Arc<Link>,
    channel: Confirming,
}

impl Held {
    /// Takes in what came. Ready when there was something.
    fn come(&mut self, waiting: Option<&mut Context<'_>>) -> Poll<Result<()>> {
        self.arrivals.take(usize::MAX, waiting).map_ok(|arrived| {
            let now = Instant::now();
            for one in arrived {
                let pause = envelope::pause(&one).min(PAUSE_MAX);
                self.waiting.insert((now + pause, one.delivery_tag), one);
            }
        })
    }

    /// Takes in what came, and lets what is due leave.
    fn look(&mut self, now: Instant) -> Result<()> {
        if let Poll::Ready(Err(error)) = self.come(None) {
            return Err(error);
        }
        while self.leaving.len() < LEAVING_MAX
            && let Some(first) = self.waiting.first_entry()
            && first.key().0 <= now
        {
            let (tag, one) = (first.key().1, first.remove());
            self.leaving.insert(tag, one);
        }
        Ok(())
    }
}
