//! S9: one charge per processed payment, of its amount; none for any other; and each finished order was paid with
//! its amount, any other with nothing.

use super::{Tally, Violation};
use crate::evidence::{ChargeRow, OrderNo, PaymentRow, View};
use contract::http::{ChargeOutcome, OrderStatus, PaymentStatus};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let (mut processed, mut finished) = (0_i128, 0_i128);
    for order in view.every_order() {
        let payments = view.payments_of(order);
        let any = payments.clone().next().is_some() || view.charges_of(order).next().is_some();
        let row = view.order(order);
        if !any && row.is_none() {
            continue;
        }
        let paid = payments
            .clone()
            .filter(|payment| payment.status == PaymentStatus::Processed);
        processed += paid.map(|payment| i128::from(payment.amount)).sum::<i128>();
        if let Some(row) = row.filter(|row| row.status == OrderStatus::Finished) {
            finished += i128::from(row.amount.unwrap_or(0));
        }
        let wrong = charged_elsewhere(view, order)
            .or_else(|| {
                payments
                    .clone()
                    .find_map(|payment| wrongly_charged(view, payment))
            })
            .or_else(|| wrongly_paid(view, order));
        tally.weigh(wrong.map(|(cents, what)| {
            let id = view.order_id(order);
            (
                cents,
                Violation::order(view, order, format!("order {id}: {what}")),
            )
        }));
    }
    tally.note(format!(
        "{processed} cents were processed, {finished} are in finished orders"
    ));
    tally
}

/// What the provider took for a payment.
fn taken<'e>(view: &View<'e>, payment: &PaymentRow) -> impl Iterator<Item = &'e ChargeRow> + Clone {
    let id = payment.payment;
    view.charges_of(payment.order)
        .filter(move |charge| charge.outcome == ChargeOutcome::Charged && charge.payment == id)
}

fn wrongly_charged(view: &View<'_>, payment: &PaymentRow) -> Option<(u64, String)> {
    let (charges, status) = (taken(view, payment), payment.status.as_str());
    let times = charges.clone().count();
    if times != usize::from(payment.status == PaymentStatus::Processed) {
        let cents: u64 = charges.map(|charge| charge.amount.unsigned_abs()).sum();
        let times = match times {
            1 => "once".to_owned(),
            2 => "twice".to_owned(),
            n => format!("{n} times"),
        };
        return Some((
            cents,
            format!("its payment is {status} and was charged {times}"),
        ));
    }
    let wrong = charges
        .map(|charge| charge.amount)
        .find(|amount| *amount != payment.amount)?;
    let what = format!(
        "its payment is for {} cents, charged were {wrong}",
        payment.amount
    );
    Some((wrong.abs_diff(payment.amount), what))
}

/// Money that was taken under another key than the payment's.
fn charged_elsewhere(view: &View<'_>, order: OrderNo) -> Option<(u64, String)> {
    let known = |charge: &&ChargeRow| {
        view.payments_of(order)
            .any(|payment| payment.payment == charge.payment)
    };
    let charged = view
        .charges_of(order)
        .filter(|charge| charge.outcome == ChargeOutcome::Charged);
    let stray = charged.clone().find(|charge| !known(charge))?;
    let amount = stray.amount;
    let what = match (charged.count(), view.payments_of(order).next()) {
        (_, None) => format!("{amount} cents were charged, and it has no payment"),
        (1, Some(_)) => format!("it was charged under another key ({amount} cents)"),
        (times, Some(_)) => {
            format!("it was charged {times} times, {amount} cents of it under another key")
        }
    };
    Some((amount.unsigned_abs(), what))
}

fn wrongly_paid(view: &View<'_>, order: OrderNo) -> Option<(u64, String)> {
    let row = view.order(order);
    let finished = row.filter(|row| row.status == OrderStatus::Finished);
    let due = finished.map(|row| row.amount.unwrap_or(0));
    let processed = view
        .payments_of(order)
        .filter(|payment| payment.status == PaymentStatus::Processed);
    let paid = processed
        .map(|payment| payment.amount)
        .reduce(i64::saturating_add);
    let cents =
        |amount: Option<i64>| amount.map_or("nothing".to_owned(), |cents| format!("{cents} cents"));
    (due != paid).then(|| {
        let status = row.map_or("not there", |row| row.status.as_str());
        let what = format!(
            "it is {status} for {}, paid was {}",
            cents(due),
            cents(paid)
        );
        (due.unwrap_or(0).abs_diff(paid.unwrap_or(0)), what)
    })
}
