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
        let requests = || rows.iter().map(|row| &view.history[*row as usize]);
        tally.look(wrong(view, &requests));
    }
    tally
}

/// The status that says: this key was used for another request.
const KEY_REUSED: u16 = 422;

fn wrong<'e, R: Iterator<Item = &'e Did>>(
    view: &View<'_>,
    requests: &impl Fn() -> R,
) -> Option<Violation> {
    let first = requests().find(|did| did.end == End::Ok)?;
    let (id, key) = (view.order_id(first.order), view.names.keys.key(first.key));
    requests().find_map(|did| {
        let is_same = did.items.of(&view.items) == first.items.of(&view.items);
        let what = if did.end == End::Ok && did.order != first.order {
            format!("key {key} got two orders, {id} and {}", view.order_id(did.order))
        } else if did.end == End::Ok && !is_same {
            format!("key {key} was accepted for two different requests (order {id})")
        } else if did.end == End::Refused && did.status == KEY_REUSED && is_same {
            format!("key {key} was refused as used for another request, and it was the same (order {id})")
        } else {
            return None;
        };
        Some(Violation::order(view, did.order.some().unwrap_or(first.order), what))
    })
}
