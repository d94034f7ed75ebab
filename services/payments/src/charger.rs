//! Charges what is open: asks the provider outside of any transaction, then commits the outcome.

use crate::payment::{self, Ending};
use crate::provider::Provider;
use crate::sql::{self, Open};
use contract::events::{PaymentFailed, PaymentProcessed};
use contract::http::{ChargeOutcome, ChargeRequest, PaymentStatus};
use contract::{Bug, Cents, MINIMUM_CENTS, PaymentId, Reason};
use platform::metrics::Timing;
use platform::outside::Outside;
use platform::store::Tx;
use platform::telemetry::{Span, What};
use platform::{BoxFuture, Context, Error, Result, Said, Trace, planted};
use std::sync::Arc;
use std::time::Duration;

/// A payment younger than this is still on its way from memory.
const FRESH_US: i64 = 1_000_000;
/// How long a swept payment belongs to the replica that claimed it.
const LEASE_US: i64 = 5_000_000;

pub(crate) struct Charger {
    pub(crate) ctx: Context,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) patience: Duration,
    pub(crate) took: Timing,
}

impl Outside for Charger {
    type Item = Open;

    fn key(&self, open: &Open) -> uuid::Uuid {
        open.payment_id.0
    }

    type Outcome = Ending;

    fn perform(&self, open: &Open) -> BoxFuture<'static, Result<Ending>> {
        let (provider, patience, open) = (Arc::clone(&self.provider), self.patience, open.clone());
        let (ctx, took) = (self.ctx.clone(), self.took.clone());
        Box::pin(async move {
            match payment::admit(judged(&ctx, open.amount_cents)) {
                Err(reason) => Ok(Err(reason)),
                Ok(()) => ask((&ctx, &took), &*provider, patience, &open).await,
            }
        })
    }

    fn settle(&self, ctx: Context, open: Open, ending: Ending) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let guarded = !planted!(ctx, Bug::ProcessAfterFailing);
            commit(&ctx, open, ending, guarded).await
        })
    }

    fn due(&self, ctx: Context, n: i64, first: bool) -> BoxFuture<'static, Result<Vec<Open>>> {
        Box::pin(async move {
            // At the start nothing is on its way; later the young ones are.
            let before_us = ctx.now_us() - if first { 0 } else { FRESH_US };
            Ok(sql::open(&ctx, before_us, n, LEASE_US).await?)
        })
    }
}

/// What the provider says. No answer in time is not a "no": the error leaves the payment open.
async fn ask(
    (ctx, took): (&Context, &Timing),
    provider: &dyn Provider,
    patience: Duration,
    open: &Open,
) -> Result<Ending> {
    let mut request = ChargeRequest {
        payment_id: open.payment_id,
        order_id: open.order_id,
        amount_cents: open.amount_cents,
    };
    if planted!(ctx, Bug::ChargeAnotherAmount) {
        request.amount_cents = Cents::try_from(open.amount_cents.get() + 1).unwrap_or(Cents::MAX);
    }
    let called = Called::now(ctx, open);
    let trace = called.trace.clone();
    let mut charge = provider.charge(request, trace.clone());
    let mut answer = tokio::time::timeout(patience, &mut charge).await;
    if planted!(ctx, Bug::ProcessAfterFailing) && answer.is_err() {
        ctx.spawn("late answer", late(ctx.clone(), open.clone(), charge));
        return Ok(Err(Reason::Declined));
    }
    if planted!(ctx, Bug::TimeoutIsNo) && answer.is_err() {
        return Ok(Err(Reason::Declined));
    }
    if (planted!(ctx, Bug::NewKeyOnRetry) && answer.is_err())
        || (planted!(ctx, Bug::ChargeTwice) && answer.is_ok())
    {
        let request = ChargeRequest {
            payment_id: PaymentId(ctx.new_id()),
            ..request
        };
        answer = tokio::time::timeout(patience, provider.charge(request, trace)).await;
    }
    called.ended(ctx, took, (open, &answer));
    answer.map_err(|_| Error::NoAnswer)?.map(payment::ending)
}

/// What the provider said within our patience.
type Answer = Result<Result<ChargeOutcome>, tokio::time::error::Elapsed>;

