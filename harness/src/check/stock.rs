//! S2: no unit of a product appears or disappears. What came in is available, reserved or sold.

use super::{Tally, rows};
use crate::evidence::{Evidence, Unreadable};
use contract::ProductId;
use contract::http::ReservationStatus;
use std::collections::BTreeMap;

#[derive(Default)]
struct Units {
    reserved: i64,
    sold: i64,
}

pub(super) fn judge(evidence: &Evidence) -> Result<Tally, Unreadable> {
    let mut units: BTreeMap<ProductId, Units> = BTreeMap::new();
    for line in rows(&evidence.reservations)? {
        let units = units.entry(line.product_id).or_default();
        match line.status {
            ReservationStatus::Created => units.reserved += line.quantity.get(),
            ReservationStatus::Consumed => units.sold += line.quantity.get(),
            ReservationStatus::Canceled => {}
        }
    }
    let mut tally = Tally::default();
    for product in rows(&evidence.products)? {
        let Units { reserved, sold } = units.remove(&product.id).unwrap_or_default();
        let (id, available, received) = (product.id, product.available, product.received);
        let conserved = available >= 0 && available + reserved + sold == received;
        tally.look((!conserved).then(|| {
            let sum = available + reserved + sold;
            format!("product {id}: {available} available + {reserved} reserved + {sold} sold = {sum}, received {received}")
        }));
    }
    for id in units.into_keys() {
        tally.look(Some(format!(
            "product {id} has reservations but does not exist"
        )));
    }
    Ok(tally)
}
