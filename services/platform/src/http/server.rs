//! Accepts connections and serves them as tasks of the service, so that a crash takes them along.

use crate::Context;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A server that takes connections until its service is told to stop.
pub struct Server {
    ctx: Context,
    connections: Arc<Semaphore>,
}

impl Server {
    /// Serves `router` on `listener`.
    pub fn start(ctx: &Context, listener: TcpListener, router: Router) -> Self {
        let connections = Arc::new(Semaphore::new(ctx.settings().connections_max));
        ctx.spawn(
            "http",
            accept(ctx.clone(), listener, router, Arc::clone(&connections)),
        );
        Self {
            ctx: ctx.clone(),
            connections,
        }
    }

    /// Returns when the requests in work are answered and all connections are closed.
    pub async fn drained(self) {
        let all = u32::try_from(self.ctx.settings().connections_max).unwrap_or(u32::MAX);
        // An error cannot happen: nobody closes the semaphore.
        let _ = self.connections.acquire_many(all).await;
    }
}

async fn accept(ctx: Context, listener: TcpListener, router: Router, connections: Arc<Semaphore>) {
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            biased;
            () = ctx.stopping() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let serving = serve(ctx.clone(), stream, router.clone());
                ctx.spawn("connection", async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn serve(ctx: Context, stream: TcpStream, router: Router) {
    // Answers are small and each is waited for; without this the kernel holds them back.
    let _ = stream.set_nodelay(true);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ctx.settings().read_timeout)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        biased;
        ended = connection.as_mut() => return log_end(ended),
        () = ctx.stopping() => connection.as_mut().graceful_shutdown(),
    }
    log_end(connection.await);
}

fn log_end(ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
