//! D3: what was published has reached the service that hears it, or waits for it, or was given up with a reason.
//! D4: however often it was delivered, it had one effect.

use super::{Tally, Violation};
use crate::evidence::{MessageNo, Said, Service, View};
use contract::EventType;
use std::collections::BTreeMap;

/// D3
pub(super) fn none_lost(view: &View<'_>) -> Tally {
    // Each type has at most one hearer, so one flag for each message is enough.
    let mut arrived = vec![false; view.names.messages.len()];
    for applied in &view.applied {
        arrived[applied.id.index()] = true;
    }
    for dead in &view.dead {
        arrived[dead.id.index()] = true;
    }
    let mut waiting: BTreeMap<Service, u64> = view
        .queues
        .iter()
        .map(|(service, queue)| (*service, queue.waiting()))
        .collect();
    let mut tally = Tally::default();
    let mut seen = vec![false; view.names.messages.len()];
    for tapped in &view.tap {
        let Some(hearer) = Service::hearer(tapped.kind) else {
            continue;
        };
        if std::mem::replace(&mut seen[tapped.id.index()], true) {
            continue;
        }
        let is_lost = !arrived[tapped.id.index()] && !take(&mut waiting, hearer);
        tally.look(is_lost.then(|| {
            let order = view.logged(tapped.id).next().map(|said| said.order);
            let (kind, hearer) = (tapped.kind.as_str(), hearer.as_str());
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
    let mut effects = vec![[0_u16; 3]; view.names.messages.len()];
    for said in view.said.iter().filter(|said| said.cause.is_some()) {
        let of_cause = &mut effects[said.cause.index()][said.service as usize];
        *of_cause = of_cause.saturating_add(1);
    }
    let mut kinds: Vec<Option<EventType>> = vec![None; view.names.messages.len()];
    for said in &view.said {
        kinds[said.id.index()] = Some(said.kind);
    }
    let mut tally = Tally::default();
    let (mut deliveries, mut messages, mut most) = (0_u64, 0_u64, 0);
    for applied in &view.applied {
        deliveries += u64::from(applied.seen);
        messages += 1;
        most = most.max(applied.seen);
        let times = effects[applied.id.index()][applied.service as usize];
        let kind =
            kinds[applied.id.index()].map_or("a message that is in no log", EventType::as_str);
        tally.look((times != 1).then(|| {
            let order = order_of(view, applied.id);
            let (service, seen) = (applied.service.as_str(), applied.seen);
            let what = format!("{service} applied {kind} {times} times ({seen} deliveries)");
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

fn order_of(view: &View<'_>, id: MessageNo) -> crate::evidence::OrderNo {
    view.logged(id)
        .next()
        .map_or(crate::evidence::OrderNo::NONE, |said: &Said| said.order)
}

/// `n / of` with two digits.
fn hundredths(n: u64, of: u64) -> String {
    let hundredths = n * 100 / of;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
