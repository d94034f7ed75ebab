//! S10: quantities and cents are the same in the order, the reservation, the payment and every event, and the
//! prices are those of the catalogue.

use super::{Tally, Violation};
use crate::evidence::{Item, OrderNo, Said, Step, View};
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
    for row in &view.products {
        let asked = view.price(row.product).filter(|asked| *asked != row.price);
        tally.weigh(asked.map(|asked| {
            let what = format!("it was to cost {asked} cents and costs {}", row.price);
            (
                asked.abs_diff(row.price),
                Violation::product(view, row.product, what),
            )
        }));
    }
    tally
}

type Wrong = Option<(u64, String)>;

/// Every place that tells which units were ordered must tell the same.
fn quantities(view: &View<'_>, order: OrderNo) -> Wrong {
    let mut asked = view
        .order(order)
        .map(|row| units(row.items.of(&view.items), &[]));
    for said in view.said_of(order) {
        let told = match said.kind {
            EventType::OrderCreated => units(said.lines.of(&view.items), &[]),
            EventType::ReservationCreated | EventType::ReservationCanceled => {
                units(&[], said.lines.of(&view.steps))
            }
            _ => continue,
        };
        match &asked {
            Some(asked) if !same(asked.clone(), told.clone()) => {
                return Some(differ(said.kind.as_str(), asked.clone(), told));
            }
            Some(_) => {}
            None => asked = Some(told),
        }
    }
    let rows = view.reservations_of(order).map(|row| row.item);
    let asked = asked.filter(|_| rows.clone().next().is_some())?;
    (!same(asked.clone(), rows.clone())).then(|| differ("its reservation", asked, rows))
}

/// Lines and steps as the units that they tell of.
fn units<'e>(items: &'e [Item], steps: &'e [Step]) -> impl Iterator<Item = Item> + Clone + use<'e> {
    let stepped = steps.iter().map(|step| Item {
        product: step.product,
        quantity: step.quantity,
    });
    items.iter().copied().chain(stepped)
}

/// Whether both have the same lines in some order: most have them in the same.
fn same(
    left: impl Iterator<Item = Item> + Clone,
    right: impl Iterator<Item = Item> + Clone,
) -> bool {
    left.clone().eq(right.clone()) || {
        let (mut left, mut right): (Vec<Item>, Vec<Item>) = (left.collect(), right.collect());
        left.sort_unstable();
        right.sort_unstable();
        left == right
    }
}

fn differ(
    place: &str,
    asked: impl Iterator<Item = Item>,
    told: impl Iterator<Item = Item>,
) -> (u64, String) {
    let asked: u64 = asked.map(|item| u64::from(item.quantity)).sum();
    let told: u64 = told.map(|item| u64::from(item.quantity)).sum();
    (
        asked.abs_diff(told),
        format!("{place} has {told} units, {asked} were ordered"),
    )
}

/// Every place that tells what it comes to must tell the same.
fn cents(view: &View<'_>, order: OrderNo) -> Wrong {
    let mut due = 0;
    for said in view.said_of(order) {
        match said.kind {
            EventType::ReservationCreated => due = said.amount,
            EventType::ReservationCanceled => {}
            _ => continue,
        }
        if let Some(wrong) = prices(view, said) {
            return Some(wrong);
        }
    }
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
    let mut lines = view.reservations_of(order).peekable();
    let lines = lines.peek().is_some().then(|| {
        let cents = lines.map(|row| row.price.saturating_mul(row.item.quantity.into()));
        cents.fold(0, i64::saturating_add)
    });
    told.or(row)
        .or(payment)
        .or_else(|| off("the reservation", lines?))
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
