//! What can be wrong with the tables and with what the clients saw.

use super::answers::{
    acknowledged_more, charge_more, dead_more, drop_product, no_decline, other_price, other_reason,
    pay_twice, payment_twice, process_payment, refuse_repeat, refuse_request, reserved_still,
    table_back,
};
use super::{Corruption, choose, drop_one, index, is};
use crate::evidence::{Act, End, Evidence, OrderNo, Span};
use contract::http::{OrderStatus, PaymentStatus, ReservationStatus};
use contract::{EventType, Reason};

/// In the order of the checks.
pub(super) const ALL: &[Corruption] = &[
    Corruption {
        name: "a finished order is canceled",
        check: "S1",
        apply: flip_order,
    },
    Corruption {
        name: "a payment is not there",
        check: "S1",
        apply: drop_payment,
    },
    Corruption {
        name: "a reservation line stays open",
        check: "S1",
        apply: reserved_still,
    },
    Corruption {
        name: "canceled for another reason",
        check: "S1",
        apply: other_reason,
    },
    Corruption {
        name: "a unit of stock more",
        check: "S2",
        apply: more_stock,
    },
    Corruption {
        name: "a sold unit less",
        check: "S2",
        apply: sold_less,
    },
    Corruption {
        name: "a step that leaves less than nothing",
        check: "S3",
        apply: negative_step,
    },
    Corruption {
        name: "a processed payment fails as too small",
        check: "S5",
        apply: fail_payment,
    },
    Corruption {
        name: "a small payment is processed",
        check: "S5",
        apply: process_payment,
    },
    Corruption {
        name: "a decline that the provider does not know",
        check: "S5",
        apply: no_decline,
    },
    Corruption {
        name: "an order that nobody asked for",
        check: "S6",
        apply: forget_request,
    },
    Corruption {
        name: "an order is not there",
        check: "S6",
        apply: drop_order,
    },
    Corruption {
        name: "an order that was refused",
        check: "S6",
        apply: refuse_request,
    },
    Corruption {
        name: "a version too many",
        check: "S8",
        apply: version_more,
    },
    Corruption {
        name: "a reservation line is not there",
        check: "S8",
        apply: drop_reservation,
    },
    Corruption {
        name: "a product is not there",
        check: "S8",
        apply: drop_product,
    },
    Corruption {
        name: "a charge is not there",
        check: "S9",
        apply: drop_charge,
    },
    Corruption {
        name: "a charge twice",
        check: "S9",
        apply: charge_twice,
    },
    Corruption {
        name: "another amount is charged",
        check: "S9",
        apply: charge_more,
    },
    Corruption {
        name: "a finished order is paid twice",
        check: "S9",
        apply: pay_twice,
    },
    Corruption {
        name: "a cent more in a payment",
        check: "S10",
        apply: cent_more,
    },
    Corruption {
        name: "a unit more in an order",
        check: "S10",
        apply: unit_more,
    },
    Corruption {
        name: "another price in the catalogue",
        check: "S10",
        apply: other_price,
    },
    Corruption {
        name: "two orders for one key",
        check: "S11",
        apply: two_for_one_key,
    },
    Corruption {
        name: "a repeat is refused as another request",
        check: "S11",
        apply: refuse_repeat,
    },
    Corruption {
        name: "an acknowledged order is not there",
        check: "S12",
        apply: drop_order,
    },
    Corruption {
        name: "an acknowledged order with other lines",
        check: "S12",
        apply: acknowledged_more,
    },
    Corruption {
        name: "a settled order is read as open",
        check: "S13",
        apply: read_back,
    },
    Corruption {
        name: "the table has not what was read",
        check: "S13",
        apply: table_back,
    },
    Corruption {
        name: "an order twice",
        check: "S14",
        apply: order_twice,
    },
    Corruption {
        name: "a payment twice",
        check: "S14",
        apply: payment_twice,
    },
    Corruption {
        name: "a message waits",
        check: "D5",
        apply: message_waits,
    },
    Corruption {
        name: "an event is not published",
        check: "D5",
        apply: unpublished,
    },
    Corruption {
        name: "a message was given up in silence",
        check: "D5",
        apply: dead_more,
    },
    Corruption {
        name: "an order stays open",
        check: "L1",
        apply: reopen,
    },
    Corruption {
        name: "a message is on its way",
        check: "L2",
        apply: message_waits,
    },
    Corruption {
        name: "nothing settles any more",
        check: "L3",
        apply: nothing_settles,
    },
    Corruption {
        name: "no recovery",
        check: "L4",
        apply: no_recovery,
    },
    Corruption {
        name: "a fault did not fire",
        check: "V1",
        apply: no_fault,
    },
    Corruption {
        name: "a story was not told",
        check: "V2",
        apply: no_story,
    },
    Corruption {
        name: "starts are left out",
        check: "V7",
        apply: leave_out,
    },
];

