//! What exists on the server, and under which names. Declaring it again changes nothing.
//!
//! The exchange's name says its routing, so that a shop can change its mind: the queues stay bound to both.
//! A message that is put off goes to its service's retry queue, which does nothing by itself: those who consume the
//! service's queue bring it back.

use super::link::Link;
use super::{BrokerError, Queue, RabbitSettings, Result, Routing};
use futures_util::future::try_join_all;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ErrorKind, ExchangeKind};

/// Deliveries without an ack before the server itself gives a message up. Every lost connection counts, so it is
/// high; attempts are counted by us.
const DELIVERIES_MAX: i64 = 1_000;
/// The same for a message that is put off, which is unacked for as long as it waits. Never reached: without any, a
/// server of version 4 gives it up after twenty.
const WAITS_MAX: i64 = 1_000_000_000;

pub(super) fn exchange(settings: &RabbitSettings) -> String {
    let suffix = match settings.routing {
        Routing::Fanout => "",
        Routing::Topic => ".topic",
    };
    format!("{}checkout.events{suffix}", settings.prefix)
}

pub(super) fn queue(settings: &RabbitSettings, service: &str) -> String {
    format!("{}{service}", settings.prefix)
}

pub(super) fn dead(settings: &RabbitSettings, service: &str) -> String {
    format!("{}{service}.dead", settings.prefix)
}

pub(super) fn tap(settings: &RabbitSettings, name: &str) -> String {
    format!("{}{name}", settings.prefix)
}

/// Where the messages of `service` wait that were put off.
pub(super) fn retry(settings: &RabbitSettings, service: &str) -> String {
    format!("{}{service}.retry", settings.prefix)
}

/// The names of all queues of `service`.
pub(super) fn queues(settings: &RabbitSettings, service: &str) -> [String; 3] {
    [queue, retry, dead].map(|name| name(settings, service))
}

/// Declares the exchange and every queue of `settings`.
pub(super) async fn declare(
    link: &Link,
    channel: &Channel,
    settings: &RabbitSettings,
) -> Result<()> {
    declare_exchange(link, channel, settings).await?;
    // A new queue takes the server a while; on channels of their own the services do not wait for each other.
    let services = settings.queues.iter();
    try_join_all(services.map(|service| declare_service(link, settings, service))).await?;
    Ok(())
}

/// Declares the queues of one service.
async fn declare_service(link: &Link, settings: &RabbitSettings, service: &Queue) -> Result<()> {
    let channel = &link.channel().await?;
    let (name, dead) = (
        queue(settings, service.service),
        dead(settings, service.service),
    );
    declare_queue(
        link,
        channel,
        &dead,
        table(&[("x-queue-type", "classic".into())]),
    )
    .await?;
    let arguments = table(&[
        ("x-queue-type", "quorum".into()),
        ("x-delivery-limit", DELIVERIES_MAX.into()),
        ("x-dead-letter-exchange", "".into()),
        ("x-dead-letter-routing-key", dead.as_str().into()),
    ]);
    declare_queue(link, channel, &name, arguments).await?;
    let arguments = table(&[
        ("x-queue-type", "quorum".into()),
        ("x-delivery-limit", WAITS_MAX.into()),
    ]);
    let retry = retry(settings, service.service);
    declare_queue(link, channel, &retry, arguments).await?;
    match settings.routing {
        Routing::Fanout => bind(link, channel, settings, &name, "").await?,
        Routing::Topic => {
            for kind in &service.hears {
                bind(link, channel, settings, &name, kind.as_str()).await?;
            }
        }
    }
    // Not left to the end of the connection: a server bounds the channels of each.
    let closed = channel.close(200, "OK".into());
    link.ask("close a channel", closed).await
}

pub(super) async fn declare_exchange(
    link: &Link,
    channel: &Channel,
    settings: &RabbitSettings,
) -> Result<()> {
    let name = exchange(settings);
    let kind = match settings.routing {
        Routing::Fanout => ExchangeKind::Fanout,
        Routing::Topic => ExchangeKind::Topic,
    };
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let declared = async {
        let declared =
            channel.exchange_declare(short(&name)?, kind, options, FieldTable::default());
        Ok(declared.await)
    };
    answered(link, "exchange", &name, declared).await
}

/// Binds the queue `name` to what is published under `key`.
pub(super) async fn bind(
    link: &Link,
    channel: &Channel,
    settings: &RabbitSettings,
    name: &str,
    key: &str,
) -> Result<()> {
    let exchange = exchange(settings);
    let bound = async {
        let options = QueueBindOptions::default();
        let (queue, exchange, key) = (short(name)?, short(&exchange)?, short(key)?);
        Ok(channel
            .queue_bind(queue, exchange, key, options, FieldTable::default())
            .await)
    };
    answered(link, "queue", name, bound).await
}

pub(super) async fn declare_queue(
    link: &Link,
    channel: &Channel,
    name: &str,
    arguments: FieldTable,
) -> Result<()> {
    let declared = async {
        let options = QueueDeclareOptions::durable();
        Ok(channel
            .queue_declare(short(name)?, options, arguments)
            .await
            .map(|_| ()))
    };
    answered(link, "queue", name, declared).await
}

/// The answer to a declaration. Something else under the same name is not an outage, and does not go away.
async fn answered(
    link: &Link,
    what: &str,
    name: &str,
    answer: impl Future<Output = Result<lapin::Result<()>>>,
) -> Result<()> {
    let answer = tokio::time::timeout(link.timeout, answer).await;
    match answer.unwrap_or_else(|_| {
        let why = format!("declare {what} {name}: no answer within {:?}", link.timeout);
        Err(BrokerError::Unavailable(why))
    })? {
        Ok(()) => Ok(()),
        Err(error) => Err(match error.kind() {
            ErrorKind::ProtocolError(said) if said.get_id() == PRECONDITION_FAILED => {
                BrokerError::Refused(format!(
                    "the {what} {name:?} exists with other properties ({}); delete it when it is empty, or choose another prefix",
                    said.get_message(),
                ))
            }
            _ => BrokerError::Unavailable(format!("declare {what} {name}: {error}")),
        }),
    }
}

/// The server's reply code when something exists with other properties.
const PRECONDITION_FAILED: u16 = 406;

/// How many messages are ready, put off and with nobody, and given up.
pub(super) async fn depth(
    link: &Link,
    settings: &RabbitSettings,
    service: &str,
) -> Result<(usize, usize, usize)> {
    let channel = link.channel().await?;
    let retrying = count(link, &channel, &retry(settings, service)).await?;
    let ready = count(link, &channel, &queue(settings, service)).await?;
    let dead = count(link, &channel, &dead(settings, service)).await?;
    Ok((ready, retrying, dead))
}

/// How many messages are ready in a queue that exists.
pub(super) async fn count(link: &Link, channel: &Channel, name: &str) -> Result<usize> {
    let options = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let asked = channel.queue_declare(short(name)?, options, FieldTable::default());
    let queue = link.ask(name, asked).await?;
    Ok(usize::try_from(queue.message_count()).unwrap_or(usize::MAX))
}

/// A name as AMQP carries it.
pub(super) fn short(name: &str) -> Result<ShortString> {
    ShortString::try_new(name)
        .map_err(|_| BrokerError::Refused(format!("{name:?} is longer than 255 bytes")))
}

/// One value in a table of the server.
pub(super) struct Value(AMQPValue);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(AMQPValue::LongString(text.into()))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self(AMQPValue::LongLongInt(number))
    }
}

pub(super) fn table(entries: &[(&str, Value)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, Value(value)) in entries {
        table.insert((*key).into(), value.clone());
    }
    table
}
