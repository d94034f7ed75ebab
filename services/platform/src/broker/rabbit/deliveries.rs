//! Deliveries of one queue: a consumer on a channel of its own, acked in order.
//!
//! The server sends at most `prefetch` messages that are not acked, so what waits in here is bounded by that.
//! Dropping the deliveries closes the channel, and the server takes back at once what was not acked.

use super::envelope::{self, Outgoing};
use super::link::Link;
use super::{BrokerError, Rabbit, Result, publisher, topology};
use crate::Clock;
use crate::broker::{DeadBody, Deliveries, Delivery};
use async_trait::async_trait;
use contract::{EventType, Message};
use futures_util::{FutureExt, Stream};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// How long messages that nobody hears wait for an ack together with others.
const IGNORED_AT_MOST: Duration = Duration::from_millis(50);

/// What this process holds of each queue.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<BTreeMap<String, Vec<Weak<Inbound>>>>);

impl Subscriptions {
    /// How many messages of the queue `name` are with this process, also those that nobody has taken yet.
    pub(super) fn unacked(&self, name: &str) -> usize {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_queue = map.get(name).into_iter().flatten();
        let held = |one: Arc<Inbound>| one.held().count();
        of_queue.filter_map(Weak::upgrade).map(held).sum()
    }

    fn add(&self, name: &str, inbound: &Arc<Inbound>) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_queue = map.entry(name.to_owned()).or_default();
        of_queue.retain(|one| one.strong_count() > 0);
        of_queue.push(Arc::downgrade(inbound));
    }
}

/// What came in for a subscription.
pub(super) struct Inbound(Mutex<Held>);

struct Held {
    consumer: Consumer,
    /// Looks at the same stream without being woken by it.
    onlooker: Consumer,
    /// Came in, and nobody has taken it.
    arrived: VecDeque<lapin::message::Delivery>,
    /// Taken and not acked, by ascending tag.
    out: VecDeque<Out>,
    ended: Option<BrokerError>,
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

impl Held {
    /// Moves over what lapin has. Ready when there is something, or will never be anything again.
    fn arrive(&mut self, waiting: Option<&mut Context<'_>>) {
        let mut nobody = Context::from_waker(Waker::noop());
        let (stream, cx) = match waiting {
            Some(cx) => (&mut self.consumer, cx),
            None => (&mut self.onlooker, &mut nobody),
        };
        while self.ended.is_none() {
            match Pin::new(&mut *stream).poll_next(cx) {
                Poll::Ready(Some(Ok(delivery))) => self.arrived.push_back(delivery),
                Poll::Ready(Some(Err(error))) => {
                    self.ended = Some(BrokerError::Unavailable(format!("consume: {error}")));
                }
                Poll::Ready(None) => {
                    let why = "consume: the server has ended it".to_owned();
                    self.ended = Some(BrokerError::Unavailable(why));
                }
                Poll::Pending => return,
            }
        }
    }

    fn count(&mut self) -> usize {
        self.arrive(None);
        if self.ended.is_some() {
            return 0;
        }
        self.arrived.len() + self.out.len()
    }

    /// Up to `max` of what came in; ready without any only if nobody waits.
    fn take(&mut self, max: usize, waiting: Option<&mut Context<'_>>) -> Poll<Result<Arrived>> {
        let waits = waiting.is_some();
        // What is there goes out before the waker is left with lapin.
        if self.arrived.len() < max {
            self.arrive(waiting);
        }
        if let Some(error) = &self.ended {
            // The server has taken everything back.
            return Poll::Ready(Err(error.clone()));
        }
        if self.arrived.is_empty() && waits {
            return Poll::Pending;
        }
        let n = self.arrived.len().min(max);
        Poll::Ready(Ok(self.arrived.drain(..n).collect()))
    }

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
    let channel = link.channel().await?;
    let prefetch = rabbit.0.settings.prefetch;
    let bounded = channel.basic_qos(prefetch, BasicQosOptions::default());
    link.ask("set the prefetch", bounded).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let consuming = channel.basic_consume(
        topology::short(name)?,
        ShortString::default(),
        options,
        arguments,
    );
    let consumer = link.ask("consume", consuming).await?;
    let inbound = Arc::new(Inbound(Mutex::new(Held {
        onlooker: consumer.clone(),
        consumer,
        arrived: VecDeque::new(),
        out: VecDeque::new(),
        ended: None,
    })));
    rabbit.0.subscriptions.add(name, &inbound);
    let queues = rabbit.0.settings.queues.iter();
    let heard = queues.filter(|queue| queue.service == service);
    Ok(Subscription {
        rabbit: rabbit.clone(),
        service: service.to_owned(),
        hears: heard.flat_map(|queue| queue.hears.clone()).collect(),
        channel,
        inbound,
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
            let take = |cx: &mut Context<'_>| self.inbound.held().take(max, Some(cx));
            let arriving = std::future::poll_fn(take);
            let Some(until) = self.ignored_until else {
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
                match self.inbound.held().take(left, None) {
                    Poll::Ready(arrived) => arrived?,
                    Poll::Pending => Vec::new(),
                }
            };
            let is_all = arrived.is_empty();
            self.is_reading = true;
            for raw in arrived {
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
        let queue = topology::retry(&self.rabbit.0.settings, &self.service, pause);
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
