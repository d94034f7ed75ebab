//! For tests and the harness: everything that a shop declared is removed again.

use super::link::{Address, Link};
use super::topology::{exchange, queues, short, tap};
use super::{RabbitSettings, Result, Routing};
use futures_util::future::try_join_all;
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};

/// Removes every queue and exchange that `settings` stand for, with the messages in them. What is not there is no
/// error.
///
/// # Errors
/// [`super::BrokerError::Unavailable`] when the server cannot be asked.
pub async fn delete_all(settings: &RabbitSettings) -> Result<()> {
    let link = connect(settings).await?;
    // Each takes the server a while; on channels of their own they do not wait for each other.
    let services = settings.queues.iter().map(async |service| {
        let channel = link.channel().await?;
        for name in queues(settings, service.service) {
            let deleted = channel.queue_delete(short(&name)?, QueueDeleteOptions::default());
            link.ask(&name, deleted).await?;
        }
        Ok(())
    });
    try_join_all(services).await?;
    let channel = link.channel().await?;
    for routing in [Routing::Fanout, Routing::Topic] {
        let name = exchange(&RabbitSettings {
            routing,
            ..settings.clone()
        });
        let deleted = channel.exchange_delete(short(&name)?, ExchangeDeleteOptions::default());
        link.ask(&name, deleted).await?;
    }
    link.close().await
}

/// Removes the queue of the tap `name`, whoever opened it.
///
/// # Errors
/// [`super::BrokerError::Unavailable`] when the server cannot be asked.
pub async fn delete_tap(settings: &RabbitSettings, name: &str) -> Result<()> {
    let link = connect(settings).await?;
    let name = tap(settings, name);
    let channel = link.channel().await?;
    let deleted = channel.queue_delete(short(&name)?, QueueDeleteOptions::default());
    link.ask(&name, deleted).await?;
    link.close().await
}

async fn connect(settings: &RabbitSettings) -> Result<Link> {
    Link::connect(settings, &Address::new(settings)?, "admin").await
}
