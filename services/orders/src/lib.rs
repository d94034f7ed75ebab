//! Orders: takes them from clients and brings each to its end.
//!
//! Owns the table `orders`. Says `order.created`, `order.finished`, `order.canceled`. Hears
//! `reservation.failed`, `reservation.consumed`, `reservation.canceled`.
#![deny(missing_docs)]

mod api;
mod meters;
pub mod order;
mod reactions;
mod sql;

use contract::{Bug, EventType};
use meters::Meters;
use platform::http::Api;
use platform::store::{Migration, Tx};
use platform::waiting::Waiting;
use platform::{BoxFuture, Context, Heard, Result, Said, Service, planted};
use std::sync::Arc;

/// The service's name, and its queue's.
pub const NAME: &str = "orders";

/// The events that it hears.
pub const HEARS: &[EventType] = &[
    EventType::ReservationFailed,
    EventType::ReservationConsumed,
    EventType::ReservationCanceled,
];

/// The orders service.
pub struct Orders {
    ctx: Context,
    waiting: Waiting<sql::Ended>,
    meters: Meters,
}

impl Orders {
    /// The service, to be run in `ctx`.
    pub fn new(ctx: &Context) -> Arc<Self> {
        Arc::new(Self {
            ctx: ctx.clone(),
            waiting: Waiting::default(),
            meters: Meters::new(ctx),
        })
    }
}

impl Service for Orders {
    fn migrations(&self) -> &'static [Migration] {
        &[
            Migration {
                name: "orders-0001",
                sql: include_str!("../migrations/0001_orders.sql"),
            },
            Migration {
                name: "orders-0002",
                sql: include_str!("../migrations/0002_open.sql"),
            },
        ]
    }

    fn api(&self, ctx: &Context) -> Api {
        api::routes(ctx, &self.waiting, &self.meters)
    }

    fn hears(&self, kind: EventType) -> bool {
        HEARS.contains(&kind)
            || (kind == EventType::ReservationCreated
                && planted!(self.ctx, Bug::FinishBeforeConsume))
    }

    fn react<'t>(
        &'t self,
        heard: &'t Heard,
        tx: &'t dyn Tx,
        said: &'t mut Said,
    ) -> BoxFuture<'t, Result<()>> {
        Box::pin(reactions::react(self, heard, tx, said))
    }

    /// Every replica tells the same number, because it stands in the database that they share.
    fn measure<'a>(&'a self, ctx: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let tx = ctx.store().read().await?;
            let (open, oldest_us) = sql::open(&*tx).await?;
            let age_us = oldest_us.map_or(0, |oldest| (ctx.now_us() - oldest).max(0));
            self.meters.in_flight.set(open);
            self.meters.oldest.set_us(age_us);
            Ok(())
        })
    }
}
