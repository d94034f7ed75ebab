//! A part of a large run that is a good run by itself: enough to prove the checks on, in a bounded time.

use crate::evidence::{Evidence, KeyNo, MessageNo, OrderNo, ProductNo, Said, Span};
use crate::history::Story;
use contract::{EventType, Reason};
use std::collections::BTreeMap;

/// One in so many orders of a part may be there for its story, and as many for its reason.
const RARE: usize = 200;

/// Which orders are in the part, and which keys.
struct Part {
    orders: Vec<bool>,
    keys: Vec<bool>,
}

impl Part {
    fn has(&self, order: OrderNo) -> bool {
        order.some().is_some_and(|order| self.orders[order.index()])
    }

    fn has_key(&self, key: KeyNo) -> bool {
        key.some().is_some_and(|key| self.keys[key.index()])
    }
}

/// The first `orders` orders with everything that is told of them, and some of each story and each reason. The
/// stocks are worked out anew, as if there had been no other orders.
pub fn cut(whole: &Evidence, orders: usize) -> Evidence {
    let part = choose(whole, orders);
    let mut cut = Evidence {
        plan: whole.plan.clone(),
        missing: whole.missing.clone(),
        names: whole.names.clone(),
        created: whole.created.clone(),
        products: whole.products.clone(),
        queues: whole.queues.clone(),
        dead: whole.dead.clone(),
        faults: whole.faults.clone(),
        ..Evidence::default()
    };
    let is_done = |did: &crate::evidence::Did| {
        let is_nobodys = !did.order.is_some() && !did.key.is_some();
        is_nobodys || part.has(did.order) || part.has_key(did.key)
    };
    for did in whole.history.iter().filter(|did| is_done(did)) {
        let items = cut
            .add_items(did.items.of(&whole.items).iter().copied())
            .unwrap_or_default();
        cut.history.push(crate::evidence::Did { items, ..*did });
    }
    for row in whole.orders.iter().filter(|row| part.has(row.order)) {
        let items = cut
            .add_items(row.items.of(&whole.items).iter().copied())
            .unwrap_or_default();
        cut.orders.push(crate::evidence::OrderRow { items, ..*row });
    }
    cut.reservations
        .extend(whole.reservations.iter().filter(|row| part.has(row.order)));
    cut.payments
        .extend(whole.payments.iter().filter(|row| part.has(row.order)));
    cut.charges
        .extend(whole.charges.iter().filter(|row| part.has(row.order)));
    cut.spans
        .extend(whole.spans.iter().filter(|span| part.has(span.order)));
    // After the first order that is left out, too little happens to speak of progress.
    let left_out = whole
        .history
        .iter()
        .find(|did| did.order.is_some() && !part.has(did.order));
    // What services counted is all of the run, and nobody can tell a part of it from the rest.
    cut.plan.metered = false;
    cut.plan.load_to_us = left_out.map_or(cut.plan.load_to_us, |did| did.due_us);
    messages(whole, &part, &mut cut);
    stocks(&mut cut);
    cut
}

fn choose(whole: &Evidence, orders: usize) -> Part {
    let of_each = orders.div_ceil(RARE);
    let mut part = Part {
        orders: vec![false; whole.names.orders.len()],
        keys: vec![false; whole.names.keys.len()],
    };
    part.orders
        .iter_mut()
        .take(orders)
        .for_each(|is_in| *is_in = true);
    let mut of_key = vec![OrderNo::NONE; whole.names.keys.len()];
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    for row in &whole.orders {
        if let Some(key) = row.key.some() {
            of_key[key.index()] = row.order;
        }
        if let Some(reason) = row.reason {
            let times = reasons.entry(reason).or_default();
            *times += 1;
            part.orders[row.order.index()] |= *times <= of_each;
        }
    }
    let mut stories: BTreeMap<Story, usize> = BTreeMap::new();
    for did in &whole.history {
        let times = stories.entry(did.story).or_default();
        *times += 1;
        let key = did.key.some().map(KeyNo::index);
        let order = did.order.some().or_else(|| of_key[key?].some());
        if *times <= of_each {
            if let Some(order) = order {
                part.orders[order.index()] = true;
            }
            if let Some(key) = key {
                part.keys[key] = true;
            }
        }
    }
    let dead = whole.dead.iter().filter_map(|dead| {
        whole
            .said
            .iter()
            .find(|said| said.id == dead.id)?
            .order
            .some()
    });
    dead.for_each(|order| part.orders[order.index()] = true);
    let keys = whole
        .orders
        .iter()
        .filter(|row| part.orders[row.order.index()])
        .filter_map(|row| row.key.some());
    keys.for_each(|key| part.keys[key.index()] = true);
    part
}

/// Events, deliveries and what was applied.
fn messages(whole: &Evidence, part: &Part, cut: &mut Evidence) {
    let mut kept = vec![false; whole.names.messages.len()];
    for said in whole
        .said
        .iter()
        .filter(|said| !said.order.is_some() || part.has(said.order))
    {
        said.id
            .some()
            .into_iter()
            .for_each(|id: MessageNo| kept[id.index()] = true);
        let lines = if said.kind == EventType::OrderCreated {
            cut.add_items(said.lines.of(&whole.items).iter().copied())
        } else {
            cut.add_steps(said.lines.of(&whole.steps).iter().copied())
        };
        cut.said.push(Said {
            lines: lines.unwrap_or(Span::default()),
            ..*said
        });
    }
    cut.tap
        .extend(whole.tap.iter().filter(|tapped| kept[tapped.id.index()]));
    cut.applied.extend(
        whole
            .applied
            .iter()
            .filter(|applied| kept[applied.id.index()]),
    );
}

/// Plays the steps of each product in their order.
fn stocks(cut: &mut Evidence) {
    let events = cut
        .said
        .iter()
        .filter(|said| said.kind != EventType::OrderCreated);
    let mut steps: Vec<(ProductNo, u32, usize, EventType)> = events
        .flat_map(|said| said.lines.range().map(|at| (at, said.kind)))
        .filter_map(|(at, kind)| {
            cut.steps
                .get(at)
                .map(|step| (step.product, step.version, at, kind))
        })
        .collect();
    steps.sort_unstable_by_key(|(product, version, at, _)| (*product, *version, *at));
    let mut ends: BTreeMap<ProductNo, (u32, i64)> = BTreeMap::new();
    for (product, _, at, kind) in steps {
        let (version, available) = ends.entry(product).or_default();
        let step = &mut cut.steps[at];
        let quantity = i64::from(step.quantity);
        *version += 1;
        *available += if kind == EventType::ReservationCreated {
            -quantity
        } else {
            quantity
        };
        (step.version, step.available_after) = (*version, *available);
    }
    for row in &mut cut.products {
        if let Some((version, available)) = ends.get(&row.product) {
            (row.version, row.available) = (*version, *available);
        }
    }
}
