//! What payments does when it hears an event.

use crate::Payments;
use crate::sql::{self, Open};
use contract::events::{PaymentCreated, ReservationCreated};
use contract::http::PaymentStatus;
use contract::{Bug, Cents, Event, EventType, MessageId, PaymentId};
use platform::store::Tx;
use platform::{Error, Heard, Illegal, Origin, Result, Said, planted};
use std::sync::Arc;

/// The part of payments in the choreography.
pub(crate) async fn react(
    payments: &Payments,
    heard: &Heard,
    tx: &dyn Tx,
    said: &mut Said,
) -> Result<()> {
    match &heard.event {
        Event::ReservationCreated(e) => {
            let kind = EventType::PaymentCreated.as_str();
            let told_by = MessageId::caused_by(heard.id.0, kind, 0, e.order_id.0);
            let open = Open {
                payment_id: PaymentId::of(e.order_id),
                order_id: e.order_id,
                amount_cents: amount(payments, e),
                origin: Origin {
                    cause: Some(told_by),
                    // Not of the step that will hear it: a sweep may be faster.
                    trace: heard.trace.clone(),
                },
            };
            create(payments, tx, said, &open).await
        }
        Event::PaymentCreated(e) => {
            let open = Open {
                payment_id: e.payment_id,
                order_id: e.order_id,
                amount_cents: e.amount_cents,
                origin: heard.origin(),
            };
            hand_over(payments, tx, said, open).await
        }
        Event::OrderCreated(_)
        | Event::OrderFinished(_)
        | Event::OrderCanceled(_)
        | Event::ReservationFailed(_)
        | Event::ReservationConsumed(_)
        | Event::ReservationCanceled(_)
        | Event::PaymentProcessed(_)
        | Event::PaymentFailed(_)
        | Event::ProductCreated(_)
        | Event::ProductRestocked(_) => Ok(()),
    }
}

/// What the payment for a reservation is for.
fn amount(payments: &Payments, e: &ReservationCreated) -> Cents {
    if planted!(payments.ctx, Bug::ForgetTheQuantity) {
        let prices = e.lines.iter().map(|line| line.unit_price_cents.get());
        return Cents::try_from(prices.sum::<i64>()).unwrap_or(e.amount_cents);
    }
    e.amount_cents
}

async fn create(payments: &Payments, tx: &dyn Tx, said: &mut Said, open: &Open) -> Result<()> {
    let &Open {
        payment_id,
        order_id,
        amount_cents,
        ..
    } = open;
    if !sql::insert(tx, open, payments.ctx.now_us()).await? {
        let state = sql::status(tx, payment_id)
            .await?
            .map_or("not there", |status| status.as_str());
        return Err(illegal(state, "reservation.created"));
    }
    said.push(PaymentCreated {
        order_id,
        payment_id,
        amount_cents,
        version: 1,
    });
    Ok(())
}

/// Gives an open payment to the charger, after the commit: charging takes as long as it takes and must not hold up
/// the batch.
async fn hand_over(payments: &Payments, tx: &dyn Tx, said: &mut Said, open: Open) -> Result<()> {
    match sql::status(tx, open.payment_id).await? {
        Some(PaymentStatus::Created) => {
            let caller = Arc::clone(&payments.caller);
            said.after_commit(move || caller.hand_over(open));
            Ok(())
        }
        // The sweep was faster.
        Some(_) => Ok(()),
        // Nobody is charged for a payment that is not in our table.
        None => Err(illegal("not there", "payment.created")),
    }
}

const fn illegal(state: &'static str, event: &'static str) -> Error {
    Error::Illegal(Illegal {
        entity: "a payment",
        state,
        event,
    })
}
