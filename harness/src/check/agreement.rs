//! S1: (order, reservation, payment) is one of finished/consumed/processed, canceled/none/none,
//! canceled/canceled/failed. Everything else is a saga that ended in two ways, or in none.

use super::{Tally, Violation};
use crate::evidence::{OrderNo, View};
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
    let mut payments = view.payments_of(order).map(|payment| payment.status);
    let payment = payments.next();
    let due = match (reserved, payment, payments.next()) {
        (Some(ReservationStatus::Consumed), Some(PaymentStatus::Processed), None) => {
            OrderStatus::Finished
        }
        (Some(ReservationStatus::Canceled), Some(PaymentStatus::Failed), None)
        | (None, None, None) => OrderStatus::Canceled,
        _ => return false,
    };
    let mut rows = view.orders_of(order).map(|row| row.status);
    rows.next() == Some(due) && rows.all(|status| status == due)
}

fn violation(view: &View<'_>, order: OrderNo) -> Violation {
    let names = |names: Vec<&str>| {
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" + ")
        }
    };
    let status = match names(
        view.orders_of(order)
            .map(|row| row.status.as_str())
            .collect(),
    ) {
        none if none == "none" => "not there".to_owned(),
        status => status,
    };
    let reservations = names(
        view.reservations_of(order)
            .map(|line| line.status.as_str())
            .collect(),
    );
    let payments = names(
        view.payments_of(order)
            .map(|payment| payment.status.as_str())
            .collect(),
    );
    let id = view.order_id(order);
    let what =
        format!("order {id} is {status}, its reservation {reservations}, its payment {payments}");
    Violation::order(view, order, what)
}
