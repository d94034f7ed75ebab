//! What orders does when it hears an event.

use crate::sql::{self, Ended, Settlement};
use crate::{Orders, order};
use contract::events::{OrderCanceled, OrderFinished};
use contract::http::OrderStatus;
use contract::{Bug, Cents, Event, OrderId, Reason};
use platform::store::Tx;
use platform::{Heard, Result, Said, planted};

/// The part of orders in the choreography.
pub(crate) async fn react(
    orders: &Orders,
    heard: &Heard,
    tx: &dyn Tx,
    said: &mut Said,
) -> Result<()> {
    match &heard.event {
        Event::ReservationCreated(e) if planted!(orders.ctx, Bug::FinishBeforeConsume) => {
            settle(orders, heard, tx, said, (e.order_id, e.amount_cents, None)).await
        }
        Event::ReservationConsumed(e) => {
            settle(orders, heard, tx, said, (e.order_id, e.amount_cents, None)).await
        }
        Event::ReservationCanceled(e) => {
            settle(
                orders,
                heard,
                tx,
                said,
                (e.order_id, e.amount_cents, Some(e.reason)),
            )
            .await
        }
        Event::ReservationFailed(e) => {
            settle(
                orders,
                heard,
                tx,
                said,
                (e.order_id, Cents::ZERO, Some(e.reason)),
            )
            .await
        }
        Event::OrderCreated(_)
        | Event::OrderFinished(_)
        | Event::OrderCanceled(_)
        | Event::ReservationCreated(_)
        | Event::PaymentCreated(_)
        | Event::PaymentProcessed(_)
        | Event::PaymentFailed(_)
        | Event::ProductCreated(_)
        | Event::ProductRestocked(_) => Ok(()),
    }
}

/// Brings an open order to its end: finished without a reason, canceled with one.
async fn settle(
    orders: &Orders,
    heard: &Heard,
    tx: &dyn Tx,
    said: &mut Said,
    (order_id, amount_cents, reason): (OrderId, Cents, Option<Reason>),
) -> Result<()> {
    let at_us = orders.ctx.now_us();
    let status = if planted!(orders.ctx, Bug::FinishBeforeConsume) && reason.is_none() {
        OrderStatus::Finished
    } else {
        order::next(Some(OrderStatus::Created), &heard.event)?
    };
    let guarded = !planted!(orders.ctx, Bug::ApplyAgain);
    let settlement = Settlement {
        order_id,
        status,
        amount_cents,
        reason,
        at_us,
    };
    let Some((version, created_at_us)) = sql::settle(tx, settlement, guarded).await? else {
        if planted!(orders.ctx, Bug::FinishBeforeConsume) {
            return Ok(());
        }
        // Not open any more, or never there: say which.
        let found = sql::find(tx, order_id).await?;
        order::next(found.map(|order| order.status), &heard.event)?;
        return Ok(());
    };
    match reason {
        None => said.push(OrderFinished {
            order_id,
            amount_cents,
            version,
        }),
        Some(_) if planted!(orders.ctx, Bug::CancelUnsaid) => {}
        Some(reason) => said.push(OrderCanceled {
            order_id,
            amount_cents,
            reason,
            version,
        }),
    }
    let (ctx, meters) = (orders.ctx.clone(), orders.meters.clone());
    let (waiting, step) = (orders.waiting.clone(), heard.trace.clone());
    said.after_commit(move || {
        meters.settled(&ctx, &settlement, (created_at_us, &step));
        let ended = Ended {
            settlement,
            version,
        };
        waiting.tell(order_id.0, ended);
    });
    Ok(())
}
