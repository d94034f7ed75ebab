//! For tests and the harness: everything that a shop declared is removed again.

use super::link::{Address, Link};
use super::topology::{exchange, queues, short};
use super::{RabbitSettings, Result, Routing};
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};

/// Removes every queue and exchange that `settings` stand for, with the messages in them. What is not there is no
/// error.
///
/// # Errors
/// [`super::BrokerError::Unavailable`] when the server cannot be asked.
pub async fn delete_all(settings: &RabbitSettings) -> Result<()> {
    let link = Link::connect(settings, &Address::new(settings)?, "admin").await?;
    let channel = link.channel().await?;
    for service in &settings.queues {
        for name in queues(settings, service.service) {
            let deleted = channel.queue_delete(short(&name)?, QueueDeleteOptions::default());
            link.ask(&name, deleted).await?;
        }
    }
    for routing in [Routing::Fanout, Routing::Topic] {
        let name = exchange(&RabbitSettings {
            routing,
            ..settings.clone()
        });
        let deleted = channel.exchange_delete(short(&name)?, ExchangeDeleteOptions::default());
        link.ask(&name, deleted).await?;
    }
    Ok(())
}
