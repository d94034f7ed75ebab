//! A wire between a broker and its client that a story can cut or silence.

use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// A wire to a server, for as many connections as come.
pub struct Proxy {
    url: String,
    cut: Arc<Notify>,
    silent: watch::Sender<bool>,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// A wire to the server in `url`, an AMQP URL.
    #[expect(
        clippy::disallowed_methods,
        reason = "a story has no service whose tasks these could be"
    )]
    pub async fn start(url: &str) -> Self {
        let (before, server) = url.rsplit_once('@').expect("user and password in the URL");
        let (server, vhost) = server.split_once('/').expect("a vhost in the URL");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let cut = Arc::new(Notify::new());
        let (silent, hears) = watch::channel(false);
        let (server, cutter) = (server.to_owned(), Arc::clone(&cut));
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut wires = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, cut, hears) = (server.clone(), Arc::clone(&cutter), hears.clone());
                wires.spawn(async move {
                    let server = TcpStream::connect(server).await.unwrap();
                    let cut = cut.notified();
                    tokio::select! {
                        biased;
                        () = cut => {}
                        () = wire(client, server, hears) => {}
                    }
                });
            }
        });
        Self {
            url: format!("{before}@{own}/{vhost}"),
            cut,
            silent,
            _connections: connections,
        }
    }

    /// The URL of this end.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// Passes nothing on, in either direction, while it is true. Nobody is told.
    pub fn silence(&self, silent: bool) {
        self.silent.send_replace(silent);
    }
}

async fn wire(client: TcpStream, server: TcpStream, hears: watch::Receiver<bool>) {
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    tokio::select! {
        biased;
        () = pass(client_reads, server_writes, hears.clone()) => {}
        () = pass(server_reads, client_writes, hears) => {}
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut hears: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 * 1_024];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        if hears.wait_for(|silent| !silent).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
}
