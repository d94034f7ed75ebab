//! A line between a service and an engine that can be cut and mended.

use platform::Endpoint;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes bytes on, until it is cut.
pub struct Line {
    /// Where it begins.
    pub address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Line {
    /// A line to `endpoint`. It runs on a thread of its own, because stories wait for processes.
    pub fn to(endpoint: Endpoint<'_>) -> Self {
        let target = endpoint.address().expect("the engine's address");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let whole = watch::Sender::new(true);
        let seen = whole.subscribe();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((near, _)) = listener.accept().await {
                    tokio::spawn(pass(near, target, seen.clone()));
                }
            });
        });
        Self { address, whole }
    }

    /// Ends all connections; new ones end at once.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, mut whole: watch::Receiver<bool>) {
    if !*whole.borrow() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        biased;
        _ = whole.wait_for(|whole| !whole) => {}
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
    }
}
