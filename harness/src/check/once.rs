//! S4: each transition happens at most once, and each message has at most one effect at each of its consumers.

use super::{Tally, Violation};
use crate::evidence::{MessageNo, OrderNo, Said, View};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    // One bit for each service that a message has moved.
    let mut moved = vec![0_u8; view.names.messages.len()];
    for order in view.every_order() {
        let mut kinds = 0_u32;
        let mut wrong = None;
        let mut any = false;
        for said in view.said_of(order) {
            any = true;
            if set(&mut kinds, 1 << said.kind as u32) {
                wrong = Some((said, true));
            }
            let by = said.cause.some().map(|cause| &mut moved[cause.index()]);
            if by.is_some_and(|by| set(by, 1 << said.service as u8)) {
                wrong = wrong.or(Some((said, false)));
            }
        }
        if any {
            tally.look(wrong.map(|(said, is_repeat)| violation(view, order, said, is_repeat)));
        }
    }
    tally
}

/// Sets a bit and tells whether it was set before.
fn set<T: Copy + PartialEq + std::ops::BitOrAssign>(bits: &mut T, bit: T) -> bool {
    let before = *bits;
    *bits |= bit;
    *bits == before
}

fn violation(view: &View<'_>, order: OrderNo, said: &Said, is_repeat: bool) -> Violation {
    let (id, kind) = (view.order_id(order), said.kind.as_str());
    let what = if is_repeat {
        let times = view
            .said_of(order)
            .filter(|other| other.kind == said.kind)
            .count();
        format!("order {id} has {kind} {times} times")
    } else {
        let cause = said.cause.some().map_or(0, MessageNo::index);
        let (service, cause) = (said.service.as_str(), view.names.messages.id(cause));
        format!("order {id} has {kind} as one more effect of message {cause} at {service}")
    };
    Violation::order(view, order, what)
}
