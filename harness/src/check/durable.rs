//! S12: a 201 is a promise. The order that it named exists, with the lines that were asked for.

use super::{Tally, rows};
use crate::evidence::{Evidence, Outcome, Unreadable};
use contract::OrderId;
use contract::http::Order;
use std::collections::BTreeMap;

pub(super) fn judge(evidence: &Evidence) -> Result<Tally, Unreadable> {
    let orders: BTreeMap<OrderId, &Order> = rows(&evidence.orders)?
        .iter()
        .map(|order| (order.id, order))
        .collect();
    let mut tally = Tally::default();
    for operation in rows(&evidence.history)? {
        let Outcome::Ok(id) = operation.outcome else {
            continue;
        };
        let key = &operation.key;
        tally.look(match orders.get(&id) {
            None => Some(format!(
                "order {id} was acknowledged (key {key}) and does not exist"
            )),
            Some(order) if order.items != operation.items => Some(format!(
                "order {id} (key {key}) does not have the lines that were ordered"
            )),
            Some(_) => None,
        });
    }
    Ok(tally)
}