fn flip_order(evidence: &mut Evidence, place: usize) -> bool {
    let row = choose(&mut evidence.orders, place, |row| {
        row.status == OrderStatus::Finished
    });
    row.map(|row| row.status = OrderStatus::Canceled).is_some()
}

fn drop_payment(evidence: &mut Evidence, place: usize) -> bool {
    drop_one(&mut evidence.payments, place, |_| true)
}

fn more_stock(evidence: &mut Evidence, place: usize) -> bool {
    choose(&mut evidence.products, place, |_| true)
        .map(|row| row.available += 1)
        .is_some()
}

fn sold_less(evidence: &mut Evidence, place: usize) -> bool {
    let row = choose(&mut evidence.reservations, place, |row| {
        row.status == ReservationStatus::Consumed && row.item.quantity > 0
    });
    row.map(|row| row.item.quantity -= 1).is_some()
}

fn negative_step(evidence: &mut Evidence, place: usize) -> bool {
    let said =
        choose(&mut evidence.said, place, is(EventType::ReservationCreated)).map(|said| said.lines);
    let step = said.and_then(|lines| evidence.steps.get_mut(lines.range().start));
    step.map(|step| step.available_after = -1).is_some()
}

fn fail_payment(evidence: &mut Evidence, place: usize) -> bool {
    let row = choose(&mut evidence.payments, place, |row| {
        row.status == PaymentStatus::Processed
    });
    row.map(|row| (row.status, row.reason) = (PaymentStatus::Failed, Some(Reason::UnderMinimum)))
        .is_some()
}

/// Takes all requests for an order out of the history.
fn forget_request(evidence: &mut Evidence, place: usize) -> bool {
    let began_us = evidence.plan.began_us;
    let found = index(&evidence.orders, place, |row| {
        row.key.is_some() && row.created_us >= began_us
    });
    let key = found.map(|index| evidence.orders[index].key);
    evidence.history.retain(|did| Some(did.key) != key);
    key.is_some()
}

/// An order that a client was told of.
fn drop_order(evidence: &mut Evidence, place: usize) -> bool {
    let told = |did: &crate::evidence::Did| did.act == Act::Place && did.end == End::Ok;
    let order = index(&evidence.history, place, told).map(|index| evidence.history[index].order);
    let before = evidence.orders.len();
    evidence.orders.retain(|row| Some(row.order) != order);
    evidence.orders.len() < before
}

fn version_more(evidence: &mut Evidence, place: usize) -> bool {
    choose(&mut evidence.orders, place, |_| true)
        .map(|row| row.version += 1)
        .is_some()
}

fn drop_reservation(evidence: &mut Evidence, place: usize) -> bool {
    drop_one(&mut evidence.reservations, place, |_| true)
}

fn drop_charge(evidence: &mut Evidence, place: usize) -> bool {
    let charged =
        |row: &crate::evidence::ChargeRow| row.outcome == contract::http::ChargeOutcome::Charged;
    drop_one(&mut evidence.charges, place, charged)
}

fn charge_twice(evidence: &mut Evidence, place: usize) -> bool {
    let charged =
        |row: &crate::evidence::ChargeRow| row.outcome == contract::http::ChargeOutcome::Charged;
    let found = index(&evidence.charges, place, charged).map(|index| evidence.charges[index]);
    evidence.charges.extend(found);
    found.is_some()
}

fn cent_more(evidence: &mut Evidence, place: usize) -> bool {
    choose(&mut evidence.payments, place, |_| true)
        .map(|row| row.amount += 1)
        .is_some()
}

fn unit_more(evidence: &mut Evidence, place: usize) -> bool {
    // Where nothing was reserved, the event still tells what was ordered.
    let lines = choose(&mut evidence.orders, place, |_| true).map(|row| row.items);
    let item = lines.and_then(|lines| evidence.items.get_mut(lines.range().start));
    item.map(|item| item.quantity += 1).is_some()
}

