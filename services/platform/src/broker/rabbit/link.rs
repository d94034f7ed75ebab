//! A line to the server: one connection, made when it is needed, ended by the first thing that goes wrong on it.
//!
//! Nobody retries in here. While the server is away callers fail fast, and their own loops come again.

use super::publisher::Confirming;
use super::{BrokerError, RabbitSettings, Result, topology};
use crate::backoff::{Backoff, PAUSE_MAX};
use lapin::tcp::{AMQPUriTcpExt, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Channel, Connection, ConnectionProperties};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Seconds between signs of life; a connection without any for twice as long is dead.
const HEARTBEAT_S: u16 = 5;
/// lapin keeps 32 frames of buffer for each direction.
const FRAME_BYTES_MAX: u32 = 64 * 1_024;

/// Where the server is, and whom to trust there.
#[derive(Clone)]
pub(super) struct Address {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
}

impl Address {
    pub(super) fn new(settings: &RabbitSettings) -> Result<Self> {
        // The URL itself is not repeated: there is a password in it.
        let unreadable = |error: String| {
            let form = "amqp://user:password@host:port/vhost";
            BrokerError::Refused(format!("the broker's URL: {error}; it looks like {form}"))
        };
        let mut uri: AMQPUri = settings.url.parse().map_err(unreadable)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        uri.query.frame_max.get_or_insert(FRAME_BYTES_MAX);
        let mut tls = OwnedTLSConfig::default();
        if let Some(path) = &settings.ca {
            let read = std::fs::read_to_string(path);
            let pem = read.map_err(|error| {
                BrokerError::Refused(format!("the certificates in {}: {error}", path.display()))
            })?;
            if !pem.contains("-----BEGIN CERTIFICATE-----") {
                let why = format!("{} holds no certificate in PEM format", path.display());
                return Err(BrokerError::Refused(why));
            }
            tls.cert_chain = Some(pem);
        }
        Ok(Self { uri, tls })
    }
}

/// A connection for one purpose, made again after it was lost.
pub(super) struct Line {
    settings: Arc<RabbitSettings>,
    address: Address,
    purpose: &'static str,
    state: Mutex<State>,
    connecting: tokio::sync::Mutex<()>,
}

struct State {
    link: Option<Arc<Link>>,
    backoff: Backoff,
    /// Why there is no connection.
    why: BrokerError,
}

impl Line {
    pub(super) fn new(
        settings: &Arc<RabbitSettings>,
        address: Address,
        purpose: &'static str,
    ) -> Self {
        Self {
            settings: Arc::clone(settings),
            address,
            purpose,
            state: Mutex::new(State {
                link: None,
                backoff: Backoff::new(),
                why: BrokerError::Unavailable("nobody has connected yet".to_owned()),
            }),
            connecting: tokio::sync::Mutex::default(),
        }
    }

