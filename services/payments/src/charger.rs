//! Charges what is open: asks the provider outside of any transaction, then commits the outcome.

use crate::payment::{self, Ending};
use crate::provider::Provider;
use crate::sql::{self, Open};
use contract::events::{PaymentFailed, PaymentProcessed};
use contract::http::{ChargeRequest, PaymentStatus};
use platform::outside::Outside;
use platform::store::Tx;
use platform::{BoxFuture, Context, Error, Result, Said};
use std::sync::Arc;
use std::time::Duration;

/// A payment younger than this is still on its way from memory.
const FRESH_US: i64 = 1_000_000;
/// How long a swept payment belongs to the replica that claimed it.
const LEASE_US: i64 = 5_000_000;

pub(crate) struct Charger {
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) patience: Duration,
}

impl Outside for Charger {
    type Item = Open;

    fn key(&self, open: &Open) -> uuid::Uuid {
        open.payment_id.0
    }

    type Outcome = Ending;

    fn perform(&self, open: &Open) -> BoxFuture<'static, Result<Ending>> {
        let (provider, patience, open) = (Arc::clone(&self.provider), self.patience, open.clone());
        Box::pin(async move {
            match payment::admit(open.amount_cents) {
                Err(reason) => Ok(Err(reason)),
                Ok(()) => ask(&*provider, patience, &open).await,
            }
        })
    }

    fn settle(&self, ctx: Context, open: Open, ending: Ending) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            let origin = open.origin.clone();
            ctx.commit(origin, (open, ending), |(open, ending), tx, said| {
                Box::pin(end(open, *ending, tx, said))
            })
            .await
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
async fn ask(provider: &dyn Provider, patience: Duration, open: &Open) -> Result<Ending> {
    let request = ChargeRequest {
        payment_id: open.payment_id,
        order_id: open.order_id,
        amount_cents: open.amount_cents,
    };
    let answer = tokio::time::timeout(patience, provider.charge(request)).await;
    answer.map_err(|_| Error::NoAnswer)?.map(payment::ending)
}

async fn end(open: &Open, ending: Ending, tx: &dyn Tx, said: &mut Said) -> Result<()> {
    let &Open {
        payment_id,
        order_id,
        amount_cents,
        ..
    } = open;
    let status = payment::next(Some(PaymentStatus::Created), ending)?;
    let Some(version) = sql::end(tx, payment_id, status, ending.err()).await? else {
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
