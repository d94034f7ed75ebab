//! Messages that were given up, and what people decide about them.
//!
//! The dead queue is looked at by taking all of it and giving it back. Two who look at the same time would each see
//! a part, so one of all processes does it at a time: the one that has the lock, a queue that ends with its
//! connection. Each look has a connection of its own, so that whatever ends it gives back lock and messages.

use super::envelope::{self, Outgoing};
use super::link::Link;
use super::topology::{self, short};
use super::{Inner, Result, publisher};
use crate::broker::{BrokerError, DeadBody, DeadLetter};
use contract::MessageId;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, ErrorKind};
use std::time::Duration;
use tokio::time::Instant;

/// Dead letters that are looked at; those behind are seen when some of these are gone.
const LETTERS_MAX: usize = 10_000;
/// How long to wait before the lock is asked for again.
const LOCKED_PAUSE: Duration = Duration::from_millis(20);
/// The server's reply code when somebody else has the lock.
const RESOURCE_LOCKED: u16 = 405;

/// Up to `n` dead letters of `service` by id, those after `after` first.
pub(super) async fn list(
    inner: &Inner,
    service: &str,
    after: Option<MessageId>,
    n: usize,
) -> Result<Vec<DeadLetter>> {
    let _one_at_a_time = inner.dead.lock().await;
    let look = Look::open(inner, service).await?;
    let mut letters = Vec::new();
    for _ in 0..LETTERS_MAX {
        let Some(delivery) = look.take().await? else {
            break;
        };
        let (id, body) = DeadBody::of(&delivery.data);
        let (reason, at_us) = envelope::fate(&delivery);
        letters.push(DeadLetter {
            id,
            body,
            attempts: envelope::attempts(&delivery),
            reason,
            at_us,
        });
    }
    look.end().await?;
    letters.retain(|letter| after.is_none_or(|after| letter.id > after));
    letters.sort_by_key(|letter| letter.id);
    letters.truncate(n);
    Ok(letters)
}

/// Gives the letter `id` back to its queue.
pub(super) async fn replay(inner: &Inner, service: &str, id: MessageId) -> Result<bool> {
    settle(inner, service, id, true).await
}

/// Removes the letter `id`.
pub(super) async fn discard(inner: &Inner, service: &str, id: MessageId) -> Result<bool> {
    settle(inner, service, id, false).await
}

async fn settle(inner: &Inner, service: &str, id: MessageId, replays: bool) -> Result<bool> {
    let _one_at_a_time = inner.dead.lock().await;
    let look = Look::open(inner, service).await?;
    let mut found = false;
    for _ in 0..LETTERS_MAX {
        let Some(delivery) = look.take().await? else {
            break;
        };
        if DeadBody::of(&delivery.data).0 != id {
            continue;
        }
        let tag = delivery.delivery_tag;
        if replays {
            let queue = topology::queue(&inner.settings, service);
            let properties = envelope::marked(&delivery.properties, 0, None);
            let outgoing = Outgoing::to_queue(&queue, delivery.data, properties)?;
            publisher::put(&look.link, outgoing).await?;
        }
        // After the confirm: the other way round loses the message if we die in between.
        let acked = look.letters.basic_ack(tag, BasicAckOptions::default());
        look.link.ask("ack", acked).await?;
        found = true;
        break;
    }
    look.end().await?;
    Ok(found)
}

/// One look into a dead queue. Whatever was taken and not acked goes back to its place at the end.
struct Look {
    link: Link,
    letters: Channel,
    queue: ShortString,
}

impl Look {
    async fn open(inner: &Inner, service: &str) -> Result<Self> {
        // Fails fast while the server is away, and declares what is looked at.
        inner.consuming.link().await?;
        let link = inner.consuming.another("dead letters").await?;
        let queue = topology::dead(&inner.settings, service);
        lock(&link, &format!("{queue}.lock")).await?;
        Ok(Self {
            letters: link.channel().await?,
            queue: short(&queue)?,
            link,
        })
    }

    async fn take(&self) -> Result<Option<Delivery>> {
        let options = BasicGetOptions::default();
        let got = self.letters.basic_get(self.queue.clone(), options);
        let got = self.link.ask("get a dead letter", got).await?;
        Ok(got.map(|got| got.delivery))
    }

    /// Gives the letters back before the lock.
    async fn end(self) -> Result<()> {
        let closed = self.letters.close(200, "OK".into());
        self.link.ask("give dead letters back", closed).await?;
        self.link.close().await
    }
}

/// Waits until nobody else looks.
async fn lock(link: &Link, name: &str) -> Result<()> {
    let began = Instant::now();
    let options = QueueDeclareOptions {
        exclusive: true,
        ..QueueDeclareOptions::default()
    };
    while began.elapsed() < link.timeout {
        let channel = link.channel().await?;
        let declaring = channel.queue_declare(short(name)?, options, FieldTable::default());
        let declared = async { Ok(declaring.await) };
        match link.ask("lock", declared).await? {
            Ok(_) => return Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::ProtocolError(said) if said.get_id() == RESOURCE_LOCKED => {
                    tokio::time::sleep(LOCKED_PAUSE).await;
                }
                _ => return Err(BrokerError::Unavailable(format!("lock: {error}"))),
            },
        }
    }
    let why = format!("others look at the dead letters, {name} is locked");
    Err(BrokerError::Unavailable(why))
}
