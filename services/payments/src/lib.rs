//! Payments: one per order, charged at the provider, or failed.
//!
//! Owns the table `payments`. Says `payment.created`, `payment.processed`, `payment.failed`. Hears
//! `reservation.created` and its own `payment.created`. The simulated [`provider`] lives here too; it is the
//! outside, with a ledger of its own, and no service knows more of it than its answers.
#![deny(missing_docs)]

mod api;
mod charger;
pub mod payment;
pub mod provider;
mod reactions;
mod sql;

use charger::Charger;
use contract::EventType;
use platform::http::Api;
use platform::metrics::Level;
use platform::outside::{Caller, CallerSettings};
use platform::store::{Migration, Tx};
use platform::{BoxFuture, Context, Heard, Result, Said, Service};
use provider::Provider;
use std::sync::Arc;
use std::time::Duration;

/// The service's name, and its queue's.
pub const NAME: &str = "payments";

/// The events that it hears.
pub const HEARS: &[EventType] = &[EventType::ReservationCreated, EventType::PaymentCreated];

/// The payments service.
pub struct Payments {
    ctx: Context,
    open: Level,
    caller: Arc<Caller<Charger>>,
}

impl Payments {
    /// The service, to be run in `ctx`. An answer of `provider` that takes longer than `patience` is unknown.
    pub fn new(ctx: &Context, provider: Arc<dyn Provider>, patience: Duration) -> Arc<Self> {
        let took = ctx.metrics().timing(
            "crashcart_charge_duration_seconds",
            "How long the provider took to answer: charged, declined, or unknown.",
            &["outcome"],
        );
        let charger = Charger {
            ctx: ctx.clone(),
            provider,
            patience,
            took,
        };
        Arc::new(Self {
            ctx: ctx.clone(),
            open: ctx.metrics().level(
                "crashcart_payments_open",
                "Payments neither processed nor failed; never more than sagas in flight.",
            ),
            caller: Caller::new(charger, CallerSettings::default()),
        })
    }
}

impl Service for Payments {
    fn migrations(&self) -> &'static [Migration] {
        &[Migration {
            name: "payments-0001",
            sql: include_str!("../migrations/0001_payments.sql"),
        }]
    }

    fn api(&self, ctx: &Context) -> Api {
        api::routes(ctx)
    }

    fn hears(&self, kind: EventType) -> bool {
        HEARS.contains(&kind)
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
            self.open.set(sql::count_open(&*tx).await?);
            Ok(())
        })
    }

    fn start<'a>(&'a self, ctx: &'a Context) -> BoxFuture<'a, Result<()>> {
        self.caller.start(ctx);
        Box::pin(async { Ok(()) })
    }
}
