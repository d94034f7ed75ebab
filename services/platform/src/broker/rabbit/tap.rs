//! A queue of one's own on the exchange, for somebody who wants to see everything.

use super::link::{Address, Line, Link};
use super::topology::{self, bind, declare_queue, short, table};
use super::{BrokerError, RabbitSettings, Result, Routing};
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeleteOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer};
use std::sync::Arc;
use std::time::Duration;

/// Messages that may be on their way to a tap.
const PREFETCH: u16 = 2_048;
/// How long a tap waits before it looks for a lost server again.
const PAUSE: Duration = Duration::from_millis(50);

/// Sees every message on the exchange from when it was opened, also those that are published while it is away.
/// At least once: what was not acked comes again.
pub struct RabbitTap {
    settings: Arc<RabbitSettings>,
    queue: String,
    line: Line,
    flow: Option<Flow>,
}

struct Flow {
    link: Arc<Link>,
    channel: Channel,
    consumer: Consumer,
    /// The last message that was handed over.
    handed: Option<u64>,
}

impl RabbitTap {
    /// A tap called `name`, bound before this returns. It stays until [`RabbitTap::delete`].
    ///
    /// # Errors
    /// [`BrokerError`], when the server cannot be reached or has something else under one of the names.
    pub async fn open(settings: &RabbitSettings, name: &str) -> Result<Self> {
        let settings = Arc::new(settings.clone());
        let mut tap = Self {
            queue: topology::tap(&settings, name),
            line: Line::new(&settings, Address::new(&settings)?, "tap"),
            settings,
            flow: None,
        };
        tap.flow = Some(tap.flow().await?);
        Ok(tap)
    }

    async fn flow(&self) -> Result<Flow> {
        let link = self.line.link().await?;
        let outcome = self.flow_on(Arc::clone(&link)).await;
        self.line.judge(&link, outcome)
    }

    async fn flow_on(&self, link: Arc<Link>) -> Result<Flow> {
        let channel = link.channel().await?;
        let classic = table(&[("x-queue-type", "classic".into())]);
        declare_queue(&link, &channel, &self.queue, classic).await?;
        let everything = match self.settings.routing {
            Routing::Fanout => "",
            Routing::Topic => "#",
        };
        bind(&link, &channel, &self.settings, &self.queue, everything).await?;
        let bounded = channel.basic_qos(PREFETCH, BasicQosOptions::default());
        link.ask("set the prefetch", bounded).await?;
        let options = BasicConsumeOptions::default();
        let (queue, tag) = (short(&self.queue)?, ShortString::default());
        let consuming = channel.basic_consume(queue, tag, options, FieldTable::default());
        let consumer = link.ask("consume", consuming).await?;
        Ok(Flow {
            link,
            channel,
            consumer,
            handed: None,
        })
    }

    /// Waits for messages and takes up to `max` of them, as CloudEvents JSON. Asking again acks the ones before. A
    /// lost server is waited for. Dropped while it waits, it has taken nothing.
    ///
    /// # Errors
    /// [`BrokerError::Refused`], when the server has something else under the tap's name by now.
    pub async fn next(&mut self, max: usize) -> Result<Vec<String>> {
        loop {
            match self.try_next(max.max(1)).await {
                Err(BrokerError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
                other => return other,
            }
        }
    }

    async fn try_next(&mut self, max: usize) -> Result<Vec<String>> {
        self.ack();
        let flow = match &mut self.flow {
            Some(flow) => flow,
            None => self.flow.insert(self.flow().await?),
        };
        let first = flow.consumer.next().await;
        let mut taken = Vec::new();
        let mut next = Some(first);
        while let Some(delivery) = next {
            let Some(Ok(delivery)) = delivery else {
                let error = BrokerError::Unavailable("the tap was interrupted".to_owned());
                let flow = self.flow.take();
                return match flow {
                    Some(flow) => self.line.judge(&flow.link, Err(error)),
                    None => Err(error),
                };
            };
            flow.handed = Some(delivery.delivery_tag);
            taken.push(String::from_utf8_lossy(&delivery.data).into_owned());
            next = if taken.len() < max {
                flow.consumer.next().now_or_never()
            } else {
                None
            };
        }
        Ok(taken)
    }

    /// Done with everything that was handed over: it does not come again.
    pub fn ack(&mut self) {
        if let Some(flow) = &mut self.flow
            && let Some(tag) = flow.handed.take()
        {
            // Sent by the first poll. When it is lost, the messages come again.
            let all = BasicAckOptions { multiple: true };
            let _ = flow.channel.basic_ack(tag, all).now_or_never();
        }
    }

    /// Removes the tap's queue.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`], when the server cannot be asked.
    pub async fn delete(self) -> Result<()> {
        let link = self.line.link().await?;
        let channel = link.channel().await?;
        let deleted = channel.queue_delete(short(&self.queue)?, QueueDeleteOptions::default());
        link.ask(&self.queue, deleted).await.map(|_| ())
    }
}
