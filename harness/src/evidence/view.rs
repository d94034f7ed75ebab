//! Evidence joined by order and by message: each join is made once, in linear time, for all checks.

use super::{
    Applied, ChargeRow, Did, Evidence, Item, MessageNo, OrderNo, OrderRow, PaymentRow, ProductNo,
};
use super::{ReservationRow, Said, SpanRow, Step, TraceNo};
use contract::EventType;
use std::collections::HashMap;
use std::ops::Deref;

/// Which rows belong to which number: counted, summed up, filled in.
#[derive(Debug, Default)]
pub struct Rows {
    ends: Vec<u32>,
    rows: Vec<u32>,
}

impl Rows {
    /// Groups rows by the index that `of` gives; those without one are left out.
    pub fn group<T>(groups: usize, list: &[T], of: impl Fn(&T) -> Option<usize>) -> Self {
        let mut ends = vec![0_u32; groups + 1];
        for row in list {
            if let Some(count) = of(row).and_then(|group| ends.get_mut(group + 1)) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum;
        }
        // `ends[group]` is where the group begins now, and where the next one does once all rows are in.
        let mut rows = vec![0; sum as usize];
        for (at, row) in (0_u32..).zip(list) {
            if let Some(next) = of(row).and_then(|group| ends.get_mut(group)) {
                rows[*next as usize] = at;
                *next += 1;
            }
        }
        Self { ends, rows }
    }

    /// Sorts the rows of each group; those with the same key keep their order.
    fn sort_each<K: Ord>(&mut self, key: impl Fn(u32) -> K) {
        let mut begin = 0;
        for end in &self.ends {
            let rows = &mut self.rows[begin..*end as usize];
            if !rows.is_sorted_by_key(|at| key(*at)) {
                rows.sort_by_key(|at| key(*at));
            }
            begin = *end as usize;
        }
    }

    /// The rows of a group, in the order of the list.
    pub fn of(&self, group: usize) -> &[u32] {
        let Some(end) = self.ends.get(group) else {
            return &[];
        };
        let begin = group.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[begin as usize..*end as usize]
    }
}

/// Which events have which id: mostly one, so that the others have a list of their own.
#[derive(Debug, Default)]
struct Logged {
    first: Vec<u32>,
    more: HashMap<MessageNo, Vec<u32>>,
}

impl Logged {
    const NOWHERE: u32 = u32::MAX;

    fn new(messages: usize, list: &[Said]) -> Self {
        let mut logged = Self {
            first: vec![Self::NOWHERE; messages],
            more: HashMap::new(),
        };
        for (at, said) in (0_u32..).zip(list).filter(|(_, said)| said.id.is_some()) {
            let first = &mut logged.first[said.id.index()];
            if *first == Self::NOWHERE {
                *first = at;
            } else {
                logged.more.entry(said.id).or_default().push(at);
            }
        }
        logged
    }

    /// The first event with this id, and all others.
    fn of(&self, id: MessageNo) -> (Option<&u32>, &[u32]) {
        let first = self
            .first
            .get(id.index())
            .filter(|at| **at != Self::NOWHERE);
        let more = if self.more.is_empty() {
            None
        } else {
            self.more.get(&id)
        };
        (first, more.map_or(&[], Vec::as_slice))
    }
}

/// Evidence with its joins.
#[derive(Debug)]
pub struct View<'e> {
    evidence: &'e Evidence,
    orders: Rows,
    reservations: Rows,
    payments: Rows,
    charges: Rows,
    said: Rows,
    logged: Logged,
    did: Rows,
    traces: Rows,
    traced: Rows,
    applied: Rows,
    stock: Vec<StockStep>,
    stock_of: Rows,
    prices: Vec<Option<i64>>,
}

/// A step of a product's stock, and the event that tells of it.
#[derive(Debug, Clone, Copy)]
pub struct StockStep {
    /// The event.
    pub said: u32,
    /// The step.
    pub step: u32,
}

impl Deref for View<'_> {
    type Target = Evidence;

    fn deref(&self) -> &Evidence {
        self.evidence
    }
}

impl<'e> View<'e> {
    /// Joins `evidence`.
    pub fn new(evidence: &'e Evidence) -> Self {
        let orders = evidence.names.orders.len();
        let messages = evidence.names.messages.len();
        let order = |order: OrderNo| order.some().map(OrderNo::index);
        let (stock, stock_of) = stock(evidence);
        Self {
            evidence,
            orders: Rows::group(orders, &evidence.orders, |row| order(row.order)),
            reservations: Rows::group(orders, &evidence.reservations, |row| order(row.order)),
            payments: Rows::group(orders, &evidence.payments, |row| order(row.order)),
            charges: Rows::group(orders, &evidence.charges, |row| order(row.order)),
            said: Rows::group(orders, &evidence.said, |row| order(row.order)),
            logged: Logged::new(messages, &evidence.said),
            did: Rows::group(orders, &evidence.history, |row| order(row.order)),
            traces: Rows::group(evidence.names.traces.len(), &evidence.spans, |span| {
                Some(span.trace.index())
            }),
            applied: Rows::group(messages, &evidence.applied, |row| Some(row.id.index())),
            traced: Rows::group(orders, &evidence.spans, |span| order(span.order)),
            prices: prices(evidence),
            stock_of,
            stock,
        }
    }

