//! Products: what there is, what it costs, and who has reserved it.
//!
//! Owns the tables `products` and `reservations`. Says `reservation.created`, `reservation.failed`,
//! `reservation.consumed`, `reservation.canceled`, `product.created`, `product.restocked`. Hears
//! `order.created`, `payment.processed`, `payment.failed`.
#![deny(missing_docs)]

mod api;
mod meters;
pub mod product;
mod reactions;
mod sql;

use contract::EventType;
use meters::Meters;
use platform::http::Api;
use platform::store::{Migration, Tx};
use platform::{BoxFuture, Context, Heard, Result, Said, Service};
use std::sync::Arc;

/// The service's name, and its queue's.
pub const NAME: &str = "products";

/// The events that it hears.
pub const HEARS: &[EventType] = &[
    EventType::OrderCreated,
    EventType::PaymentProcessed,
    EventType::PaymentFailed,
];

/// The products service.
pub struct Products {
    ctx: Context,
    meters: Meters,
}

impl Products {
    /// The service, to be run in `ctx`.
    pub fn new(ctx: &Context) -> Arc<Self> {
        Arc::new(Self {
            ctx: ctx.clone(),
            meters: Meters::new(ctx),
        })
    }
}

impl Service for Products {
    fn migrations(&self) -> &'static [Migration] {
        &[Migration {
            name: "products-0001",
            sql: include_str!("../migrations/0001_products.sql"),
        }]
    }

    fn api(&self, ctx: &Context) -> Api {
        api::routes(ctx)
    }

    fn hears(&self, kind: EventType) -> bool {
        HEARS.contains(&kind)
    }

    /// Every replica tells the same numbers, because they stand in the database that they share.
    fn measure<'a>(&'a self, ctx: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let tx = ctx.store().read().await?;
            self.meters.show(&sql::stock(&*tx).await?);
            Ok(())
        })
    }

    fn prepare<'t>(&'t self, tx: &'t dyn Tx, batch: &'t [&'t Heard]) -> BoxFuture<'t, Result<()>> {
        Box::pin(reactions::prepare(tx, batch))
    }

    fn react<'t>(
        &'t self,
        heard: &'t Heard,
        tx: &'t dyn Tx,
        said: &'t mut Said,
    ) -> BoxFuture<'t, Result<()>> {
        Box::pin(reactions::react(&self.ctx, heard, tx, said))
    }
}
