//! What can be wrong with what clients were told, with payments and charges, and with the catalogue.

use super::{choose, drop_one, index};
use crate::evidence::{Act, ChargeRow, Did, End, Evidence};
use contract::Reason;
use contract::http::{ChargeOutcome, OrderStatus, PaymentStatus, ReservationStatus};

pub(super) fn reserved_still(evidence: &mut Evidence, place: usize) -> bool {
    let row = choose(&mut evidence.reservations, place, |row| {
        row.status != ReservationStatus::Created
    });
    row.map(|row| row.status = ReservationStatus::Created)
        .is_some()
}

pub(super) fn process_payment(evidence: &mut Evidence, place: usize) -> bool {
    let row = choose(&mut evidence.payments, place, |row| {
        row.reason == Some(Reason::UnderMinimum)
    });
    row.map(|row| (row.status, row.reason) = (PaymentStatus::Processed, None))
        .is_some()
}

pub(super) fn no_decline(evidence: &mut Evidence, place: usize) -> bool {
    let row = choose(&mut evidence.charges, place, |row| {
        row.outcome == ChargeOutcome::Declined
    });
    row.map(|row| row.outcome = ChargeOutcome::Charged)
        .is_some()
}

/// Answers all requests for an order with a refusal.
pub(super) fn refuse_request(evidence: &mut Evidence, place: usize) -> bool {
    let began_us = evidence.plan.began_us;
    let found = index(&evidence.orders, place, |row| {
        row.key.is_some() && row.created_us >= began_us
    });
    let key = found.map(|index| evidence.orders[index].key);
    for did in evidence
        .history
        .iter_mut()
        .filter(|did| Some(did.key) == key)
    {
        (did.end, did.status) = (End::Refused, 503);
    }
    key.is_some()
}

fn charged(row: &ChargeRow) -> bool {
    row.outcome == ChargeOutcome::Charged
}

pub(super) fn charge_more(evidence: &mut Evidence, place: usize) -> bool {
    choose(&mut evidence.charges, place, charged)
        .map(|row| row.amount += 1)
        .is_some()
}

/// A second payment of a finished order, with a charge of its own.
pub(super) fn pay_twice(evidence: &mut Evidence, place: usize) -> bool {
    let Some(at) = index(&evidence.payments, place, |row| {
        row.status == PaymentStatus::Processed
    }) else {
        return false;
    };
    let mut payment = evidence.payments[at];
    let charge = evidence
        .charges
        .iter()
        .find(|charge| charge.payment == payment.payment)
        .copied();
    // Some payment has another id; what matters is that it is a second one for this order.
    let other = evidence
        .payments
        .iter()
        .find(|row| row.payment != payment.payment)
        .map(|row| row.payment);
    let Some((mut charge, other)) = charge.zip(other) else {
        return false;
    };
    (payment.payment, charge.payment) = (other, other);
    evidence.payments.push(payment);
    evidence.charges.push(charge);
    true
}

pub(super) fn refuse_repeat(evidence: &mut Evidence, place: usize) -> bool {
    let answered = |did: &Did| did.act == Act::Place && did.end == End::Ok && did.key.is_some();
    let mut times = vec![0_u32; evidence.names.keys.len()];
    for did in evidence.history.iter().filter(|did| answered(did)) {
        times[did.key.index()] += 1;
    }
    let repeated = |did: &Did| answered(did) && times[did.key.index()] > 1;
    let found = choose(&mut evidence.history, place, repeated);
    found
        .map(|did| (did.end, did.status) = (End::Refused, 422))
        .is_some()
}

/// An order that was read as settled is open in the table.
pub(super) fn table_back(evidence: &mut Evidence, place: usize) -> bool {
    let read = |did: &Did| did.act == Act::Read && did.seen.is_some_and(OrderStatus::is_settled);
    let order = index(&evidence.history, place, read).map(|at| evidence.history[at].order);
    let row = evidence
        .orders
        .iter_mut()
        .find(|row| Some(row.order) == order);
    row.map(|row| (row.status, row.version) = (OrderStatus::Created, 1))
        .is_some()
}

pub(super) fn payment_twice(evidence: &mut Evidence, place: usize) -> bool {
    let found = index(&evidence.payments, place, |_| true).map(|index| evidence.payments[index]);
    evidence.payments.extend(found);
    found.is_some()
}

pub(super) fn dead_more(evidence: &mut Evidence, _: usize) -> bool {
    evidence
        .queues
        .values_mut()
        .next()
        .map(|queue| queue.dead += 1)
        .is_some()
}

pub(super) fn acknowledged_more(evidence: &mut Evidence, place: usize) -> bool {
    let told = |did: &Did| did.act == Act::Place && did.end == End::Ok;
    let order = index(&evidence.history, place, told).map(|at| evidence.history[at].order);
    let lines = evidence
        .orders
        .iter()
        .find(|row| Some(row.order) == order)
        .map(|row| row.items);
    let item = lines.and_then(|lines| evidence.items.get_mut(lines.range().start));
    item.map(|item| item.quantity += 1).is_some()
}

/// Says that a declined order was out of stock, or the other way round.
pub(super) fn other_reason(evidence: &mut Evidence, place: usize) -> bool {
    let row = choose(&mut evidence.orders, place, |row| {
        row.status == OrderStatus::Canceled
    });
    let other = |reason| {
        if reason == Some(Reason::Declined) {
            Reason::OutOfStock
        } else {
            Reason::Declined
        }
    };
    row.map(|row| row.reason = Some(other(row.reason)))
        .is_some()
}

pub(super) fn drop_product(evidence: &mut Evidence, place: usize) -> bool {
    drop_one(&mut evidence.products, place, |_| true)
}

pub(super) fn other_price(evidence: &mut Evidence, place: usize) -> bool {
    choose(&mut evidence.products, place, |_| true)
        .map(|row| row.price += 1)
        .is_some()
}