/// Gives the answer to a repeated request another order than the first one got.
fn two_for_one_key(evidence: &mut Evidence, place: usize) -> bool {
    let answered = |did: &crate::evidence::Did| {
        did.act == Act::Place && did.end == End::Ok && did.key.is_some()
    };
    let mut times = vec![0_u32; evidence.names.keys.len()];
    for did in evidence.history.iter().filter(|did| answered(did)) {
        times[did.key.index()] += 1;
    }
    let other = evidence.orders.first().map(|row| row.order);
    let repeated = |did: &crate::evidence::Did| {
        answered(did) && times[did.key.index()] > 1 && Some(did.order) != other
    };
    let found = choose(&mut evidence.history, place, repeated);
    found
        .zip(other)
        .map(|(did, other)| did.order = other)
        .is_some()
}

/// The last look at an order that was seen settled before.
fn read_back(evidence: &mut Evidence, place: usize) -> bool {
    let read = |did: &crate::evidence::Did| {
        did.act == Act::Read && did.end == End::Ok && did.seen.is_some_and(OrderStatus::is_settled)
    };
    let Some(order) =
        index(&evidence.history, place, read).map(|index| evidence.history[index].order)
    else {
        return false;
    };
    let mut reads: Vec<usize> = (0..evidence.history.len())
        .filter(|at| read(&evidence.history[*at]) && evidence.history[*at].order == order)
        .collect();
    reads.sort_by_key(|at| evidence.history[*at].start_us);
    match reads.as_slice() {
        [first, .., last]
            if evidence.history[*first].end_us <= evidence.history[*last].start_us =>
        {
            (
                evidence.history[*last].seen,
                evidence.history[*last].version,
            ) = (Some(OrderStatus::Created), 1);
            true
        }
        _ => false,
    }
}

fn order_twice(evidence: &mut Evidence, place: usize) -> bool {
    let found = index(&evidence.orders, place, |_| true).map(|index| evidence.orders[index]);
    evidence.orders.extend(found);
    found.is_some()
}

fn message_waits(evidence: &mut Evidence, _: usize) -> bool {
    evidence
        .queues
        .values_mut()
        .next()
        .map(|queue| queue.ready += 1)
        .is_some()
}

fn unpublished(evidence: &mut Evidence, _: usize) -> bool {
    evidence
        .queues
        .values_mut()
        .last()
        .map(|queue| queue.unpublished += 1)
        .is_some()
}

fn reopen(evidence: &mut Evidence, place: usize) -> bool {
    choose(&mut evidence.orders, place, |_| true)
        .map(|row| row.status = OrderStatus::Created)
        .is_some()
}

fn nothing_settles(evidence: &mut Evidence, _: usize) -> bool {
    for row in &mut evidence.orders {
        row.settled_us = 0;
    }
    !evidence.orders.is_empty()
}

fn no_recovery(evidence: &mut Evidence, place: usize) -> bool {
    let row = choose(&mut evidence.faults, place, |fault| {
        fault.healed_us.is_some()
    });
    row.map(|fault| fault.recovered_us = None).is_some()
}

fn no_fault(evidence: &mut Evidence, place: usize) -> bool {
    choose(&mut evidence.faults, place, |_| true)
        .map(|fault| fault.fired_us = None)
        .is_some()
}

fn no_story(evidence: &mut Evidence, place: usize) -> bool {
    let stories: Vec<_> = evidence.plan.stories.iter().copied().collect();
    let Some(story) = place.checked_rem(stories.len()).map(|nth| stories[nth]) else {
        return false;
    };
    for did in evidence.history.iter_mut().filter(|did| did.story == story) {
        (did.end, did.act, did.order) = (End::Unknown, Act::PlaceBadly, OrderNo::NONE);
        did.items = Span::default();
    }
    // A client that hung up looks like that anyway, so that story is taken out whole.
    evidence
        .history
        .retain(|did| did.story != story || story != crate::history::Story::Abandoned);
    true
}

fn leave_out(evidence: &mut Evidence, _: usize) -> bool {
    evidence.plan.load.dropped = evidence.plan.load.offered;
    evidence.plan.load.offered > 0
}
