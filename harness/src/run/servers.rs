//! The servers of a distributed run, and everything that is asked of them directly: names made and taken away,
//! versions.

use platform::Endpoint;
use platform::broker::{Queue, RabbitSettings, Routing};
use platform::store::postgres::admin;
use platform::store::{Postgres, PostgresSettings, Store};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the servers call us in their lists of connections.
const APPLICATION: &str = "crashcart";
/// How long a server may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// The servers of a run.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    pub(super) postgres: String,
    pub(super) amqp: String,
}

impl Servers {
    /// Makes an empty database; returns its URL.
    pub(super) async fn create_database(&self, name: &str) -> Result<String, String> {
        let created = admin::create_database(&self.postgres, name).await;
        created.map_err(|error| format!("{}: {error}", veiled(&self.postgres)))?;
        Ok(admin::url_of(&self.postgres, name))
    }

    /// Takes a database away, whoever still uses it.
    pub(super) async fn drop_database(&self, name: &str) -> Result<(), String> {
        let dropped = admin::drop_database(&self.postgres, name).await;
        dropped.map_err(|error| format!("{}: {error}", veiled(&self.postgres)))
    }

    /// Takes away every name on the broker that a shop with this prefix has made, and who listened there.
    pub(super) async fn delete_all(&self, prefix: &str, routing: Routing) -> Result<(), String> {
        let mut settings = rabbit(&self.amqp, prefix, routing);
        let queues = shop::QUEUES.into_iter().chain([super::tap::NAME]);
        let queue = |service| Queue {
            service,
            hears: Vec::new(),
        };
        settings.queues = queues.map(queue).collect();
        let deleted = platform::broker::rabbit::admin::delete_all(&settings).await;
        deleted.map_err(|error| format!("{}: {error}", veiled(&self.amqp)))
    }

    /// The version of PostgreSQL.
    pub(super) async fn postgres_version(&self) -> Option<String> {
        let settings = PostgresSettings::new(&self.postgres, APPLICATION);
        let asked = async {
            let tx = Postgres::new(settings).ok()?.read().await.ok()?;
            let rows = tx.query("select current_setting('server_version')", &[]);
            rows.await.ok()?.first()?.get::<String>(0).ok()
        };
        tokio::time::timeout(PATIENCE, asked).await.ok()?
    }

    /// The version of RabbitMQ.
    pub(super) async fn rabbitmq_version(&self) -> Option<String> {
        rabbitmq_version(&self.amqp).await
    }
}

/// Where the exchange of a shop is; its queues are no business of ours.
pub(super) fn rabbit(amqp: &str, prefix: &str, routing: Routing) -> RabbitSettings {
    RabbitSettings {
        prefix: prefix.to_owned(),
        routing,
        ..RabbitSettings::new(amqp, APPLICATION, Vec::new())
    }
}

/// What a broker says of itself before anybody has logged in; none when it cannot be reached in the clear.
pub(super) async fn rabbitmq_version(amqp: &str) -> Option<String> {
    let endpoint = Endpoint::of(amqp).filter(|endpoint| endpoint.scheme() == "amqp")?;
    let asked = async {
        let address = (endpoint.host(), endpoint.port());
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await.ok()?;
        let mut head = [0; 7];
        stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        let mut body = vec![0; usize::try_from(length.min(65_536)).ok()?];
        stream.read_exact(&mut body).await.ok()?;
        version_in(&body)
    };
    tokio::time::timeout(PATIENCE, asked).await.ok()?
}

/// The field `version` among the properties of a server: a short name, `S`, a length, the text.
fn version_in(start: &[u8]) -> Option<String> {
    let name = b"\x07versionS";
    let at = start
        .windows(name.len())
        .position(|window| window == name)?
        + name.len();
    let length = start.get(at..at + 4)?;
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    let text = start.get(at + 4..)?.get(..usize::try_from(length).ok()?)?;
    String::from_utf8(text.to_vec()).ok()
}

/// A URL without its password, to be shown and written down. That of `guest` is no secret.
pub fn veiled(url: &str) -> String {
    let veiled = url.split_once("://").and_then(|(scheme, rest)| {
        let (user, host) = rest.split_once('@')?;
        let (name, password) = user.split_once(':')?;
        let is_secret = (name, password) != ("guest", "guest");
        is_secret.then(|| format!("{scheme}://{name}:…@{host}"))
    });
    veiled.unwrap_or_else(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_among_the_properties_of_a_server() {
        let start = b"\x00\x0a\x00\x0a\x00\x09\x07productS\x00\x00\x00\x08RabbitMQ\x07versionS\x00\x00\x00\x063.10.8";
        assert_eq!(version_in(start), Some("3.10.8".to_owned()));
        assert_eq!(version_in(b"\x07versionS\x00\x00\x00\x09"), None);
        assert_eq!(version_in(b""), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        let url = "amqp://guest:secret@mq:5673/%2f";
        assert_eq!(veiled(url), "amqp://guest:…@mq:5673/%2f");
        let url = "postgres://postgres@127.0.0.1/postgres";
        assert_eq!(veiled(url), url);
    }
}
