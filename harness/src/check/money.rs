//! S9: the ledger of the provider and the payments say the same: one charge per processed payment, of its
//! amount; none for any other; and the amounts of the finished orders add up to the amounts charged.

use super::{Tally, rows};
use crate::evidence::{Evidence, Unreadable};
use contract::PaymentId;
use contract::http::{Charge, ChargeOutcome, OrderStatus, Payment, PaymentStatus};
use std::collections::BTreeMap;

pub(super) fn judge(evidence: &Evidence) -> Result<Tally, Unreadable> {
    let mut charges: BTreeMap<PaymentId, Vec<&Charge>> = BTreeMap::new();
    for charge in rows(&evidence.charges)?
        .iter()
        .filter(|charge| charge.outcome == ChargeOutcome::Charged)
    {
        charges.entry(charge.payment_id).or_default().push(charge);
    }
    let payments = rows(&evidence.payments)?;
    let orders = rows(&evidence.orders)?;
    let mut tally = Tally::default();
    let mut processed: i128 = 0;
    for payment in payments {
        let taken = charges.remove(&payment.id).unwrap_or_default();
        if payment.status == PaymentStatus::Processed {
            processed += i128::from(payment.amount_cents.get());
        }
        tally.look(violation(payment, &taken));
    }
    for (id, charged) in charges {
        tally.look(Some(format!(
            "payment {id} was charged {} times but does not exist",
            charged.len()
        )));
    }
    let finished = orders
        .iter()
        .filter(|order| order.status == OrderStatus::Finished);
    let sold: i128 = finished
        .map(|order| {
            order
                .amount_cents
                .map_or(0, |cents| i128::from(cents.get()))
        })
        .sum();
    if sold != processed {
        tally.look(Some(format!(
            "finished orders come to {sold} cents, processed payments to {processed}"
        )));
    }
    Ok(tally)
}

fn violation(payment: &Payment, charged: &[&Charge]) -> Option<String> {
    let Payment {
        id,
        order_id,
        amount_cents,
        status,
        ..
    } = payment;
    let expected = usize::from(*status == PaymentStatus::Processed);
    if charged.len() != expected {
        let (status, times) = (status.as_str(), charged.len());
        return Some(format!(
            "payment {id} of order {order_id} is {status} and was charged {times} times"
        ));
    }
    let wrong = charged
        .iter()
        .find(|charge| charge.amount_cents != *amount_cents)?;
    let (asked, taken) = (amount_cents.get(), wrong.amount_cents.get());
    Some(format!(
        "payment {id} of order {order_id} is for {asked} cents, charged were {taken}"
    ))
}
