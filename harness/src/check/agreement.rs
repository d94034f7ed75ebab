//! S1: (order, reservation, payment) is one of finished/consumed/processed, canceled/none/none,
//! canceled/canceled/failed. Everything else is a saga that ended in two ways, or in none.

use super::{Tally, rows};
use crate::evidence::{Evidence, Unreadable};
use contract::OrderId;
use contract::http::{OrderStatus, PaymentStatus, ReservationStatus};
use std::collections::BTreeMap;

#[derive(Default)]
struct Story {
    order: Option<OrderStatus>,
    reservations: Vec<ReservationStatus>,
    payments: Vec<PaymentStatus>,
}

pub(super) fn judge(evidence: &Evidence) -> Result<Tally, Unreadable> {
    let mut stories: BTreeMap<OrderId, Story> = BTreeMap::new();
    for order in rows(&evidence.orders)? {
        stories.entry(order.id).or_default().order = Some(order.status);
    }
    for line in rows(&evidence.reservations)? {
        stories
            .entry(line.order_id)
            .or_default()
            .reservations
            .push(line.status);
    }
    for payment in rows(&evidence.payments)? {
        stories
            .entry(payment.order_id)
            .or_default()
            .payments
            .push(payment.status);
    }
    let mut tally = Tally::default();
    for (id, story) in stories {
        tally.look((!story.agrees()).then(|| format!("order {id} is {}", story.tell())));
    }
    Ok(tally)
}

impl Story {
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

    fn tell(&self) -> String {
        let order = self.order.map_or("not there", OrderStatus::as_str);
        let names = |names: Vec<&str>| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(" + ")
            }
        };
        let reservations = names(
            self.reservations
                .iter()
                .map(|status| status.as_str())
                .collect(),
        );
        let payments = names(self.payments.iter().map(|status| status.as_str()).collect());
        format!("{order}, its reservation {reservations}, its payment {payments}")
    }
}
