//! D8: a reservation is given back exactly when it was made and its payment failed: once, and after the failure.

use super::{Tally, Violation};
use crate::evidence::{Said, View};
use contract::EventType;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for order in view.every_order() {
        let all = |kind| view.said_of(order).filter(move |said| said.kind == kind);
        let made = all(EventType::ReservationCreated).next();
        let failed = all(EventType::PaymentFailed).next();
        let canceled: Vec<&Said> = all(EventType::ReservationCanceled).collect();
        if made.is_none() && canceled.is_empty() {
            continue;
        }
        let what = match (made, failed, canceled.as_slice()) {
            (Some(_), Some(failed), [canceled]) if canceled.time_us >= failed.time_us => None,
            (Some(_), Some(_), [_]) => Some("was given back before its payment failed".to_owned()),
            (Some(_), Some(_), []) => {
                Some("was not given back, although its payment failed".to_owned())
            }
            (Some(_), None, []) => None,
            (None, ..) => Some("was given back and never made".to_owned()),
            (Some(_), None, _) => {
                Some("was given back, although its payment did not fail".to_owned())
            }
            (Some(_), Some(_), more) => Some(format!("was given back {} times", more.len())),
        };
        tally.look(what.map(|what| {
            let id = view.order_id(order);
            Violation::order(view, order, format!("the reservation of order {id} {what}"))
        }));
    }
    tally
}
