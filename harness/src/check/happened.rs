//! V1: each fault that was asked for fired and was seen where it should show. V2: each planned story happened.
//! A run that passes because nothing went wrong on purpose has proved nothing.

use super::{Tally, Violation};
use crate::evidence::{Act, Did, End, Item, OrderNo, Rows, Said, View};
use crate::faults::{FaultKind, FaultRecord};
use crate::history::{PRICE_EDGES, Story};
use contract::http::{ChargeOutcome, OrderStatus};
use contract::{EventType, Reason};

/// How long payments waits for the provider before it asks again.
const PATIENCE_US: i64 = 1_000_000;

/// V1
pub(super) fn faults(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for name in &view.plan.faults {
        let records: Vec<&FaultRecord> = view
            .faults
            .iter()
            .filter(|fault| fault.kind.as_str() == *name)
            .collect();
        if records.is_empty() {
            tally.look(Some(Violation::run(format!(
                "{name} was asked for and never planned"
            ))));
        }
        for fault in records {
            let (seen, how) = seen(view, fault);
            let at = fault
                .service
                .as_deref()
                .map_or(String::new(), |service| format!(" at {service}"));
            if fault.fired_us.is_none() {
                tally.look(Some(Violation::run(format!(
                    "{name}{at} was asked for and did not fire"
                ))));
            } else if seen == 0 {
                tally.look(Some(Violation::run(format!(
                    "{name}{at} fired, and nothing was seen of it: {how}"
                ))));
            } else {
                tally.look(None);
            }
        }
    }
    tally
}

/// How often a fault was seen, and what of it: in the evidence where that can tell.
pub fn seen(view: &View<'_>, fault: &FaultRecord) -> (u64, String) {
    let canceled = |reason| {
        view.orders
            .iter()
            .filter(|row| row.reason == Some(reason))
            .count() as u64
    };
    match fault.kind {
        FaultKind::UnderMinimum => {
            let n = canceled(Reason::UnderMinimum);
            (n, format!("{n} orders canceled as under_minimum"))
        }
        FaultKind::OutOfStock => {
            let n = canceled(Reason::OutOfStock);
            (n, format!("{n} orders canceled as out_of_stock"))
        }
        FaultKind::Declines => {
            let n = view
                .charges
                .iter()
                .filter(|charge| charge.outcome == ChargeOutcome::Declined)
                .count() as u64;
            (n, format!("{n} declined charges in the provider's ledger"))
        }
        FaultKind::Duplicates => {
            let n = view
                .applied
                .iter()
                .filter(|applied| applied.seen > 1)
                .count() as u64;
            (n, format!("{n} messages were delivered more than once"))
        }
        FaultKind::ProviderTimeouts => {
            let n = asked_again(view, fault);
            (
                n,
                format!("{n} payments took longer than a second, so the provider was asked again"),
            )
        }
        _ => (fault.observed, fault.how.clone()),
    }
}

/// Payments that were made while the fault was on and ended only after the provider's time was over.
fn asked_again(view: &View<'_>, fault: &FaultRecord) -> u64 {
    let (Some(fired), Some(healed)) = (fault.fired_us, fault.healed_us) else {
        return 0;
    };
    let made = view.said.iter().filter(|said| {
        said.kind == EventType::PaymentCreated && (fired..=healed).contains(&said.time_us)
    });
    let is_late = |made: &&Said| {
        let ends = [EventType::PaymentProcessed, EventType::PaymentFailed];
        let end = view
            .said_of(made.order)
            .find(|said| ends.contains(&said.kind));
        end.is_some_and(|end| end.time_us - made.time_us >= PATIENCE_US)
    };
    made.filter(is_late).count() as u64
}

/// V2
pub(super) fn stories(view: &View<'_>) -> Tally {
    let by_key = Rows::group(view.names.keys.len(), &view.history, |did| {
        (did.act == Act::Place)
            .then(|| did.key.some().map(crate::evidence::KeyNo::index))
            .flatten()
    });
    let mut tally = Tally::default();
    for story in &view.plan.stories {
        let mut operations = view.history.iter().filter(|did| did.story == *story);
        let times = operations
            .clone()
            .filter(|did| happened(view, &by_key, did))
            .count();
        let any = operations.next().is_some();
        let name = story.as_str();
        tally.look((times == 0).then(|| {
            let what = if any {
                "it was tried, and did not go as planned"
            } else {
                "it was never tried"
            };
            Violation::run(format!("story {name} did not happen: {what}"))
        }));
    }
    tally
}

/// Whether this operation shows that its story happened.
fn happened(view: &View<'_>, by_key: &Rows, did: &Did) -> bool {
    let order = view.order(did.order);
    let ended =
        |status, reason| order.is_some_and(|row| row.status == status && row.reason == reason);
    let canceled = |reason| ended(OrderStatus::Canceled, Some(reason));
    let items = did.items.of(&view.items);
    match did.story {
        Story::Catalogue => did.act == Act::CreateProduct && did.end == End::Ok,
        Story::Real => did.end == End::Ok,
        Story::Happy => ended(OrderStatus::Finished, None),
        Story::SeveralLines => items.len() > 1 && ended(OrderStatus::Finished, None),
        Story::UnderMinimum => canceled(Reason::UnderMinimum),
        Story::PriceEdge => {
            is_edge(view, items) && order.is_some_and(|row| row.status.is_settled())
        }
        Story::Declined => canceled(Reason::Declined),
        Story::OutOfStock => canceled(Reason::OutOfStock),
        Story::UnknownProduct => canceled(Reason::UnknownProduct),
        Story::Retry | Story::DoubleClick => same_key(view, by_key, did, End::Ok) > 1,
        Story::KeyReused => did.end == End::Ok && same_key(view, by_key, did, End::Refused) > 0,
        Story::InvalidBody => {
            let is_refusal = (400..500).contains(&did.status);
            did.act == Act::PlaceBadly && did.end == End::Refused && is_refusal
        }
        Story::Abandoned => did.end == End::Unknown,
        Story::Reread => reads_of_settled(view, did.order) > 1,
    }
}

/// How many requests under this key ended in this way.
fn same_key(view: &View<'_>, by_key: &Rows, did: &Did, end: End) -> usize {
    let rows = did.key.some().map_or(&[][..], |key| by_key.of(key.index()));
    rows.iter()
        .filter(|row| view.history[**row as usize].end == end)
        .count()
}

fn reads_of_settled(view: &View<'_>, order: OrderNo) -> usize {
    let settled =
        |did: &&Did| did.act == Act::Read && did.seen.is_some_and(OrderStatus::is_settled);
    view.did_of(order).filter(settled).count()
}

fn is_edge(view: &View<'_>, items: &[Item]) -> bool {
    items.iter().any(|item| {
        view.price(item.product)
            .is_some_and(|price| PRICE_EDGES.contains(&price))
    })
}
