//! S2: no unit of a product appears or disappears, in the end and at each step. S3: no step goes below zero, and
//! never is more given away than came in.

use super::{Tally, Violation};
use crate::evidence::{ProductNo, ProductRow, Said, Step, View};
use contract::EventType;
use contract::http::ReservationStatus;

#[derive(Default, Clone, Copy)]
struct Units {
    reserved: i64,
    sold: i64,
    /// As the client asked for it; none if no client of this run did.
    initial: Option<i64>,
    is_in_table: bool,
}

/// S2
pub(super) fn conserved(view: &View<'_>) -> Tally {
    let units = count(view);
    let mut tally = Tally::default();
    for product in &view.products {
        let units = units[product.product.index()];
        let wrong = at_rest(product, units).or_else(|| step_by_step(view, product, units));
        tally.weigh(
            wrong.map(|(lost, what)| (lost, Violation::product(view, product.product, what))),
        );
    }
    for (index, units) in (0..).zip(&units) {
        if !units.is_in_table && units.reserved + units.sold > 0 {
            let product = ProductNo::at(index);
            let what = format!(
                "product {} has reservations and does not exist",
                view.product_id(product)
            );
            tally.look(Some(Violation::product(view, product, what)));
        }
    }
    tally
}

fn count(view: &View<'_>) -> Vec<Units> {
    let mut units = vec![Units::default(); view.names.products.len()];
    for line in &view.reservations {
        let units = &mut units[line.item.product.index()];
        match line.status {
            ReservationStatus::Created => units.reserved += i64::from(line.item.quantity),
            ReservationStatus::Consumed => units.sold += i64::from(line.item.quantity),
            ReservationStatus::Canceled => {}
        }
    }
    for product in &view.products {
        units[product.product.index()].is_in_table = true;
    }
    for created in view
        .created
        .iter()
        .filter(|created| created.product.is_some())
    {
        units[created.product.index()].initial = Some(created.stock);
    }
    units
}

fn at_rest(product: &ProductRow, units: Units) -> Option<(u64, String)> {
    let Units { reserved, sold, .. } = units;
    let ProductRow {
        available,
        received,
        ..
    } = *product;
    let sum = available + reserved + sold;
    (sum != received).then(|| {
        let what = format!("{available} available + {reserved} reserved + {sold} sold = {sum}, but {received} came in");
        (sum.abs_diff(received), what)
    })
}

/// Follows the log: each step starts where the one before it ended.
fn step_by_step(view: &View<'_>, product: &ProductRow, units: Units) -> Option<(u64, String)> {
    let mut before = 0;
    let mut received = 0;
    for (said, step) in view.stock_of(product.product) {
        let change = change(said, step);
        if said.kind == EventType::ProductCreated
            && units
                .initial
                .is_some_and(|initial| initial != step.available_after)
        {
            let what = format!(
                "it began with {} units, not with what was asked for",
                step.available_after
            );
            return Some((step.available_after.abs_diff(units.initial?), what));
        }
        if before + change != step.available_after {
            let (kind, version) = (said.kind.as_str(), step.version);
            let after = step.available_after;
            let what =
                format!("{kind} (version {version}) changed {before} by {change:+} to {after}");
            return Some(((before + change).abs_diff(after), what));
        }
        if matches!(
            said.kind,
            EventType::ProductCreated | EventType::ProductRestocked
        ) {
            received += change;
        }
        before = step.available_after;
    }
    (received != product.received).then(|| {
        let what = format!(
            "{received} came in by the log, {} by the table",
            product.received
        );
        (received.abs_diff(product.received), what)
    })
}

/// By how much a step changes the stock.
fn change(said: &Said, step: &Step) -> i64 {
    let quantity = i64::from(step.quantity);
    if said.kind == EventType::ReservationCreated {
        -quantity
    } else {
        quantity
    }
}

/// S3
pub(super) fn never_oversold(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for product in &view.products {
        let (mut received, mut given) = (0, 0);
        for (said, step) in view.stock_of(product.product) {
            let change = change(said, step);
            match said.kind {
                EventType::ProductCreated | EventType::ProductRestocked => received += change,
                _ => given -= change,
            }
            let over = (given - received).max(-step.available_after);
            tally.weigh((over > 0).then(|| {
                let (kind, after) = (said.kind.as_str(), step.available_after);
                let what = format!(
                    "{kind} (version {}) leaves {after} of {received} units with {given} given away",
                    step.version
                );
                (over.unsigned_abs(), Violation::product(view, product.product, what))
            }));
        }
        let negative = product.available < 0;
        tally.look(negative.then(|| {
            Violation::product(
                view,
                product.product,
                format!("{} units are available", product.available),
            )
        }));
    }
    tally
}
