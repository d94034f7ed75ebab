//! D3: what was published has reached the service that hears it, or waits for it, or was given up with a reason.
//! D4: however often it was delivered, it had one effect.

use super::{Tally, Violation};
use crate::evidence::{OrderNo, Service, View};
use std::collections::BTreeMap;

/// How far the bits of what was looked at are from those of what arrived.
const SEEN: u32 = 4;

const fn bit(service: Service) -> u8 {
    1 << service as u8
}

/// D3
pub(super) fn none_lost(view: &View<'_>) -> Tally {
    // One bit for each service that has it.
    let mut arrived = vec![0_u8; view.names.messages.len()];
    for applied in &view.applied {
        arrived[applied.id.index()] |= bit(applied.service);
    }
    for dead in view.dead.iter().filter(|dead| !dead.reason.is_empty()) {
        arrived[dead.id.index()] |= bit(dead.service);
    }
    let mut waiting: BTreeMap<Service, u64> = view
        .queues
        .iter()
        .map(|(service, queue)| (*service, queue.waiting()))
        .collect();
    let mut tally = Tally::default();
    for tapped in &view.tap {
        let Some((kind, hearer)) = tapped
            .kind
            .and_then(|kind| Some((kind, Service::hearer(kind)?)))
        else {
            continue;
        };
        let arrived = &mut arrived[tapped.id.index()];
        // The bits above are of messages that were looked at.
        if *arrived & (bit(hearer) << SEEN) != 0 {
            continue;
        }
        *arrived |= bit(hearer) << SEEN;
        let is_lost = *arrived & bit(hearer) == 0 && !take(&mut waiting, hearer);
        tally.look(is_lost.then(|| {
            let order = view.logged(tapped.id).next().map(|said| said.order);
            let (kind, hearer) = (kind.as_str(), hearer.as_str());
            let id = view.names.messages.id(tapped.id.index());
            let what = format!("{kind} (message {id}) was published, and {hearer} neither applied it nor gave it up");
            order.map_or_else(|| Violation::run(what.clone()), |order| Violation::order(view, order, what.clone()))
        }));
    }
    tally
}

/// Whether one of the messages that still wait in the queue of `service` may be this one.
fn take(waiting: &mut BTreeMap<Service, u64>, service: Service) -> bool {
    waiting.get_mut(&service).is_some_and(|count| {
        let any = *count > 0;
        *count = count.saturating_sub(1);
        any
    })
}

/// D4
pub(super) fn absorbed(view: &View<'_>) -> Tally {
    // Two bits for each service: no effect, one, two, or more.
    let mut effects = vec![0_u8; view.names.messages.len()];
    for said in view.said.iter().filter(|said| said.cause.is_some()) {
        let (of_cause, shift) = (&mut effects[said.cause.index()], 2 * said.service as u8);
        let is_full = (*of_cause >> shift) & 3 == 3;
        *of_cause += u8::from(!is_full) << shift;
    }
    let mut tally = Tally::default();
    let (mut deliveries, mut messages, mut most) = (0_u64, 0_u64, 0);
    for applied in &view.applied {
        deliveries += u64::from(applied.seen);
        messages += 1;
        most = most.max(applied.seen);
        let times = (effects[applied.id.index()] >> (2 * applied.service as u8)) & 3;
        tally.look((times != 1 || applied.seen == 0).then(|| {
            let said = view.logged(applied.id).next();
            let kind = said.map_or("a message that is in no log", |said| said.kind.as_str());
            let times = ["never", "once", "twice", "more than twice"][usize::from(times)];
            let (service, seen) = (applied.service.as_str(), applied.seen);
            let order = said.map_or(OrderNo::NONE, |said| said.order);
            let about = order.some().map_or(String::new(), |order| {
                format!(" of order {}", view.order_id(order))
            });
            let deliveries = if seen == 1 { "delivery" } else { "deliveries" };
            let what =
                format!("{kind}{about} had an effect at {service} {times} ({seen} {deliveries})");
            Violation::order(view, order, what)
        }));
    }
    if messages > 0 {
        let factor = hundredths(deliveries, messages);
        tally.note(format!(
            "{factor} deliveries for each message, at most {most}"
        ));
    }
    tally
}

/// `n / of` with two digits.
fn hundredths(n: u64, of: u64) -> String {
    let hundredths = n * 100 / of;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
