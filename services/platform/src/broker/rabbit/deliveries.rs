//! Deliveries of one queue: a consumer on a channel of its own, acked in order.
//!
//! The server sends at most `prefetch` messages that are not acked, so what waits in here is bounded by that.
//! Dropping the deliveries closes the channel, and the server takes back at once what was not acked.

use super::arrivals::{Arrivals, Holds};
use super::envelope::{self, Outgoing};
use super::link::Link;
use super::waiting::Waiting;
use super::{BrokerError, Rabbit, Result, publisher, topology};
use crate::broker::{DeadBody, Deliveries, Delivery};
use crate::{BoxFuture, Clock};
use async_trait::async_trait;
use contract::{EventType, Message};
use futures_util::FutureExt;
use lapin::Channel;
use lapin::options::BasicAckOptions;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How long messages that nobody hears wait for an ack together with others.
const IGNORED_AT_MOST: Duration = Duration::from_millis(50);

/// What came in for a subscription.
pub(super) struct Inbound(Mutex<Held>);

struct Held {
    arrivals: Arrivals,
    /// Taken and not acked, by ascending tag.
    out: VecDeque<Out>,
}

struct Out {
    tag: u64,
    attempts: u32,
    /// None when the service does not hear this type: done as soon as everything before it is.
    message: Option<Arc<Message>>,
}

impl Inbound {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holds for Inbound {
    fn count(&self) -> usize {
        let mut held = self.held();
        let arrived = held.arrivals.count();
        arrived.map_or(0, |n| n + held.out.len())
    }
}

impl Held {
    /// Lets go of everything up to `up_to`, and of what nobody hears right after it. Returns the last of it.
    fn settle(&mut self, up_to: u64) -> Option<u64> {
        let mut n = self.out.partition_point(|out| out.tag <= up_to);
        let after = self.out.iter().skip(n);
        n += after.take_while(|out| out.message.is_none()).count();
        self.out.drain(..n).next_back().map(|out| out.tag)
    }
}

type Arrived = Vec<lapin::message::Delivery>;

/// Consumes the queue `name`.
pub(super) async fn subscribe(
    rabbit: &Rabbit,
    link: &Arc<Link>,
    service: &str,
    name: &str,
) -> Result<Subscription> {
    let waiting = Waiting::open(rabbit, link, service).await?;
    let prefetch = rabbit.0.settings.prefetch;
    let (channel, arrivals) = Arrivals::open(link, name, prefetch).await?;
    let inbound = Arc::new(Inbound(Mutex::new(Held {
        arrivals,
        out: VecDeque::new(),
    })));
    let holder = Arc::downgrade(&inbound);
    rabbit.0.subscriptions.add(name, holder);
    let giving_back = Arc::clone(&waiting).give_back(rabbit.clone(), name.to_owned());
    let queues = rabbit.0.settings.queues.iter();
    let heard = queues.filter(|queue| queue.service == service);
    Ok(Subscription {
        rabbit: rabbit.clone(),
        service: service.to_owned(),
        hears: heard.flat_map(|queue| queue.hears.clone()).collect(),
        channel,
        inbound,
        waiting,
        giving_back: Mutex::new(Ok(Box::pin(giving_back))),
        is_reading: false,
        ignored_until: None,
    })
}

pub(super) struct Subscription {
    rabbit: Rabbit,
    service: String,
    hears: Vec<EventType>,
    channel: Channel,
    inbound: Arc<Inbound>,
    waiting: Arc<Waiting>,
    /// Runs while somebody waits for deliveries, and ends with the subscription; then it is why. Locked by nobody, as
    /// a future alone cannot be shared.
    giving_back: Mutex<Result<BoxFuture<'static, BrokerError>>>,
    /// Set while messages are between the server and the caller.
    is_reading: bool,
    /// When what nobody hears is acked, if nothing else is before; none while there is nothing like that.
    ignored_until: Option<Instant>,
}

impl Subscription {
    /// An error when a caller went away in the middle of [`Deliveries::next`]: an ack would cover what it never got.
    fn is_whole(&self) -> Result<()> {
        if self.is_reading {
            let why = "a batch was abandoned, and goes back".to_owned();
            return Err(BrokerError::Unavailable(why));
        }
        Ok(())
    }

