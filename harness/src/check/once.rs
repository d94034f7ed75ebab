//! S4: each transition happens at most once, and each message has at most one effect at each of its consumers.

use super::{Tally, Violation};
use crate::evidence::{Said, View};
use contract::EventType;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for order in view.every_order() {
        let mut kinds = 0_u32;
        let mut repeated = None;
        let mut any = false;
        for said in view.said_of(order) {
            any = true;
            let bit = 1 << said.kind as u32;
            if kinds & bit != 0 {
                repeated = Some(said);
            }
            kinds |= bit;
        }
        if any {
            tally.look(repeated.map(|said| {
                let times = times(view.said_of(order), said.kind);
                let what = format!(
                    "order {} has {} {times} times",
                    view.order_id(order),
                    said.kind.as_str()
                );
                Violation::order(view, order, what)
            }));
        }
    }
    tally
}

fn times<'e>(said: impl Iterator<Item = &'e Said>, kind: EventType) -> usize {
    said.filter(|said| said.kind == kind).count()
}