    /// The connection, if need be a new one.
    ///
    /// # Errors
    /// At once while the last failure is fresh.
    pub(super) async fn link(&self) -> Result<Arc<Link>> {
        if let Some(link) = self.usable()? {
            return Ok(link);
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(link) = self.usable()? {
            return Ok(link);
        }
        match Link::open(&self.settings, &self.address, self.purpose).await {
            Ok(link) => {
                let link = Arc::new(link);
                self.state().link = Some(Arc::clone(&link));
                Ok(link)
            }
            Err(error) => {
                self.state().failed(error.clone());
                Err(error)
            }
        }
    }

    /// A connection of its own for something short, with nothing declared on it.
    pub(super) async fn another(&self, purpose: &str) -> Result<Link> {
        Link::connect(&self.settings, &self.address, purpose).await
    }

    fn usable(&self) -> Result<Option<Arc<Link>>> {
        let mut state = self.state();
        if let Some(link) = &state.link {
            if link.connection.status().connected() {
                return Ok(Some(Arc::clone(link)));
            }
            state.lost(BrokerError::Unavailable(
                "the connection was lost".to_owned(),
            ));
        }
        if state.backoff.is_early() {
            return Err(state.why.clone());
        }
        Ok(None)
    }

    /// Passes `outcome` on; an outage in it ends `link`.
    pub(super) fn judge<T>(&self, link: &Arc<Link>, outcome: Result<T>) -> Result<T> {
        if let Err(error @ BrokerError::Unavailable(_)) = &outcome {
            let mut state = self.state();
            let is_current = state
                .link
                .as_ref()
                .is_some_and(|own| Arc::ptr_eq(own, link));
            // A server that blocks publishers is alive, and would block a new connection too.
            if is_current && !link.is_blocked() {
                state.lost(error.clone());
            }
        }
        outcome
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lost(&mut self, error: BrokerError) {
        if let Some(link) = self.link.take() {
            link.cut();
            if link.since.elapsed() > PAUSE_MAX {
                self.backoff.opened();
            }
        }
        self.failed(error);
    }

    fn failed(&mut self, error: BrokerError) {
        self.backoff.failed();
        self.why = error;
    }
}

/// A connection with the topology declared on it.
pub(super) struct Link {
    connection: Connection,
    socket: Arc<Mutex<Option<TcpStream>>>,
    since: Instant,
    /// How long the server may take to answer.
    pub(super) timeout: Duration,
    /// For the exchange, and for messages that go to one queue.
    pub(super) exchange: Confirming,
    pub(super) queues: Confirming,
}

impl Link {
    pub(super) async fn open(
        settings: &RabbitSettings,
        address: &Address,
        purpose: &str,
    ) -> Result<Self> {
        let link = Self::connect(settings, address, purpose).await?;
        let declared = match link.channel().await {
            Ok(channel) => topology::declare(&link, &channel, settings).await,
            Err(error) => Err(error),
        };
        if let Err(error) = declared {
            link.cut();
            return Err(error);
        }
        Ok(link)
    }

    /// A connection on which nothing is declared.
    pub(super) async fn connect(
        settings: &RabbitSettings,
        address: &Address,
        purpose: &str,
    ) -> Result<Self> {
        let timeout = settings.timeout;
        let socket = Arc::default();
        let connecting = connect(settings, address, purpose, Arc::clone(&socket));
        let connected = within(timeout, "connect", connecting).await;
        match connected {
            Ok(connection) => Ok(Self {
                connection,
                socket,
                since: Instant::now(),
                timeout,
                exchange: Confirming::default(),
                queues: Confirming::default(),
            }),
            Err(error) => {
                // Or a server that accepts and says nothing would keep lapin's thread for ever.
                cut(&socket);
                Err(error)
            }
        }
    }

    /// A channel of its own for somebody.
    pub(super) async fn channel(&self) -> Result<Channel> {
        self.ask("open a channel", self.connection.create_channel())
            .await
    }

    /// Waits for the server's answer, but not for ever.
    pub(super) async fn ask<T>(
        &self,
        what: &str,
        answer: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T> {
        within(self.timeout, what, answer).await
    }

    /// Whether the server takes no messages for want of memory or disk space.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Ends the connection in good order.
    pub(super) async fn close(&self) -> Result<()> {
        self.ask("close", self.connection.close(200, "OK".into()))
            .await
    }

    /// Ends the connection without asking anybody.
    pub(super) fn cut(&self) {
        cut(&self.socket);
    }
}

fn cut(socket: &Mutex<Option<TcpStream>>) {
    let socket = socket.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(socket) = socket {
        // An error means that it is over already.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

async fn connect(
    settings: &RabbitSettings,
    Address { uri, tls }: &Address,
    purpose: &str,
    socket: Arc<Mutex<Option<TcpStream>>>,
) -> lapin::Result<Connection> {
    let name = format!("{}: {purpose}", settings.application);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let (timeout, tls) = (settings.timeout, tls.clone());
    let runtime = lapin::runtime::default_runtime()?;
    Connection::connector(
        uri.clone(),
        runtime,
        async move |uri, runtime| {
            let plain = AMQPUri {
                scheme: AMQPScheme::AMQP,
                ..uri.clone()
            };
            let connected = async {
                let stream = plain
                    .connect_with_config_async(tls.as_ref(), &runtime)
                    .await?;
                if let AsyncTcpStream::Plain(stream) = &stream {
                    let own = TcpStream::from(stream.get_ref().as_fd().try_clone_to_owned()?);
                    *socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
                }
                match uri.scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, tls.as_ref()).await,
                }
            };
            let outcome = tokio::time::timeout(timeout, connected).await;
            Ok(outcome.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))?)
        },
        properties,
    )
    .await
}

/// Waits for an answer, but not for ever.
pub(super) async fn within<T>(
    timeout: Duration,
    what: &str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(timeout, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(BrokerError::Unavailable(format!("{what}: {error}"))),
        Err(_) => Err(BrokerError::Unavailable(format!(
            "{what}: no answer within {timeout:?}"
        ))),
    }
}
