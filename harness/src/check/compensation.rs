//! D8: a reservation is given back exactly when it was made and its payment failed: once, and after the failure.

use super::{Tally, Violation};
use crate::evidence::View;
use contract::EventType;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for order in view.every_order() {
        let all = |kind| view.said_of(order).filter(move |said| said.kind == kind);
        let (made, failed) = (
            all(EventType::ReservationCreated),
            all(EventType::PaymentFailed),
        );
        let mut canceled = all(EventType::ReservationCanceled);
        let is_made = made.clone().next().is_some();
        let has_failed = failed.clone().next().is_some();
        let first = canceled.next();
        if !is_made && first.is_none() {
            continue;
        }
        let what = match (first, canceled.next()) {
            (Some(_), _) if !is_made => Some("was given back and never made"),
            (Some(_), _) if !has_failed => {
                Some("was given back, although its payment did not fail")
            }
            (Some(_), Some(_)) => Some("was given back more than once"),
            (Some(first), None) => {
                let mut made = made.filter(|made| made.time_us <= first.time_us);
                let mut failed = failed.filter(|failed| failed.time_us <= first.time_us);
                let is_after = made.next().is_some() && failed.next().is_some();
                (!is_after).then_some("was given back before it was made or its payment failed")
            }
            (None, _) => has_failed.then_some("was not given back, although its payment failed"),
        };
        tally.look(what.map(|what| {
            let id = view.order_id(order);
            Violation::order(view, order, format!("the reservation of order {id} {what}"))
        }));
    }
    tally
}
