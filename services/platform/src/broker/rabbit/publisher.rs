//! Publishing in windows: everything is sent, then every confirm is awaited.
//!
//! A confirm means that the message is on disk in every queue that took it. Without one nothing is known.

use super::envelope::Outgoing;
use super::link::Link;
use super::{BrokerError, RabbitSettings, Result, Routing, topology};
use contract::Message;
use futures_util::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, PublisherConfirm};
use tokio::sync::Mutex;

/// Messages without a confirm at a time.
const WINDOW: usize = 1_024;

/// A channel with confirms. Empty while somebody uses it: who is dropped in the middle leaves nothing that the next
/// one could mistake for its own.
pub(super) type Confirming = Mutex<Option<Channel>>;

/// Publishes `batch` to the exchange.
///
/// A message that no queue takes is an error if somebody should hear it. With [`Routing::Topic`] there are types
/// that nobody hears; those are published for the taps, and vanish without one.
pub(super) async fn publish(
    link: &Link,
    settings: &RabbitSettings,
    batch: &[Message],
) -> Result<()> {
    let exchange = topology::short(&topology::exchange(settings))?;
    let outgoing = |message: &Message| {
        let mandatory = settings.queues.iter().any(|queue| match settings.routing {
            Routing::Fanout => true,
            Routing::Topic => queue.hears.iter().any(|kind| kind.as_str() == message.kind),
        });
        Outgoing::event(&exchange, message, mandatory)
    };
    let window = batch.iter().map(outgoing).collect::<Result<Vec<_>>>()?;
    send(link, &link.exchange, window).await
}

/// Sends a message to one queue.
pub(super) async fn put(link: &Link, outgoing: Outgoing) -> Result<()> {
    send(link, &link.queues, vec![outgoing]).await
}

/// Sends everything on the channel of `slot`, and waits for the confirms.
pub(super) async fn send(link: &Link, slot: &Confirming, outgoing: Vec<Outgoing>) -> Result<()> {
    if link.is_blocked() {
        return Err(blocked());
    }
    let waiting = tokio::time::timeout(link.timeout, slot.lock()).await;
    let mut slot = waiting
        .map_err(|_| BrokerError::Unavailable("publish: those before take too long".to_owned()))?;
    let channel = match slot.take() {
        Some(channel) => channel,
        None => confirming(link).await?,
    };
    let mut outgoing = outgoing.into_iter();
    while !outgoing.as_slice().is_empty() {
        let window = outgoing.by_ref().take(WINDOW);
        let sent = send_window(link, &channel, window).await;
        sent.map_err(|error| if link.is_blocked() { blocked() } else { error })?;
    }
    *slot = Some(channel);
    Ok(())
}

fn blocked() -> BrokerError {
    let why = "it takes no messages until it has memory and disk space again";
    BrokerError::Unavailable(why.to_owned())
}

async fn confirming(link: &Link) -> Result<Channel> {
    let channel = link.channel().await?;
    let selected = channel.confirm_select(ConfirmSelectOptions::default());
    link.ask("ask for confirms", selected).await?;
    Ok(channel)
}

async fn send_window(
    link: &Link,
    channel: &Channel,
    window: impl Iterator<Item = Outgoing>,
) -> Result<()> {
    let sent = window.map(|one| publish_one(channel, one));
    let confirms = link.ask("publish", try_join_all(sent)).await?;
    link.ask("confirm", confirmed(confirms)).await?
}

async fn publish_one(channel: &Channel, one: Outgoing) -> lapin::Result<PublisherConfirm> {
    let options = BasicPublishOptions {
        mandatory: one.mandatory,
        immediate: false,
    };
    let (exchange, key) = (one.exchange, one.key);
    let sent = channel.basic_publish(exchange, key, options, &one.body, one.properties);
    sent.await
}

async fn confirmed(confirms: Vec<PublisherConfirm>) -> lapin::Result<Result<()>> {
    let mut outcome = Ok(());
    // The last one first: by then the others are usually there, and nobody is woken for each.
    for confirm in confirms.into_iter().rev() {
        match confirm.await? {
            Confirmation::Ack(None) | Confirmation::NotRequested => {}
            Confirmation::Ack(Some(returned)) => {
                let (key, why) = (&returned.routing_key, &returned.reply_text);
                outcome = Err(BrokerError::Unavailable(format!(
                    "{key} reached no queue: {why}"
                )));
            }
            Confirmation::Nack(_) => {
                let why = "it could not store a message".to_owned();
                outcome = Err(BrokerError::Unavailable(why));
            }
        }
    }
    Ok(outcome)
}
