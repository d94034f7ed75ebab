//! S11: one Idempotency-Key, one request, one order. Another request under the same key is refused.

use super::{Tally, Violation};
use crate::evidence::{Act, Did, End, Rows, View};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let by_key = Rows::group(view.names.keys.len(), &view.history, |did| {
        (did.act == Act::Place)
            .then(|| did.key.some().map(crate::evidence::KeyNo::index))
            .flatten()
    });
    let mut tally = Tally::default();
    for key in 0..view.names.keys.len() {
        let rows = by_key.of(key);
        // One request says nothing about what a repeat would have got.
        if rows.len() < 2 {
            continue;
        }
        let answered: Vec<&Did> = rows
            .iter()
            .map(|row| &view.history[*row as usize])
            .filter(|did| did.end == End::Ok)
            .collect();
        tally.look(wrong(view, &answered));
    }
    tally
}

fn wrong(view: &View<'_>, answered: &[&Did]) -> Option<Violation> {
    let first = answered.first()?;
    let (id, key) = (view.order_id(first.order), view.names.keys.key(first.key));
    answered.iter().find_map(|did| {
        let what = if did.order != first.order {
            format!(
                "key {key} got two orders, {id} and {}",
                view.order_id(did.order)
            )
        } else if did.items.of(&view.items) != first.items.of(&view.items) {
            format!("key {key} was accepted for two different requests (order {id})")
        } else {
            return None;
        };
        Some(Violation::order(view, did.order, what))
    })
}