    /// The evidence behind the joins.
    pub const fn evidence(&self) -> &'e Evidence {
        self.evidence
    }

    /// Every order that any source names.
    pub fn every_order(&self) -> impl Iterator<Item = OrderNo> + use<> {
        (0..u32::try_from(self.evidence.names.orders.len()).unwrap_or(u32::MAX)).map(OrderNo::at)
    }

    /// The rows of an order in the table of orders: one, or something is wrong.
    pub fn orders_of(&self, order: OrderNo) -> impl Iterator<Item = &'e OrderRow> {
        pick(&self.evidence.orders, self.orders.of(order.index()))
    }

    /// The row of an order.
    pub fn order(&self, order: OrderNo) -> Option<&'e OrderRow> {
        pick(&self.evidence.orders, self.orders.of(order.index())).next()
    }

    /// The reservation lines of an order.
    pub fn reservations_of(
        &self,
        order: OrderNo,
    ) -> impl Iterator<Item = &'e ReservationRow> + Clone {
        pick(
            &self.evidence.reservations,
            self.reservations.of(order.index()),
        )
    }

    /// The payments of an order.
    pub fn payments_of(&self, order: OrderNo) -> impl Iterator<Item = &'e PaymentRow> + Clone {
        pick(&self.evidence.payments, self.payments.of(order.index()))
    }

    /// The charges for an order.
    pub fn charges_of(&self, order: OrderNo) -> impl Iterator<Item = &'e ChargeRow> + Clone {
        pick(&self.evidence.charges, self.charges.of(order.index()))
    }

    /// What was said about an order.
    pub fn said_of(&self, order: OrderNo) -> impl Iterator<Item = &'e Said> + Clone {
        pick(&self.evidence.said, self.said.of(order.index()))
    }

    /// The logged events with this id: one, or something is wrong.
    pub fn logged(&self, id: MessageNo) -> impl Iterator<Item = &'e Said> + Clone {
        let (first, more) = id.some().map_or((None, &[][..]), |id| self.logged.of(id));
        first
            .into_iter()
            .chain(more)
            .map(|row| &self.evidence.said[*row as usize])
    }

    /// The steps of a product's stock, each with the event that tells of it, by version.
    pub fn stock_of(
        &self,
        product: ProductNo,
    ) -> impl Iterator<Item = (&'e Said, &'e Step)> + Clone {
        let evidence = self.evidence;
        let steps = self
            .stock_of
            .of(product.index())
            .iter()
            .map(|at| self.stock[*at as usize]);
        steps.map(move |at| {
            (
                &evidence.said[at.said as usize],
                &evidence.steps[at.step as usize],
            )
        })
    }

    /// The price of a product, as its creator named it; from the table if nobody knows its creator.
    pub fn price(&self, product: ProductNo) -> Option<i64> {
        self.prices.get(product.index()).copied().flatten()
    }

    /// What lines come to at the prices of the catalogue.
    pub fn amount(&self, items: &[Item]) -> Option<i64> {
        items.iter().try_fold(0_i64, |sum, item| {
            let amount = self
                .price(item.product)?
                .checked_mul(item.quantity.into())?;
            sum.checked_add(amount)
        })
    }

    /// Who has applied a message.
    pub fn applied_of(&self, message: MessageNo) -> impl Iterator<Item = &'e Applied> + Clone {
        pick(&self.evidence.applied, self.applied.of(message.index()))
    }

    /// The steps of a trace.
    pub fn spans_in(&self, trace: TraceNo) -> impl Iterator<Item = &'e SpanRow> + Clone {
        pick(&self.evidence.spans, self.traces.of(trace.index()))
    }

    /// What was traced about an order, in whatever trace.
    pub fn spans_of(&self, order: OrderNo) -> impl Iterator<Item = &'e SpanRow> + Clone {
        pick(&self.evidence.spans, self.traced.of(order.index()))
    }

    /// What clients did about an order, as far as they knew it.
    pub fn did_of(&self, order: OrderNo) -> impl Iterator<Item = &'e Did> + Clone {
        pick(&self.evidence.history, self.did.of(order.index()))
    }
}

/// Every step of every stock, and those of each product by version.
fn stock(evidence: &Evidence) -> (Vec<StockStep>, Rows) {
    let mut stock = Vec::with_capacity(evidence.steps.len());
    for (said, event) in (0_u32..).zip(&evidence.said) {
        // The lines of an order are no steps.
        let is_step = event.kind != EventType::OrderCreated;
        for step in event
            .lines
            .range()
            .filter(|step| is_step && *step < evidence.steps.len())
        {
            stock.push(StockStep {
                said,
                step: u32::try_from(step).unwrap_or(u32::MAX),
            });
        }
    }
    let step = |at: &StockStep| &evidence.steps[at.step as usize];
    let mut rows = Rows::group(evidence.names.products.len(), &stock, |at| {
        Some(step(at).product.index())
    });
    rows.sort_each(|at| step(&stock[at as usize]).version);
    (stock, rows)
}

fn prices(evidence: &Evidence) -> Vec<Option<i64>> {
    let mut prices = vec![None; evidence.names.products.len()];
    for row in &evidence.products {
        prices[row.product.index()] = Some(row.price);
    }
    for created in evidence
        .created
        .iter()
        .filter(|created| created.product.is_some())
    {
        prices[created.product.index()] = Some(created.price);
    }
    prices
}

fn pick<'e, T>(list: &'e [T], rows: &[u32]) -> impl Iterator<Item = &'e T> + Clone {
    rows.iter().map(move |row| &list[*row as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_grouped_in_their_order_and_those_of_nobody_left_out() {
        let list = [Some(2), Some(0), None, Some(2), Some(2), Some(7)];
        let rows = Rows::group(3, &list, |group| *group);
        assert_eq!(
            (rows.of(0), rows.of(1), rows.of(2)),
            (&[1][..], &[][..], &[0, 3, 4][..])
        );
        assert!(rows.of(7).is_empty());
    }
}
