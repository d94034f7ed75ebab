//! S6: nothing comes from nowhere. Each reservation and each payment has an order, each order was asked for by a
//! client, once for each key, and each order that a client was told of is there.

use super::{Tally, Violation};
use crate::evidence::{Act, Did, End, OrderNo, View};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut asked = vec![false; view.names.keys.len()];
    for did in view
        .history
        .iter()
        .filter(|did| did.act == Act::Place && did.key.is_some())
    {
        // Whoever was refused was told that there is no order.
        asked[did.key.index()] |= did.end != End::Refused;
    }
    let mut first = vec![OrderNo::NONE; view.names.keys.len()];
    let mut tally = Tally::default();
    for row in &view.orders {
        // What is older than the run was asked for by the clients of another one.
        let is_ours = row.created_us >= view.plan.began_us;
        let key = row.key.some();
        // Who sent no key is known by the answer.
        let is_told = |did: &Did| did.act == Act::Place && did.end == End::Ok && !did.key.is_some();
        let was_told = || view.did_of(row.order).any(is_told);
        let was_asked = key.is_some_and(|key| asked[key.index()]) || was_told();
        let earlier = key.and_then(|key| {
            let earlier = first[key.index()].some();
            first[key.index()] = row.order;
            earlier
        });
        let id = view.order_id(row.order);
        tally.look(if let Some(earlier) = earlier {
            let what = format!(
                "order {id} and order {} were made for one request (key {})",
                view.order_id(earlier),
                view.names.keys.key(row.key)
            );
            Some(Violation::order(view, row.order, what))
        } else {
            let nobody = is_ours && !was_asked;
            nobody.then(|| {
                Violation::order(
                    view,
                    row.order,
                    format!("order {id} exists and no client asked for it"),
                )
            })
        });
    }
    for order in view
        .every_order()
        .filter(|order| view.order(*order).is_none())
    {
        orphan(view, order, &mut tally);
    }
    tally
}

/// An order that is not in the table of orders.
fn orphan(view: &View<'_>, order: OrderNo, tally: &mut Tally) {
    let id = view.order_id(order);
    let mut look = |there: bool, what: &str| {
        if there {
            tally.look(Some(Violation::order(
                view,
                order,
                format!("{what} {id}, which does not exist"),
            )));
        }
    };
    look(
        view.reservations_of(order).next().is_some(),
        "there is a reservation for order",
    );
    look(
        view.payments_of(order).next().is_some(),
        "there is a payment for order",
    );
    let told = view
        .did_of(order)
        .any(|did| did.act == Act::Place && did.end == End::Ok);
    look(told, "a client was told of order");
}
