//! S12: a 201 is a promise. The order that it named exists, with the lines that were asked for.

use super::{Tally, Violation};
use crate::evidence::{Act, End, Item, Span, View};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let acknowledged = view
        .history
        .iter()
        .filter(|did| did.act == Act::Place && did.end == End::Ok);
    for did in acknowledged {
        let (id, key) = (view.order_id(did.order), view.names.keys.key(did.key));
        tally.look(match view.order(did.order) {
            None => {
                let what = format!("order {id} was acknowledged (key {key}) and does not exist");
                Some(Violation::order(view, did.order, what))
            }
            Some(row) if !same(view, row.items, did.items) => {
                let what =
                    format!("order {id} (key {key}) does not have the lines that were ordered");
                Some(Violation::order(view, did.order, what))
            }
            Some(_) => None,
        });
    }
    tally
}

/// Whether two lists of lines are the same, in the same order.
fn same(view: &View<'_>, left: Span, right: Span) -> bool {
    let items: [&[Item]; 2] = [left.of(&view.items), right.of(&view.items)];
    items[0] == items[1]
}
