//! S10: quantities and cents are the same in the order, the reservation, the payment and every event, and the
//! prices are those of the catalogue.

use super::{Tally, Violation};
use crate::evidence::{Item, OrderNo, Said, View};
use contract::EventType;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for order in view.every_order() {
        if view.order(order).is_none() && view.said_of(order).next().is_none() {
            continue;
        }
        let wrong = quantities(view, order).or_else(|| cents(view, order));
        tally.weigh(wrong.map(|(off, what)| {
            let id = view.order_id(order);
            (
                off,
                Violation::order(view, order, format!("order {id}: {what}")),
            )
        }));
    }
    tally
}

type Wrong = Option<(u64, String)>;

/// Every place that tells which units were ordered must tell the same.
fn quantities(view: &View<'_>, order: OrderNo) -> Wrong {
    let sorted = |mut items: Vec<Item>| {
        items.sort_unstable();
        items
    };
    let row = view
        .order(order)
        .map(|row| sorted(row.items.of(&view.items).to_vec()));
    let mut asked = row;
    for said in view.said_of(order) {
        let items = match said.kind {
            EventType::OrderCreated => said.lines.of(&view.items).to_vec(),
            EventType::ReservationCreated | EventType::ReservationCanceled => {
                let steps = said.lines.of(&view.steps).iter();
                steps
                    .map(|step| Item {
                        product: step.product,
                        quantity: step.quantity,
                    })
                    .collect()
            }
            _ => continue,
        };
        let items = sorted(items);
        match &asked {
            Some(asked) if *asked != items => {
                return Some(differ(said.kind.as_str(), asked, &items));
            }
            Some(_) => {}
            None => asked = Some(items),
        }
    }
    let rows = sorted(view.reservations_of(order).map(|row| row.item).collect());
    let asked = asked.filter(|_| !rows.is_empty())?;
    (asked != rows).then(|| differ("its reservation", &asked, &rows))
}

fn differ(place: &str, asked: &[Item], told: &[Item]) -> (u64, String) {
    let units = |items: &[Item]| {
        items
            .iter()
            .map(|item| u64::from(item.quantity))
            .sum::<u64>()
    };
    let (asked, told) = (units(asked), units(told));
    (
        asked.abs_diff(told),
        format!("{place} has {told} units, {asked} were ordered"),
    )
}

/// Every place that tells what it comes to must tell the same.
fn cents(view: &View<'_>, order: OrderNo) -> Wrong {
    let reserved = view
        .said_of(order)
        .find(|said| said.kind == EventType::ReservationCreated);
    let due = match reserved {
        None => 0,
        Some(said) => {
            if let Some(wrong) = prices(view, said) {
                return Some(wrong);
            }
            said.amount
        }
    };
    let off = |place: &str, cents: i64| {
        (cents != due).then(|| {
            (
                cents.abs_diff(due),
                format!("{place} says {cents} cents, reserved were {due}"),
            )
        })
    };
    let says_amount = |said: &&Said| {
        !matches!(
            said.kind,
            EventType::OrderCreated | EventType::ReservationFailed
        )
    };
    let told = view
        .said_of(order)
        .filter(says_amount)
        .find_map(|said| off(said.kind.as_str(), said.amount));
    let row = view
        .order(order)
        .and_then(|row| row.amount)
        .and_then(|amount| off("the order", amount));
    let payment = view
        .payments_of(order)
        .find_map(|payment| off("the payment", payment.amount));
    told.or(row).or(payment)
}

/// The prices that a reservation fixed are those of the catalogue, and its amount is their sum.
fn prices(view: &View<'_>, reserved: &Said) -> Wrong {
    let mut sum = 0_i64;
    for step in reserved.lines.of(&view.steps) {
        if let Some(price) = view
            .price(step.product)
            .filter(|price| *price != step.price)
        {
            let what = format!(
                "a unit was reserved for {} cents, its price is {price}",
                step.price
            );
            return Some((price.abs_diff(step.price), what));
        }
        sum = sum.saturating_add(step.price.saturating_mul(step.quantity.into()));
    }
    let (says, kind) = (reserved.amount, reserved.kind.as_str());
    (sum != says).then(|| {
        (
            sum.abs_diff(says),
            format!("{kind} says {says} cents, its lines come to {sum}"),
        )
    })
}