    /// Up to `max` messages, and meanwhile those that were put off go on.
    fn poll_take(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Arrived>> {
        let giving_back = self.giving_back.get_mut();
        let giving_back = giving_back.unwrap_or_else(PoisonError::into_inner);
        if let Ok(future) = giving_back
            && let Poll::Ready(error) = future.as_mut().poll(cx)
        {
            *giving_back = Err(error);
        }
        if let Err(error) = giving_back {
            return Poll::Ready(Err(error.clone()));
        }
        self.inbound.held().arrivals.take(max, Some(cx))
    }

    /// Acks without waiting: an ack that is lost is a repeated delivery, and those are absorbed anyway.
    fn done(&self, tag: u64, multiple: bool) -> Result<()> {
        let sent = self.channel.basic_ack(tag, BasicAckOptions { multiple });
        match sent.now_or_never() {
            Some(Err(error)) => Err(BrokerError::Unavailable(format!("ack: {error}"))),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Waits for messages; meanwhile lets go of what nobody hears, when that has waited for long enough.
    async fn wait(&mut self, max: usize) -> Result<Arrived> {
        loop {
            let until = self.ignored_until;
            let arriving = std::future::poll_fn(|cx| self.poll_take(max, cx));
            let Some(until) = until else {
                return arriving.await;
            };
            match tokio::time::timeout_at(until, arriving).await {
                Ok(arrived) => return arrived,
                Err(_) => self.settle(0)?,
            }
        }
    }

    /// Nothing of what came is heard. Each ack is written to the server's disk, so there is one for many.
    fn let_go(&mut self) -> Result<()> {
        if self.inbound.held().out.len() >= usize::from(self.rabbit.0.settings.prefetch) / 4 {
            return self.settle(0);
        }
        let until = Instant::now() + IGNORED_AT_MOST;
        self.ignored_until.get_or_insert(until);
        Ok(())
    }

    /// Moves a message to another queue: only there for sure, then gone from here.
    async fn put_aside(&self, tag: u64, outgoing: Outgoing) -> Result<()> {
        let publishing = &self.rabbit.0.publishing;
        let link = publishing.link().await?;
        let outcome = publisher::put(&link, outgoing).await;
        publishing.judge(&link, outcome)?;
        self.inbound.held().out.retain(|out| out.tag != tag);
        self.done(tag, false)
    }

    /// Done with everything up to `up_to`. A tag that was put aside is settled: the server knows it no more.
    fn settle(&mut self, up_to: u64) -> Result<()> {
        self.ignored_until = None;
        let last = self.inbound.held().settle(up_to);
        last.map_or(Ok(()), |last| self.done(last, true))
    }

    fn find(&self, tag: u64) -> Option<(Arc<Message>, u32)> {
        let held = self.inbound.held();
        let out = held.out.iter().find(|out| out.tag == tag)?;
        Some((Arc::clone(out.message.as_ref()?), out.attempts))
    }

    /// Whether the service is known not to hear this. It is not even parsed: with [`super::Routing::Fanout`] that
    /// is most of what comes.
    fn is_ignored(&self, raw: &lapin::message::Delivery) -> bool {
        let kind = raw.properties.kind().as_ref();
        let kind = kind.and_then(|kind| EventType::parse(kind.as_str()));
        kind.is_some_and(|kind| !self.hears.contains(&kind))
    }

    /// A message of ours becomes a delivery; anything else is given up as it is, and the others pass.
    async fn read(
        &self,
        raw: lapin::message::Delivery,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<()> {
        let (tag, attempts) = (raw.delivery_tag, envelope::attempts(&raw));
        let out = |message| Out {
            tag,
            attempts,
            message,
        };
        if self.is_ignored(&raw) {
            self.inbound.held().out.push_back(out(None));
            return Ok(());
        }
        match DeadBody::read(&raw.data) {
            Ok(message) => {
                let kept = out(Some(Arc::clone(&message)));
                self.inbound.held().out.push_back(kept);
                deliveries.push(Delivery {
                    tag,
                    message,
                    redelivered: raw.redelivered || attempts > 0,
                    attempts,
                });
                Ok(())
            }
            Err(reason) => {
                tracing::error!(
                    reason,
                    queue = self.service,
                    "not a message, to the dead queue"
                );
                let fate = Some((reason.as_str(), Clock::Os.now_us()));
                let properties = envelope::marked(&raw.properties, attempts, fate);
                let dead = topology::dead(&self.rabbit.0.settings, &self.service);
                self.put_aside(tag, Outgoing::to_queue(&dead, raw.data, properties)?)
                    .await
            }
        }
    }
}

#[async_trait]
impl Deliveries for Subscription {
    async fn next(&mut self, max: usize) -> Result<Vec<Delivery>> {
        self.is_whole()?;
        let max = max.max(1);
        let mut deliveries = Vec::new();
        loop {
            let left = max - deliveries.len();
            let arrived = if deliveries.is_empty() {
                self.wait(left).await?
            } else {
                // No more is sent than the prefetch, so this comes to an end.
                match self.inbound.held().arrivals.take(left, None) {
                    Poll::Ready(arrived) => arrived?,
                    Poll::Pending => Vec::new(),
                }
            };
            let is_all = arrived.is_empty();
            self.is_reading = true;
            for raw in arrived {
                self.waiting.came_back(&raw)?;
                self.read(raw, &mut deliveries).await?;
            }
            self.is_reading = false;
            if deliveries.is_empty() {
                self.let_go()?;
            } else if is_all || deliveries.len() >= max {
                return Ok(deliveries);
            }
        }
    }

    async fn ack(&mut self, up_to: u64) -> Result<()> {
        self.is_whole()?;
        self.settle(up_to)
    }

    async fn retry(&mut self, tag: u64, pause: Duration, reason: &str) -> Result<()> {
        let Some((message, attempts)) = self.find(tag) else {
            return Ok(());
        };
        let fate = Some((reason, Clock::Os.now_us()));
        let properties = envelope::marked(&envelope::properties(&message)?, attempts + 1, fate);
        let properties = envelope::put_off(properties, pause);
        let queue = topology::retry(&self.rabbit.0.settings, &self.service);
        let outgoing = Outgoing::to_queue(&queue, envelope::body(&message)?, properties)?;
        self.put_aside(tag, outgoing).await
    }

    async fn bury(&mut self, tag: u64, reason: &str) -> Result<()> {
        let Some((message, attempts)) = self.find(tag) else {
            return Ok(());
        };
        let fate = Some((reason, Clock::Os.now_us()));
        let properties = envelope::marked(&envelope::properties(&message)?, attempts, fate);
        let queue = topology::dead(&self.rabbit.0.settings, &self.service);
        let outgoing = Outgoing::to_queue(&queue, envelope::body(&message)?, properties)?;
        self.put_aside(tag, outgoing).await
    }
}
