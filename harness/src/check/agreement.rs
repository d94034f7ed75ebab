//! S1: (order, reservation, payment) is one of finished/consumed/processed, canceled/none/none,
//! canceled/canceled/failed, and all for the same reason. Everything else is a saga that ended in two ways, or in none.

use super::{Tally, Violation};
use crate::evidence::{OrderNo, OrderRow, View};
use contract::Reason;
use contract::http::{OrderStatus, PaymentStatus, ReservationStatus};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for order in view.every_order() {
        // An order that only a client knows of is for other checks.
        let any = view.orders_of(order).next().is_some()
            || view.reservations_of(order).next().is_some()
            || view.payments_of(order).next().is_some();
        if any {
            tally.look((!agrees(view, order)).then(|| violation(view, order)));
        }
    }
    tally
}

fn agrees(view: &View<'_>, order: OrderNo) -> bool {
    let mut reserved = view.reservations_of(order).map(|line| line.status);
    let reserved = match reserved.next() {
        None => None,
        Some(first) if reserved.all(|status| status == first) => Some(first),
        Some(_) => return false,
    };
    let mut payments = view.payments_of(order);
    let payment = payments.next();
    if payments.next().is_some() {
        return false;
    }
    let agrees =
        |row: &OrderRow| match (row.status, reserved, payment.map(|payment| payment.status)) {
            (
                OrderStatus::Finished,
                Some(ReservationStatus::Consumed),
                Some(PaymentStatus::Processed),
            ) => row.reason.is_none(),
            (
                OrderStatus::Canceled,
                Some(ReservationStatus::Canceled),
                Some(PaymentStatus::Failed),
            ) => row.reason == payment.and_then(|payment| payment.reason),
            (OrderStatus::Canceled, None, None) => matches!(
                row.reason,
                Some(Reason::OutOfStock | Reason::UnknownProduct | Reason::AmountTooLarge)
            ),
            _ => false,
        };
    let mut rows = view.orders_of(order).peekable();
    rows.peek().is_some() && rows.all(agrees)
}

fn violation(view: &View<'_>, order: OrderNo) -> Violation {
    let names = |names: Vec<String>| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" + ")
        }
    };
    let with = |status: &str, reason: Option<Reason>| {
        reason.map_or_else(
            || status.to_owned(),
            |reason| format!("{status} as {}", reason.as_str()),
        )
    };
    let rows: Vec<String> = view
        .orders_of(order)
        .map(|row| with(row.status.as_str(), row.reason))
        .collect();
    let status = if rows.is_empty() {
        "not there".to_owned()
    } else {
        rows.join(" + ")
    };
    let reservations = names(
        view.reservations_of(order)
            .map(|line| line.status.as_str().to_owned())
            .collect(),
    );
    let payments = view
        .payments_of(order)
        .map(|payment| with(payment.status.as_str(), payment.reason));
    let (id, payments) = (view.order_id(order), names(payments.collect()));
    let what =
        format!("order {id} is {status}, its reservation {reservations}, its payment {payments}");
    Violation::order(view, order, what)
}
