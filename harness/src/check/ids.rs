//! S14: ids are unique, and what has the same id is the same thing.

use super::{Tally, Violation};
use crate::evidence::{Act, Did, End, OrderNo, Rows, View};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let tapped = Rows::group(view.names.messages.len(), &view.tap, |tapped| Some(tapped.id.index()));
    for (index, said) in view.said.iter().enumerate() {
        let same = view.logged(said.id);
        let is_first = same.clone().next().is_some_and(|first| std::ptr::eq(first, &raw const view.said[index]));
        let (id, kind) = (view.names.messages.id(said.id.index()), said.kind.as_str());
        let twice = is_first && same.clone().count() > 1;
        let rows = tapped.of(said.id.index());
        let differs = rows.windows(2).any(|two| {
            let [left, right] = [two[0], two[1]].map(|row| &view.tap[row as usize]);
            (left.digest, left.kind) != (right.digest, right.kind)
        });
        let what = if twice {
            Some(format!("event id {id} was given to {} events, one of them {kind}", same.count()))
        } else if is_first && differs {
            Some(format!("message {id} ({kind}) was on the exchange with two payloads"))
        } else {
            None
        };
        tally.look(what.map(|what| Violation::order(view, said.order, what)));
    }
    for order in view.every_order() {
        let orders = view.orders_of(order).count();
        tally.look((orders > 1).then(|| {
            Violation::order(view, order, format!("{orders} orders have the id {}", view.order_id(order)))
        }));
        tally.look(for_two_requests(view, order));
    }
    let payments = Rows::group(view.names.payments.len(), &view.payments, |row| Some(row.payment.index()));
    for index in 0..view.names.payments.len() {
        let rows = payments.of(index);
        let order = rows.first().map_or(OrderNo::NONE, |row| view.payments[*row as usize].order);
        tally.look((rows.len() > 1).then(|| {
            let id = view.names.payments.id(index);
            Violation::order(view, order, format!("{} payments have the id {id}", rows.len()))
        }));
    }
    tally
}

/// An order whose id two clients were told: each asked for an order of its own, under a key of its own.
fn for_two_requests(view: &View<'_>, order: OrderNo) -> Option<Violation> {
    let told = |did: &&Did| did.act == Act::Place && did.end == End::Ok && did.key.is_some();
    let mut keys = view.did_of(order).filter(told).map(|did| did.key);
    let first = keys.next()?;
    let other = keys.find(|key| *key != first)?;
    let (id, first, other) = (view.order_id(order), view.names.keys.key(first), view.names.keys.key(other));
    Some(Violation::order(view, order, format!("the id {id} was told for two requests (keys {first} and {other})")))
}
