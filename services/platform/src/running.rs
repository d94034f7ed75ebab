//! Runs a service: brings its schema up to date, starts its loops, serves it, drains it.

use crate::http::Server;
use crate::store::migrate;
use crate::{Context, Result, Service, committer, consumer, idempotency, relay};
use axum::{Extension, Router};
use contract::EventType;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// A service that runs.
pub struct Running {
    ctx: Context,
    /// Its endpoints, for calls without a socket.
    pub router: Router,
}

impl Running {
    /// Brings the schema up to date and starts the loops of `service`.
    pub async fn start(ctx: Context, service: Arc<dyn Service>) -> Result<Self> {
        migrate(ctx.store(), service.migrations()).await?;
        ctx.metrics().begin_at_zero(|kind| service.hears(kind));
        let router = service.api(&ctx).into_router(&ctx);
        let router = router.layer(Extension(Arc::clone(&service)));
        service.start(&ctx).await?;
        ctx.spawn_loop("committer", committer::run(ctx.clone()));
        ctx.spawn_loop("relay", relay::run(ctx.clone()));
        ctx.spawn_loop("sweeper", relay::sweep(ctx.clone()));
        ctx.spawn_loop("housekeeper", housekeep(ctx.clone()));
        if EventType::ALL.iter().any(|kind| service.hears(*kind)) {
            ctx.spawn_loop("consumer", consumer::run(ctx.clone(), service));
        } else {
            ctx.metrics().consuming.set(1);
        }
        Ok(Self { ctx, router })
    }

    /// The service's context.
    pub fn context(&self) -> &Context {
        &self.ctx
    }

    /// Serves HTTP on `listener` until [`Context::stop`], then drains: requests in work are answered and what
    /// they said is published, within `bound`. Then every task is aborted.
    pub async fn serve(self, listener: TcpListener, bound: Duration) {
        let server = Server::start(&self.ctx, listener, self.router);
        self.ctx.stopping().await;
        let drained = tokio::time::timeout(bound, async {
            server.drained().await;
            while self.ctx.relay().in_flight_len() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                ?bound,
                "not drained in time; what is left is in the event log"
            );
        }
        self.ctx.aborted().await;
    }
}

/// Forgets what need not be kept.
async fn housekeep(ctx: Context) {
    loop {
        tokio::time::sleep(ctx.jittered(Duration::from_secs(60))).await;
        let kept_us = i64::try_from(ctx.settings().keys_kept.as_micros()).unwrap_or(i64::MAX);
        loop {
            match forget_some(&ctx, ctx.now_us() - kept_us).await {
                Ok(0) => break,
                // Others get their turn between two rounds.
                Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(error) => {
                    tracing::warn!(%error, "old idempotency keys could not be removed");
                    break;
                }
            }
        }
    }
}

async fn forget_some(ctx: &Context, before_us: i64) -> Result<u64> {
    let tx = ctx.store().begin().await?;
    let forgotten = idempotency::forget(&*tx, before_us).await?;
    if forgotten > 0 {
        tx.commit().await?;
    }
    Ok(forgotten)
}
