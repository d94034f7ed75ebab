//! Orders: takes them from clients and brings each to its end.
//!
//! Owns the table `orders`. Says `order.created`, `order.finished`, `order.canceled`. Hears
//! `reservation.failed`, `reservation.consumed`, `reservation.canceled`.
#![deny(missing_docs)]

mod api;
pub mod order;
mod reactions;
mod sql;

use contract::{Bug, EventType};
use platform::http::Api;
use platform::store::{Migration, Tx};
use platform::waiting::Waiting;
use platform::{BoxFuture, Context, Heard, Result, Said, Service, planted};
use std::sync::Arc;
use std::time::Duration;

/// The service's name, and its queue's.
pub const NAME: &str = "orders";

/// The orders service.
pub struct Orders {
    ctx: Context,
    waiting: Waiting,
}

impl Orders {
    /// The service, to be run in `ctx`.
    pub fn new(ctx: &Context) -> Arc<Self> {
        Arc::new(Self {
            ctx: ctx.clone(),
            waiting: Waiting::default(),
        })
    }
}

impl Service for Orders {
    fn migrations(&self) -> &'static [Migration] {
        &[Migration {
            name: "orders-0001",
            sql: include_str!("../migrations/0001_orders.sql"),
        }]
    }

    fn api(&self, ctx: &Context) -> Api {
        api::routes(ctx, &self.waiting)
    }

    fn hears(&self, kind: EventType) -> bool {
        matches!(
            kind,
            EventType::ReservationFailed
                | EventType::ReservationConsumed
                | EventType::ReservationCanceled
        ) || (kind == EventType::ReservationCreated && planted!(self.ctx, Bug::FinishBeforeConsume))
    }

    fn react<'t>(
        &'t self,
        heard: &'t Heard,
        tx: &'t dyn Tx,
        said: &'t mut Said,
    ) -> BoxFuture<'t, Result<()>> {
        Box::pin(reactions::react(self, heard, tx, said))
    }

    fn start<'a>(&'a self, ctx: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            count_again(ctx).await?;
            ctx.spawn_loop("count again", recount(ctx.clone()));
            Ok(())
        })
    }
}

/// Counts the open sagas whenever a commit may or may not have begun or ended some.
async fn recount(ctx: Context) {
    loop {
        ctx.in_doubt().await;
        while count_again(&ctx).await.is_err() {
            tokio::time::sleep(ctx.jittered(Duration::from_millis(200))).await;
        }
    }
}

async fn count_again(ctx: &Context) -> Result<()> {
    let tx = ctx.store().read().await?;
    ctx.metrics()
        .sagas_in_flight
        .set(sql::count_open(&*tx).await?);
    Ok(())
}