/// A call to the provider, as a step of the order's trace.
struct Called {
    trace: Trace,
    began_us: i64,
}

impl Called {
    fn now(ctx: &Context, open: &Open) -> Self {
        let trace = &open.origin.trace;
        Self {
            // Who records nothing hands on what he was given.
            trace: if ctx.tracer().is_on() {
                trace.child(ctx.tracer().fresh())
            } else {
                trace.clone()
            },
            began_us: ctx.now_us(),
        }
    }

    fn ended(self, ctx: &Context, took: &Timing, (open, answer): (&Open, &Answer)) {
        let (outcome, error) = match answer {
            Ok(Ok(ChargeOutcome::Charged)) => ("charged", None),
            // Its business, and no error.
            Ok(Ok(ChargeOutcome::Declined)) => ("declined", None),
            Ok(Err(error)) => ("unknown", Some(error.to_string())),
            Err(_) => ("unknown", Some(Error::NoAnswer.to_string())),
        };
        tracing::debug!(trace_id = self.trace.id(), span_id = self.trace.step_id(), order.id = %open.order_id,
            outcome, error, "asked the provider");
        let now_us = ctx.now_us();
        let is_on = ctx.tracer().is_on();
        let step = Some(&self.trace).filter(|_| is_on);
        took.observe(&[outcome], now_us - self.began_us, (step, now_us));
        if !is_on || !self.trace.is_sampled() {
            return;
        }
        let payment = if planted!(ctx, Bug::RenameAnAttribute) {
            "payment.id"
        } else {
            "crashcart.payment.id"
        };
        ctx.tracer().record([Span {
            ids: self.trace.ids(open.origin.trace.span_id()),
            start_us: self.began_us,
            end_us: now_us,
            what: What::Call {
                name: "charge",
                about: open.order_id.0,
                attributes: vec![
                    (payment, open.payment_id.to_string()),
                    ("crashcart.charge.outcome", outcome.to_owned()),
                ],
                error,
            },
        }]);
    }
}

/// The amount that the price rule looks at: the payment's, but for planted bugs.
fn judged(ctx: &Context, amount: Cents) -> Cents {
    let mut cents = amount.get();
    if planted!(ctx, Bug::FailAtTheMinimum) && cents == MINIMUM_CENTS {
        cents -= 1;
    }
    if planted!(ctx, Bug::DollarsForCents) {
        cents /= 100;
    }
    if planted!(ctx, Bug::OverflowTheAmount) {
        // The lower 32 bits with their sign; a negative amount is below any minimum.
        cents = ((cents << 32) >> 32).max(0);
    }
    Cents::try_from(cents).unwrap_or(amount)
}

/// What [`Bug::ProcessAfterFailing`] does with an answer that nobody waits for any more.
async fn late(ctx: Context, open: Open, charge: BoxFuture<'static, Result<ChargeOutcome>>) {
    if let Ok(answer) = charge.await {
        // It is a bug as it is; nobody cares if it fails as well.
        let _ = commit(&ctx, open, payment::ending(answer), false).await;
    }
}

async fn commit(ctx: &Context, open: Open, ending: Ending, guarded: bool) -> Result<()> {
    let origin = open.origin.clone();
    let input = (open, ending, guarded);
    ctx.commit(origin, input, |(open, ending, guarded), tx, said| {
        Box::pin(end(open, *ending, *guarded, tx, said))
    })
    .await
}

async fn end(
    open: &Open,
    ending: Ending,
    guarded: bool,
    tx: &dyn Tx,
    said: &mut Said,
) -> Result<()> {
    let &Open {
        payment_id,
        order_id,
        amount_cents,
        ..
    } = open;
    let status = payment::next(Some(PaymentStatus::Created), ending)?;
    let Some(version) = sql::end(tx, payment_id, status, ending.err(), guarded).await? else {
        // Somebody was faster. The provider gives one answer per key, so it was the same ending.
        return Ok(());
    };
    match ending {
        Ok(()) => said.push(PaymentProcessed {
            order_id,
            payment_id,
            amount_cents,
            version,
        }),
        Err(reason) => said.push(PaymentFailed {
            order_id,
            payment_id,
            amount_cents,
            reason,
            version,
        }),
    }
    Ok(())
}
