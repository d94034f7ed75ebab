//! What the server has sent for a consumer, and how much of each queue is with this process.
//!
//! The server sends ahead, up to the prefetch; so there is more in here than anybody has asked for.

use super::link::Link;
use super::{BrokerError, Result, topology};
use crate::lock::lock;
use futures_util::Stream;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

/// What this process holds of each queue.
#[derive(Default)]
pub(super) struct Subscriptions(Mutex<BTreeMap<String, Vec<Weak<dyn Holds>>>>);

/// Somebody who has messages of a queue and has not acked them.
pub(super) trait Holds: Send + Sync {
    /// How many, also those that nobody has taken yet.
    fn count(&self) -> usize;
}

impl Subscriptions {
    /// How many messages of the queue `name` are with this process, also those that nobody has taken yet.
    pub(super) fn unacked(&self, name: &str) -> usize {
        let map = lock(&self.0);
        let of_queue = map.get(name).into_iter().flatten();
        let held = |one: Arc<dyn Holds>| one.count();
        of_queue.filter_map(Weak::upgrade).map(held).sum()
    }

    pub(super) fn add(&self, name: &str, holder: Weak<dyn Holds>) {
        let mut map = lock(&self.0);
        let of_queue = map.entry(name.to_owned()).or_default();
        of_queue.retain(|one| one.strong_count() > 0);
        of_queue.push(holder);
    }
}

/// What came in for a consumer.
pub(super) struct Arrivals {
    consumer: Consumer,
    /// Looks at the same stream without being woken by it.
    onlooker: Consumer,
    /// Came in, and nobody has taken it.
    arrived: VecDeque<Delivery>,
    ended: Option<BrokerError>,
}

impl Arrivals {
    /// Consumes the queue `name` on a channel of its own. At most `prefetch` messages are unacked at a time.
    pub(super) async fn open(link: &Link, name: &str, prefetch: u16) -> Result<(Channel, Self)> {
        let channel = link.channel().await?;
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
        let arrivals = Self {
            onlooker: consumer.clone(),
            consumer,
            arrived: VecDeque::new(),
            ended: None,
        };
        Ok((channel, arrivals))
    }

    /// Moves over what lapin has; leaves the waker with it, if there is one, unless nothing will ever come again.
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

    /// How many have come in and were not taken. None when the server has taken everything back, also what was.
    pub(super) fn count(&mut self) -> Option<usize> {
        self.arrive(None);
        self.ended.is_none().then_some(self.arrived.len())
    }

    /// Up to `max` of what came in; ready without any only if nobody waits.
    pub(super) fn take(
        &mut self,
        max: usize,
        waiting: Option<&mut Context<'_>>,
    ) -> Poll<Result<Vec<Delivery>>> {
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
}
