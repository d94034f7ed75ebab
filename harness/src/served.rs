//! A router that is served on a thread of its own, for as long as somebody holds it.

use axum::Router;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// The thread. It ends when this is dropped, and with it what is still in work.
pub(crate) struct Served {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Serves `router` to whoever comes to `listener`, on a thread that is called `name`.
    pub(crate) fn start(
        listener: TcpListener,
        name: &str,
        router: Router,
    ) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, mut stopped) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let listener = tokio::net::TcpListener::from_std(listener)
                        .expect("a listener that does not block");
                    tokio::select! {
                        biased;
                        // A sender that is gone wants to stop, too.
                        _ = stopped.wait_for(|stopped| *stopped) => {}
                        _ = axum::serve(listener, router) => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}
