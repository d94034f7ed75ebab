//! What products does when it hears an event.

use crate::{product, sql};
use contract::events::{
    ReservationCanceled, ReservationConsumed, ReservationCreated, ReservationFailed,
};
use contract::http::{Reservation, ReservationStatus};
use contract::{Bug, Cents, Event, Line, OrderId, Quantity, Reason, ReservedLine};
use platform::store::{StoreError, Tx};
use platform::{Context, Heard, Result, Said, planted};
use std::collections::BTreeSet;

/// The part of products in the choreography.
pub(crate) async fn react(
    ctx: &Context,
    heard: &Heard,
    tx: &dyn Tx,
    said: &mut Said,
) -> Result<()> {
    match &heard.event {
        Event::OrderCreated(e) => reserve(ctx, heard, tx, said, (e.order_id, &e.items)).await,
        Event::PaymentProcessed(e) => consume(ctx, heard, tx, said, e.order_id).await,
        Event::PaymentFailed(_) if planted!(ctx, Bug::IgnoreFailedPayment) => Ok(()),
        Event::PaymentFailed(e) => cancel(ctx, heard, tx, said, (e.order_id, e.reason)).await,
        Event::OrderFinished(_)
        | Event::OrderCanceled(_)
        | Event::ReservationCreated(_)
        | Event::ReservationFailed(_)
        | Event::ReservationConsumed(_)
        | Event::ReservationCanceled(_)
        | Event::PaymentCreated(_)
        | Event::ProductCreated(_)
        | Event::ProductRestocked(_) => Ok(()),
    }
}

/// Locks every product that the batch will change, in id order, so that replicas cannot wait in a circle.
pub(crate) async fn prepare(tx: &dyn Tx, batch: &[&Heard]) -> Result<()> {
    let mut ids = BTreeSet::new();
    for heard in batch {
        match &heard.event {
            Event::OrderCreated(e) => {
                ids.extend(e.items.iter().map(|line| line.product_id.to_string()));
            }
            Event::PaymentFailed(e) => ids.extend(sql::reserved_products(tx, e.order_id).await?),
            // These change no product.
            Event::PaymentProcessed(_)
            | Event::OrderFinished(_)
            | Event::OrderCanceled(_)
            | Event::ReservationCreated(_)
            | Event::ReservationFailed(_)
            | Event::ReservationConsumed(_)
            | Event::ReservationCanceled(_)
            | Event::PaymentCreated(_)
            | Event::ProductCreated(_)
            | Event::ProductRestocked(_) => {}
        }
    }
    let ids: Vec<String> = ids.into_iter().collect();
    if !ids.is_empty() {
        tx.lock_rows("products", &ids).await?;
    }
    Ok(())
}

/// Reserves all lines or none.
async fn reserve(
    ctx: &Context,
    heard: &Heard,
    tx: &dyn Tx,
    said: &mut Said,
    (order_id, items): (OrderId, &[Line]),
) -> Result<()> {
    let lines = if planted!(ctx, Bug::ReadThenWrite) {
        reserve_by_reading(tx, items).await?
    } else {
        sql::reserve(ctx, tx, order_id, items).await?
    };
    if lines.is_empty() {
        // Not if the order has a reservation already: that is no refusal but impossible.
        product::next(sql::reservation_status(tx, order_id).await?, &heard.event)?;
        let mut products = Vec::with_capacity(items.len());
        for line in items {
            products.extend(sql::find(tx, line.product_id).await?);
        }
        let reason = product::refusal(items, &products);
        said.push(ReservationFailed {
            order_id,
            reason,
            version: 0,
        });
        return Ok(());
    }
    sql::insert_reservation(tx, order_id, &lines).await?;
    let amount_cents = total(
        lines
            .iter()
            .map(|line| line.unit_price_cents.times(line.quantity)),
    )?;
    said.push(ReservationCreated {
        order_id,
        lines,
        amount_cents,
        version: 1,
    });
    Ok(())
}

/// What [`Bug::ReadThenWrite`] does: it looks at the stock and then writes what it makes of it.
async fn reserve_by_reading(tx: &dyn Tx, items: &[Line]) -> Result<Vec<ReservedLine>> {
    let mut left = Vec::with_capacity(items.len());
    for line in items {
        let product = sql::find(tx, line.product_id).await?;
        let Some(product) = product.filter(|product| product.available >= line.quantity.get())
        else {
            return Ok(Vec::new());
        };
        left.push(product.available - line.quantity.get());
    }
    // A database on the network answers later, and the other reactions of the batch have their turn.
    tokio::task::yield_now().await;
    let mut lines = Vec::with_capacity(items.len());
    for (line, left) in items.iter().zip(left) {
        lines.push(sql::overwrite(tx, line, left).await?);
    }
    lines.sort_by_key(|line| line.product_id);
    Ok(lines)
}

/// Sells what was reserved.
async fn consume(
    ctx: &Context,
    heard: &Heard,
    tx: &dyn Tx,
    said: &mut Said,
    order_id: OrderId,
) -> Result<()> {
    let lines = end(ctx, heard, tx, order_id).await?;
    let (amount_cents, version) = sum(&lines)?;
    said.push(ReservationConsumed {
        order_id,
        amount_cents,
        version,
    });
    Ok(())
}

/// Gives back what was reserved.
async fn cancel(
    ctx: &Context,
    heard: &Heard,
    tx: &dyn Tx,
    said: &mut Said,
    (order_id, reason): (OrderId, Reason),
) -> Result<()> {
    let ended = end(ctx, heard, tx, order_id).await?;
    let (amount_cents, version) = sum(&ended)?;
    let mut lines = Vec::with_capacity(ended.len());
    for line in &ended {
        if planted!(ctx, Bug::KeepTheStock) {
            break;
        }
        let mut quantity = line.quantity;
        if planted!(ctx, Bug::ReturnOneUnit) {
            quantity = Quantity::ONE;
        }
        lines.push(sql::give_back(tx, line, quantity).await?);
    }
    let canceled = ReservationCanceled {
        order_id,
        lines,
        amount_cents,
        reason,
        version,
    };
    if planted!(ctx, Bug::ReturnUnsaid) {
        return Ok(());
    }
    if planted!(ctx, Bug::CompensateTwice) {
        said.push(canceled.clone());
    }
    said.push(canceled);
    Ok(())
}

/// Ends an open reservation in the way that the event asks for.
async fn end(
    ctx: &Context,
    heard: &Heard,
    tx: &dyn Tx,
    order_id: OrderId,
) -> Result<Vec<Reservation>> {
    let guarded = !planted!(ctx, Bug::ApplyAgain);
    let status = product::next(Some(ReservationStatus::Created), &heard.event)?;
    let lines = sql::end_reservation(tx, order_id, status, guarded).await?;
    if lines.is_empty() {
        // Not open any more, or never there: say which.
        product::next(sql::reservation_status(tx, order_id).await?, &heard.event)?;
    }
    Ok(lines)
}

/// The amount of these lines and their version.
fn sum(lines: &[Reservation]) -> Result<(Cents, i64)> {
    let amount = total(
        lines
            .iter()
            .map(|line| line.unit_price_cents.times(line.quantity)),
    )?;
    Ok((amount, lines.first().map_or(0, |line| line.version)))
}

fn total(mut amounts: impl Iterator<Item = Option<Cents>>) -> Result<Cents> {
    let sum = amounts.try_fold(Cents::ZERO, |sum, cents| sum.plus(cents?));
    // The statement that reserved them has checked this sum.
    Ok(sum.ok_or_else(|| {
        StoreError::Statement("a reservation above the largest amount".to_owned())
    })?)
}
