//! S13: time only goes forward. Who has seen an order settled never sees it otherwise again, and no read answers
//! with an older version than an answer that had ended before it began.

use super::{Tally, Violation};
use crate::evidence::{Act, Did, End, OrderNo, View};
use contract::http::OrderStatus;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for order in view.every_order() {
        let mut answers: Vec<&Did> = view
            .did_of(order)
            .filter(|did| did.end == End::Ok)
            .collect();
        if !answers.iter().any(|did| did.act == Act::Read) {
            continue;
        }
        answers.sort_by_key(|did| did.end_us);
        let mut reads: Vec<&Did> = answers
            .iter()
            .copied()
            .filter(|did| did.act == Act::Read)
            .collect();
        reads.sort_by_key(|did| did.start_us);
        let mut ended = answers.iter().peekable();
        let mut newest: Option<&Did> = None;
        for read in reads {
            while let Some(did) = ended.next_if(|did| did.end_us <= read.start_us) {
                newest = newest
                    .filter(|newest| newest.version >= did.version)
                    .or(Some(did));
            }
            tally.look(newest.and_then(|before| back(view, order, before, read)));
        }
        let newest = answers.iter().max_by_key(|did| did.version);
        tally.look(newest.and_then(|did| not_in_table(view, order, did)));
    }
    tally
}

fn back(view: &View<'_>, order: OrderNo, before: &Did, read: &Did) -> Option<Violation> {
    let is_settled = before.seen.is_some_and(OrderStatus::is_settled);
    let went_back = read.version < before.version || (is_settled && read.seen != before.seen);
    went_back.then(|| {
        let name = |did: &Did| did.seen.map_or("nothing", OrderStatus::as_str);
        let (id, was, is) = (view.order_id(order), name(before), name(read));
        let what = format!(
            "order {id} was {was} (version {}) and then read as {is} (version {})",
            before.version, read.version
        );
        Violation::order(view, order, what)
    })
}

fn not_in_table(view: &View<'_>, order: OrderNo, did: &Did) -> Option<Violation> {
    let row = view.order(order)?;
    let is_settled = did.seen.is_some_and(OrderStatus::is_settled);
    (row.version < did.version || (is_settled && did.seen != Some(row.status))).then(|| {
        let what = format!(
            "order {} was read as version {}, the table ends with {} (version {})",
            view.order_id(order),
            did.version,
            row.status.as_str(),
            row.version
        );
        Violation::order(view, order, what)
    })
}
