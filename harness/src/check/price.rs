//! S5: a payment under one dollar fails, any other is processed unless the provider declined it. The amount is
//! worked out from the catalogue, so that a payment cannot lie about its own size.

use super::{Tally, Violation};
use crate::evidence::{PaymentRow, View};
use contract::http::{ChargeOutcome, PaymentStatus};
use contract::{MINIMUM_CENTS, Reason};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for payment in view
        .payments
        .iter()
        .filter(|payment| payment.status != PaymentStatus::Created)
    {
        tally.look(wrong(view, payment).map(|what| {
            let id = view.order_id(payment.order);
            Violation::order(
                view,
                payment.order,
                format!("the payment of order {id} {what}"),
            )
        }));
    }
    tally
}

fn wrong(view: &View<'_>, payment: &PaymentRow) -> Option<String> {
    let asked = view
        .order(payment.order)
        .and_then(|order| view.amount(order.items.of(&view.items)));
    let cents = asked.unwrap_or(payment.amount);
    let is_small = cents < MINIMUM_CENTS;
    let declined = view.charges_of(payment.order).any(|charge| {
        charge.outcome == ChargeOutcome::Declined && charge.payment == payment.payment
    });
    let status = payment.status.as_str();
    match (payment.status, payment.reason) {
        (PaymentStatus::Processed, _) if is_small => Some(format!("is {status} for {cents} cents")),
        (PaymentStatus::Failed, Some(Reason::UnderMinimum)) if !is_small => {
            Some(format!("is {status} as under_minimum for {cents} cents"))
        }
        (PaymentStatus::Failed, Some(Reason::Declined)) if !declined => Some(format!(
            "is {status} as declined, but the provider did not decline it"
        )),
        (PaymentStatus::Failed, Some(Reason::UnderMinimum | Reason::Declined))
        | (PaymentStatus::Processed, None) => None,
        (_, reason) => {
            let reason = reason.map_or("no reason", Reason::as_str);
            Some(format!("is {status} for {cents} cents with {reason}"))
        }
    }
}
