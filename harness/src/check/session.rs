//! S13: time only goes forward. Who has seen an order settled never sees it otherwise again, and no read answers
//! with an older version than an answer that had ended before it began.

use super::{Tally, Violation};
use crate::evidence::{Act, Did, End, OrderNo, View};
use contract::http::OrderStatus;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let (mut ended, mut reads): (Vec<&Did>, Vec<&Did>) = (Vec::new(), Vec::new());
    for order in view.every_order() {
        let answers = view.did_of(order).filter(|did| did.end == End::Ok);
        if !answers.clone().any(|did| did.act == Act::Read) {
            continue;
        }
        ended.clear();
        ended.extend(answers.clone());
        ended.sort_by_key(|did| did.end_us);
        reads.clear();
        reads.extend(answers.filter(|did| did.act == Act::Read));
        reads.sort_by_key(|did| did.start_us);
        let mut ended = ended.iter().copied().peekable();
        let mut before = Before::default();
        for read in &reads {
            while let Some(did) = ended.next_if(|did| did.end_us <= read.start_us) {
                before.add(did);
            }
            tally.look(before.went_back(view, order, read));
        }
        ended.for_each(|did| before.add(did));
        tally.look(before.not_in_table(view, order));
    }
    tally
}

/// What was seen of an order up to now.
#[derive(Default)]
struct Before<'e> {
    /// The answer with the highest version.
    newest: Option<&'e Did>,
    /// Answers in which it was settled: the first one, and one that says something else.
    settled: [Option<&'e Did>; 2],
}

impl<'e> Before<'e> {
    fn add(&mut self, did: &'e Did) {
        self.newest = self
            .newest
            .filter(|newest| newest.version >= did.version)
            .or(Some(did));
        if did.seen.is_some_and(OrderStatus::is_settled) {
            match &mut self.settled {
                [first @ None, _] => *first = Some(did),
                [Some(first), other @ None] if first.seen != did.seen => *other = Some(did),
                _ => {}
            }
        }
    }

    /// An answer after which this version and status are a step back.
    fn newer(&self, version: u32, seen: Option<OrderStatus>) -> Option<&'e Did> {
        let newer = self.newest.filter(|newest| newest.version > version);
        newer.or_else(|| {
            self.settled
                .into_iter()
                .flatten()
                .find(|settled| settled.seen != seen)
        })
    }

    fn went_back(&self, view: &View<'_>, order: OrderNo, read: &Did) -> Option<Violation> {
        let before = self.newer(read.version, read.seen)?;
        let name = |did: &Did| did.seen.map_or("nothing", OrderStatus::as_str);
        let (id, was, is) = (view.order_id(order), name(before), name(read));
        let (before, after) = (before.version, read.version);
        let what = format!(
            "order {id} was {was} (version {before}) and then read as {is} (version {after})"
        );
        Some(Violation::order(view, order, what))
    }

    fn not_in_table(&self, view: &View<'_>, order: OrderNo) -> Option<Violation> {
        let row = view.order(order)?;
        let did = self.newer(row.version, Some(row.status))?;
        let what = format!(
            "order {} was read as {} (version {}), the table ends with {} (version {})",
            view.order_id(order),
            did.seen.map_or("nothing", OrderStatus::as_str),
            did.version,
            row.status.as_str(),
            row.version
        );
        Some(Violation::order(view, order, what))
    }
}
