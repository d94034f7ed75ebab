//! A TCP proxy between a service and an engine, with which the network between them can be broken while it is in use.
//!
//! It has a thread of its own, so that whoever breaks the network never waits for whoever uses it, and counts what it
//! did. Its buffers are bounded: who sends faster than the proxy passes on is held up, as by a real network.

mod pump;

use pump::{Counters, pump};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as heard;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// Connections at a time; more are closed as they come.
const CONNECTIONS_MAX: usize = 1_024;
/// How long the proxy may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// It is as good as it can be.
    #[default]
    Good,
    /// All connections are closed, and new ones are refused.
    Cut,
    /// Each piece arrives so much later, in both directions; the order is kept.
    Delay(Duration),
    /// At most so many bytes a second go through each connection, in each direction.
    Throttle(u64),
    /// Nothing arrives any more, and nobody is told: connections stay open, and new ones are accepted.
    HalfOpen,
}

/// What a proxy did since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Connections that the proxy closed because it was told to.
    pub cut: u64,
    /// Connections that were open, or came, while nothing arrived.
    pub silenced: u64,
    /// Bytes that were passed on.
    pub bytes: u64,
    /// Bytes among them that were delayed or throttled.
    pub bytes_held: u64,
}

/// A proxy in front of one address; everything ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    orders: Option<mpsc::Sender<Order>>,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<()>>,
}

/// What it is told, and where it says that this is so now.
type Order = (Network, heard::SyncSender<std::io::Result<()>>);

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes everything on to `to`.
    ///
    /// # Errors
    /// When there is no port or no thread.
    pub fn start(to: SocketAddr) -> std::io::Result<Self> {
        // Not one that the system might give to somebody else while connections are refused.
        let port = crate::engines::free_port()?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (orders, told) = mpsc::channel(1);
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let thread = std::thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || {
                let gate = Gate::new(address, to, shared);
                runtime.block_on(gate.run(listener, told));
            })?;
        Ok(Self {
            address,
            orders: Some(orders),
            counters,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the network so, and returns when it is: after a cut no connection is left. Blocks for a moment.
    ///
    /// # Errors
    /// When it does not come about in time.
    pub fn set(&self, network: Network) -> std::io::Result<()> {
        let (done, is_done) = heard::sync_channel(1);
        let orders = self.orders.as_ref().expect("there until it is dropped");
        let gone = |_| std::io::Error::other("the proxy is gone");
        orders.try_send((network, done)).map_err(gone)?;
        let late = |error| std::io::Error::other(format!("the proxy does not answer: {error}"));
        is_done.recv_timeout(PATIENCE).map_err(late)?
    }

    /// As good as it can be again: what was held goes on at once.
    ///
    /// # Errors
    /// When it does not come about in time.
    pub fn heal(&self) -> std::io::Result<()> {
        self.set(Network::Good)
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        Counts {
            accepted: read(&counters.accepted),
            open: read(&counters.open),
            cut: read(&counters.cut),
            silenced: read(&counters.silenced),
            bytes: read(&counters.bytes),
            bytes_held: read(&counters.bytes_held),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked it is gone as well.
            let _ = thread.join();
        }
    }
}

/// Where connections come in.
struct Gate {
    address: SocketAddr,
    to: SocketAddr,
    network: watch::Sender<Network>,
    counters: Arc<Counters>,
    /// Told whenever a connection has gone.
    gone: Arc<Notify>,
    connections: JoinSet<()>,
}

impl Gate {
    fn new(address: SocketAddr, to: SocketAddr, counters: Arc<Counters>) -> Self {
        Self {
            address,
            to,
            network: watch::Sender::new(Network::Good),
            counters,
            gone: Arc::default(),
            connections: JoinSet::new(),
        }
    }

    /// Until nobody can tell it anything any more.
    async fn run(mut self, listener: std::net::TcpListener, mut told: mpsc::Receiver<Order>) {
        let mut listener = TcpListener::from_std(listener).ok();
        loop {
            tokio::select! {
                biased;
                order = told.recv() => {
                    let Some((network, done)) = order else { return };
                    // Who gave the order may have lost patience.
                    let _ = done.try_send(self.obey(network, &mut listener).await);
                }
                stream = accept(listener.as_ref()) => self.accepted(stream),
            }
            while self.connections.try_join_next().is_some() {}
        }
    }

    async fn obey(
        &self,
        network: Network,
        listener: &mut Option<TcpListener>,
    ) -> std::io::Result<()> {
        if network == Network::Cut {
            *listener = None;
        }
        if network == Network::HalfOpen {
            let open = self.counters.open.load(Ordering::Relaxed);
            self.counters.silenced.fetch_add(open, Ordering::Relaxed);
        }
        self.network.send_replace(network);
        if network == Network::Cut {
            while self.counters.open.load(Ordering::Relaxed) > 0 {
                self.gone.notified().await;
            }
        } else if listener.is_none() {
            *listener = Some(TcpListener::bind(self.address).await?);
        }
        Ok(())
    }

    fn accepted(&mut self, stream: TcpStream) {
        let counters = Arc::clone(&self.counters);
        if counters.open.load(Ordering::Relaxed) >= CONNECTIONS_MAX as u64 {
            return;
        }
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        counters.open.fetch_add(1, Ordering::Relaxed);
        let network = self.network.subscribe();
        if *network.borrow() == Network::HalfOpen {
            counters.silenced.fetch_add(1, Ordering::Relaxed);
        }
        let (to, gone) = (self.to, Arc::clone(&self.gone));
        self.connections.spawn(async move {
            // Whatever ends it, both ends see that it has ended.
            let _ = connection(stream, to, network.clone(), &counters).await;
            if *network.borrow() == Network::Cut {
                counters.cut.fetch_add(1, Ordering::Relaxed);
            }
            counters.open.fetch_sub(1, Ordering::Relaxed);
            gone.notify_one();
        });
    }
}

/// The next connection; none comes while nobody listens.
async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Too many files, or a client that has gone already: the next one may be luckier.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// From its beginning to its end.
async fn connection(
    near: TcpStream,
    to: SocketAddr,
    mut network: watch::Receiver<Network>,
    counters: &Counters,
) -> std::io::Result<()> {
    while *network.borrow_and_update() == Network::HalfOpen {
        network.changed().await.map_err(std::io::Error::other)?;
    }
    let far = tokio::select! {
        biased;
        () = is_cut(network.clone()) => return Err(ErrorKind::ConnectionAborted.into()),
        far = TcpStream::connect(to) => far?,
    };
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_in, near_out) = near.into_split();
    let (far_in, far_out) = far.into_split();
    let there = pump(near_in, far_out, network.clone(), counters);
    let back = pump(far_in, near_out, network, counters);
    tokio::try_join!(there, back).map(|_| ())
}

/// Returns when the network is cut.
async fn is_cut(mut network: watch::Receiver<Network>) {
    if network.wait_for(|now| *now == Network::Cut).await.is_err() {
        // Nobody is there any more who could cut it.
        std::future::pending::<()>().await;
    }
}
