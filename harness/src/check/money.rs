//! S9: the ledger of the provider and the payments say the same: one charge per processed payment, of its
//! amount; none for any other; and each finished order was paid with its amount, any other with nothing.

use super::{Tally, rows};
use crate::evidence::{Evidence, Unreadable};
use contract::http::{Charge, ChargeOutcome, Order, OrderStatus, Payment, PaymentStatus};
use contract::{Cents, OrderId, PaymentId};
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
    let mut processed: BTreeMap<OrderId, Cents> = BTreeMap::new();
    for payment in payments {
        let taken = charges.remove(&payment.id).unwrap_or_default();
        if payment.status == PaymentStatus::Processed {
            processed.insert(payment.order_id, payment.amount_cents);
        }
        tally.look(violation(payment, &taken));
    }
    for (id, charged) in charges {
        let times = charged.len();
        tally.look(Some(format!(
            "payment {id} was charged {times} times but does not exist"
        )));
    }
    for order in orders {
        tally.look(wrongly_paid(order, processed.get(&order.id).copied()));
    }
    Ok(tally)
}

/// A finished order was paid with its amount, any other with nothing.
fn wrongly_paid(order: &Order, paid: Option<Cents>) -> Option<String> {
    let is_finished = order.status == OrderStatus::Finished;
    let due = order.amount_cents.filter(|_| is_finished);
    let text =
        |cents: Option<Cents>| cents.map_or("nothing".to_owned(), |c| format!("{} cents", c.get()));
    let (id, status) = (order.id, order.status.as_str());
    (due != paid || is_finished != paid.is_some()).then(|| {
        format!(
            "order {id} is {status} for {}, paid was {}",
            text(due),
            text(paid)
        )
    })
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
