//! S14: ids are unique, and what has the same id is the same thing.

use super::{Tally, Violation};
use crate::evidence::{Act, Did, End, OrderNo, View};

/// No row yet.
const NOWHERE: u32 = u32::MAX;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    events(view, &mut tally);
    messages(view, &mut tally);
    for order in view.every_order() {
        let orders = view.orders_of(order).count();
        tally.look((orders > 1).then(|| {
            Violation::order(
                view,
                order,
                format!("{orders} orders have the id {}", view.order_id(order)),
            )
        }));
        tally.look(for_two_requests(view, order));
    }
    let mut seen = vec![false; view.names.payments.len()];
    for row in &view.payments {
        let twice = std::mem::replace(&mut seen[row.payment.index()], true);
        tally.look(twice.then(|| {
            let id = view.names.payments.id(row.payment.index());
            Violation::order(
                view,
                row.order,
                format!("more than one payment has the id {id}"),
            )
        }));
    }
    tally
}

/// Events in the logs.
fn events(view: &View<'_>, tally: &mut Tally) {
    let mut seen = vec![false; view.names.messages.len()];
    for said in &view.said {
        let twice = std::mem::replace(&mut seen[said.id.index()], true);
        tally.look(twice.then(|| {
            let (id, kind) = (view.names.messages.id(said.id.index()), said.kind.as_str());
            let times = view.logged(said.id).count();
            let what = format!("event id {id} was given to {times} events, one of them {kind}");
            Violation::order(view, said.order, what)
        }));
    }
}

/// Messages on the exchange, compared with the log and with each other.
fn messages(view: &View<'_>, tally: &mut Tally) {
    let mut first = vec![NOWHERE; view.names.messages.len()];
    for (at, tapped) in (0_u32..).zip(&view.tap) {
        let said = view.logged(tapped.id).last();
        let earlier = &mut first[tapped.id.index()];
        if *earlier == NOWHERE {
            *earlier = at;
        }
        let carried = &view.tap[*earlier as usize];
        let payload = said.map_or((carried.kind, carried.digest), |said| {
            (Some(said.kind), said.digest)
        });
        tally.look((payload != (tapped.kind, tapped.digest)).then(|| {
            let (id, kind) = (
                view.names.messages.id(tapped.id.index()),
                tapped
                    .kind
                    .map_or("a message of an unknown type", contract::EventType::as_str),
            );
            let order = said.map_or(OrderNo::NONE, |said| said.order);
            Violation::order(
                view,
                order,
                format!("message {id} ({kind}) has two payloads"),
            )
        }));
    }
}

/// An order whose id two clients were told: each asked for an order of its own, under a key of its own.
fn for_two_requests(view: &View<'_>, order: OrderNo) -> Option<Violation> {
    let told = |did: &&Did| did.act == Act::Place && did.end == End::Ok && did.key.is_some();
    let mut keys = view.did_of(order).filter(told).map(|did| did.key);
    let first = keys.next()?;
    let other = keys.find(|key| *key != first)?;
    let (id, first, other) = (
        view.order_id(order),
        view.names.keys.key(first),
        view.names.keys.key(other),
    );
    Some(Violation::order(
        view,
        order,
        format!("the id {id} was told for two requests (keys {first} and {other})"),
    ))
}
