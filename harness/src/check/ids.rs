//! S14: ids are unique, and what has the same id is the same thing.

use super::{Tally, Violation};
use crate::evidence::{OrderNo, Rows, View};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let tapped = Rows::group(view.names.messages.len(), &view.tap, |tapped| {
        Some(tapped.id.index())
    });
    for (index, said) in view.said.iter().enumerate() {
        let same = view.logged(said.id);
        let is_first = same
            .clone()
            .next()
            .is_some_and(|first| std::ptr::eq(first, &raw const view.said[index]));
        let (id, kind) = (view.names.messages.id(said.id.index()), said.kind.as_str());
        let twice = is_first && same.clone().count() > 1;
        let rows = tapped.of(said.id.index());
        let differs = rows.windows(2).any(|two| {
            let [left, right] = [two[0], two[1]].map(|row| &view.tap[row as usize]);
            (left.digest, left.kind) != (right.digest, right.kind)
        });
        let what = if twice {
            Some(format!(
                "event id {id} was given to {} events, one of them {kind}",
                same.count()
            ))
        } else if is_first && differs {
            Some(format!(
                "message {id} ({kind}) was on the exchange with two payloads"
            ))
        } else {
            None
        };
        tally.look(what.map(|what| Violation::order(view, said.order, what)));
    }
    for order in view.every_order() {
        let orders = view.orders_of(order).count();
        tally.look((orders > 1).then(|| {
            Violation::order(
                view,
                order,
                format!("{orders} orders have the id {}", view.order_id(order)),
            )
        }));
    }
    let payments = Rows::group(view.names.payments.len(), &view.payments, |row| {
        Some(row.payment.index())
    });
    for index in 0..view.names.payments.len() {
        let rows = payments.of(index);
        let order = rows
            .first()
            .map_or(OrderNo::NONE, |row| view.payments[*row as usize].order);
        tally.look((rows.len() > 1).then(|| {
            let id = view.names.payments.id(index);
            Violation::order(
                view,
                order,
                format!("{} payments have the id {id}", rows.len()),
            )
        }));
    }
    tally
}
