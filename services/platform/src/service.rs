//! What a service brings, and how the platform runs it.

use crate::http::{Api, Server};
use crate::store::{Migration, Tx, migrate};
use crate::{
    BoxFuture, Context, Origin, Result, Said, Trace, committer, consumer, idempotency, relay,
};
use axum::Router;
use contract::{Event, EventType, MessageId};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// A message as a service hears it.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The message's id: the cause of whatever is said in answer.
    pub id: MessageId,
    /// The event.
    pub event: Event,
    /// When it was said, microseconds since 1970.
    pub time_us: i64,
    /// The trace that it belongs to.
    pub trace: Trace,
}

impl Heard {
    /// What is said in answer comes from this message.
    pub fn origin(&self) -> Origin {
        Origin {
            cause: Some(self.id),
            trace: self.trace.clone(),
        }
    }
}

/// A service: a schema, an API, and its reactions.
pub trait Service: Send + Sync + 'static {
    /// Its schema.
    fn migrations(&self) -> &'static [Migration];

    /// Its endpoints.
    fn api(&self, ctx: &Context) -> Api;

    /// Whether it reacts to this type of event.
    fn hears(&self, kind: EventType) -> bool;

    /// Called before the reactions of a batch, to lock what they will change in one order.
    fn prepare<'t>(
        &'t self,
        _tx: &'t dyn Tx,
        _batch: &'t [&'t Heard],
    ) -> BoxFuture<'t, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Applies one event. It may run again on another transaction when this one fails.
    fn react<'t>(
        &'t self,
        heard: &'t Heard,
        tx: &'t dyn Tx,
        said: &'t mut Said,
    ) -> BoxFuture<'t, Result<()>>;

    /// Looks at what it finds and starts loops of its own; called once, before anything else runs.
    fn start<'a>(&'a self, _ctx: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

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
        let router = service.api(&ctx).into_router(&ctx);
        service.start(&ctx).await?;
        ctx.spawn("committer", committer::run(ctx.clone()));
        ctx.spawn("relay", relay::run(ctx.clone()));
        ctx.spawn("sweeper", relay::sweep(ctx.clone()));
        ctx.spawn("housekeeper", housekeep(ctx.clone()));
        if EventType::ALL.iter().any(|kind| service.hears(*kind)) {
            ctx.spawn("consumer", consumer::run(ctx.clone(), service));
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
        let forgotten: Result<u64> = async {
            let tx = ctx.store().begin().await?;
            let forgotten = idempotency::forget(&*tx, ctx.now_us() - kept_us).await?;
            tx.commit().await?;
            Ok(forgotten)
        }
        .await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "old idempotency keys could not be removed");
        }
    }
}
