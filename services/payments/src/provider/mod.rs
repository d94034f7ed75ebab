//! The payment provider: the outside that payments talks to, simulated, with a durable ledger.
//!
//! Asked twice under one key it charges once and gives the same answer. It can be slow, decline, and fail to
//! answer, before the charge or after it: the second is the case that separates unknown from failed.

mod api;
mod http;
mod ledger;
mod settings;

pub use http::{Http, ProviderUrl};
pub use settings::ProviderSettings;

use contract::http::{Charge, ChargeOutcome, ChargeRequest};
use platform::http::{Api, Problem};
use platform::store::{Migration, Tx};
use platform::{BoxFuture, Context, Error, Heard, Origin, Result, Said, Service, Trace};
use settings::Mood;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// The provider's name.
pub const NAME: &str = "provider";

/// Whoever can charge.
pub trait Provider: Send + Sync + 'static {
    /// Charges once per payment, however often it is asked. An error is unknown, never a "no".
    /// `trace` is the caller's step.
    fn charge(
        &self,
        request: ChargeRequest,
        trace: Trace,
    ) -> BoxFuture<'static, Result<ChargeOutcome>>;
}

/// The simulated provider. Cheap to clone.
#[derive(Clone)]
pub struct Simulated(Arc<Inner>);

struct Inner {
    ctx: Context,
    settings: Mutex<ProviderSettings>,
}

impl Simulated {
    /// A provider whose ledger is the store of `ctx`, in which it must also be run as a service.
    pub fn new(ctx: &Context, settings: ProviderSettings) -> Self {
        let settings = Mutex::new(settings);
        Self(Arc::new(Inner {
            ctx: ctx.clone(),
            settings,
        }))
    }

    /// How it behaves now.
    pub fn settings(&self) -> ProviderSettings {
        self.0
            .settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Makes it behave otherwise from now on.
    pub fn set(&self, settings: ProviderSettings) {
        *self
            .0
            .settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Charges and answers; none when the request or the answer is lost.
    async fn answer(self, request: ChargeRequest, trace: Trace) -> Option<Result<ChargeOutcome>> {
        let ctx = &self.0.ctx;
        let Mood {
            latency,
            declines,
            loses_request,
            loses_answer,
        } = self
            .settings()
            .mood(request.amount_cents, &mut *ctx.chance());
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        if loses_request {
            return None;
        }
        let charge = Charge {
            key: request.payment_id.to_string(),
            payment_id: request.payment_id,
            order_id: request.order_id,
            amount_cents: request.amount_cents,
            outcome: if declines {
                ChargeOutcome::Declined
            } else {
                ChargeOutcome::Charged
            },
            at_us: ctx.now_us(),
        };
        let outcome = ctx
            .commit(Origin::request(trace), charge, |charge, tx, _| {
                Box::pin(keep(charge, tx))
            })
            .await;
        (!loses_answer).then_some(outcome)
    }
}

/// Writes the charge into the ledger, or finds the one that is there under its key.
async fn keep(charge: &Charge, tx: &dyn Tx) -> Result<ChargeOutcome> {
    if ledger::insert(tx, charge).await? {
        return Ok(charge.outcome);
    }
    let Some(earlier) = ledger::find(tx, &charge.key).await? else {
        return Err(Error::Stopped);
    };
    if earlier.amount_cents != charge.amount_cents {
        let what = format!(
            "this payment was charged with {} cents before",
            earlier.amount_cents.get()
        );
        return Err(Problem::conflict("amountCents", what).into());
    }
    if earlier.order_id != charge.order_id {
        let what = format!(
            "this payment was charged for order {} before",
            earlier.order_id
        );
        return Err(Problem::conflict("orderId", what).into());
    }
    Ok(earlier.outcome)
}

impl Provider for Simulated {
    fn charge(
        &self,
        request: ChargeRequest,
        trace: Trace,
    ) -> BoxFuture<'static, Result<ChargeOutcome>> {
        let provider = self.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            // A task of the provider: a caller who hangs up does not stop it from charging.
            let charging = provider.clone().answer(request, trace);
            provider.0.ctx.spawn("charge", async move {
                if let Some(answer) = charging.await {
                    // Nobody may be waiting any more.
                    let _ = reply.send(answer);
                }
            });
            match answer.await {
                Ok(answer) => answer,
                // It was lost, and whoever lost it does not say so.
                Err(_) => std::future::pending().await,
            }
        })
    }
}

impl Service for Simulated {
    fn migrations(&self) -> &'static [Migration] {
        &[Migration {
            name: "provider-0001",
            sql: include_str!("../../migrations/0001_provider.sql"),
        }]
    }

    fn api(&self, ctx: &Context) -> Api {
        api::routes(ctx, self)
    }

    fn hears(&self, _kind: contract::EventType) -> bool {
        false
    }

    fn react<'t>(
        &'t self,
        _: &'t Heard,
        _: &'t dyn Tx,
        _: &'t mut Said,
    ) -> BoxFuture<'t, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
