//! S1: (order, reservation, payment) is one of finished/consumed/processed, canceled/none/none,
//! canceled/canceled/failed. Everything else is a saga that ended in two ways, or in none.

use super::{Tally, Violation};
use crate::evidence::{OrderNo, View};
use contract::http::{OrderStatus, PaymentStatus, ReservationStatus};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for order in view.every_order() {
        let story = Story::of(view, order);
        if !story.is_empty() {
            tally.look((!story.agrees()).then(|| story.violation(view, order)));
        }
    }
    tally
}

/// How the three parts of an order ended.
struct Story {
    order: Option<OrderStatus>,
    reservations: Vec<ReservationStatus>,
    payments: Vec<PaymentStatus>,
}

impl Story {
    fn of(view: &View<'_>, order: OrderNo) -> Self {
        Self {
            order: view.order(order).map(|row| row.status),
            reservations: view
                .reservations_of(order)
                .map(|line| line.status)
                .collect(),
            payments: view
                .payments_of(order)
                .map(|payment| payment.status)
                .collect(),
        }
    }

    /// Nobody knows of it but a client: that is for other checks.
    fn is_empty(&self) -> bool {
        self.order.is_none() && self.reservations.is_empty() && self.payments.is_empty()
    }

    fn agrees(&self) -> bool {
        let all = |status| {
            !self.reservations.is_empty() && self.reservations.iter().all(|s| *s == status)
        };
        match (self.order, self.payments.as_slice()) {
            (Some(OrderStatus::Finished), [PaymentStatus::Processed]) => {
                all(ReservationStatus::Consumed)
            }
            (Some(OrderStatus::Canceled), [PaymentStatus::Failed]) => {
                all(ReservationStatus::Canceled)
            }
            (Some(OrderStatus::Canceled), []) => self.reservations.is_empty(),
            _ => false,
        }
    }

    fn violation(&self, view: &View<'_>, order: OrderNo) -> Violation {
        let names = |names: Vec<&str>| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(" + ")
            }
        };
        let status = self.order.map_or("not there", OrderStatus::as_str);
        let reservations = names(
            self.reservations
                .iter()
                .map(|status| status.as_str())
                .collect(),
        );
        let payments = names(self.payments.iter().map(|status| status.as_str()).collect());
        let id = view.order_id(order);
        let what = format!(
            "order {id} is {status}, its reservation {reservations}, its payment {payments}"
        );
        Violation::order(view, order, what)
    }
}
