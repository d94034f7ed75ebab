//! S8: folding the logs gives exactly the tables, and the versions of each entity are 1..n without a gap.
//! State that changed and was not told, or was told and did not change, shows here.

use super::{Tally, Violation};
use crate::evidence::{OrderNo, OrderRow, ProductNo, ProductRow, Rows, Said, Service, View};
use contract::EventType;
use contract::http::{OrderStatus, PaymentStatus, ReservationStatus};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let mut events: Vec<&Said> = Vec::new();
    for order in view.every_order() {
        // A refused reservation changes nothing.
        let changes = view
            .said_of(order)
            .filter(|said| said.kind != EventType::ReservationFailed);
        events.clear();
        events.extend(changes);
        events.sort_by_key(|said| (entity(said), said.version));
        let any = view.order(order).is_some() || view.said_of(order).next().is_some();
        let wrong = wrong(view, order, &events);
        if any || wrong.is_some() {
            tally.look(wrong.map(|what| {
                let id = view.order_id(order);
                Violation::order(view, order, format!("order {id}: {what}"))
            }));
        }
    }
    let products = Rows::group(view.names.products.len(), &view.products, |row| {
        Some(row.product.index())
    });
    for index in 0..view.names.products.len() {
        let number = ProductNo::at(u32::try_from(index).unwrap_or(u32::MAX));
        let mut rows = products
            .of(index)
            .iter()
            .map(|row| &view.products[*row as usize]);
        let row = rows.next();
        // Orders may name products that never were.
        if row.is_some() || view.stock_of(number).next().is_some() {
            let wrong = match (row, rows.next()) {
                (None, _) => Some("it is in the log and not in the table".to_owned()),
                (Some(_), Some(_)) => Some("it is in the table twice".to_owned()),
                (Some(row), None) => product(view, row),
            };
            tally.look(wrong.map(|what| Violation::product(view, number, what)));
        }
    }
    tally
}

/// What an event changes, by who owns it: the order, its reservation or its payment. In whose log it stands is for
/// other checks.
const fn entity(said: &Said) -> Service {
    Service::author(said.kind)
}

/// What is wrong with the events of an order, which are sorted by what they change, and by version.
fn wrong(view: &View<'_>, order: OrderNo, events: &[&Said]) -> Option<String> {
    let of = |service: Service| {
        let begin = events.partition_point(|said| entity(said) < service);
        let end = events.partition_point(|said| entity(said) <= service);
        &events[begin..end]
    };
    let [orders, products, payments] = Service::ALL.map(of);
    [orders, products, payments]
        .into_iter()
        .find_map(gap)
        .or_else(|| order_row(view, order, orders))
        .or_else(|| reservation(view, order, products))
        .or_else(|| payment(view, order, payments))
}

/// The first version that is not where it should be.
fn gap(events: &[&Said]) -> Option<String> {
    let mut versions = (1..).zip(events);
    let (due, said) = versions.find(|(due, said)| said.version != *due)?;
    let kind = said.kind.as_str();
    Some(format!(
        "the log has version {} ({kind}) where version {due} is due",
        said.version
    ))
}

/// The last event of this type: its lines are those that the ones after it change.
fn begun<'e>(events: &[&'e Said], kind: EventType) -> Option<&'e Said> {
    events.iter().rev().find(|said| said.kind == kind).copied()
}

fn order_row(view: &View<'_>, order: OrderNo, events: &[&Said]) -> Option<String> {
    if view.orders_of(order).nth(1).is_some() {
        return Some("it is in the table twice".to_owned());
    }
    let Some(row) = view.order(order) else {
        return events.first().map(|said| {
            format!(
                "{} is in the log, the order is not in its table",
                said.kind.as_str()
            )
        });
    };
    let Some((created, last)) = begun(events, EventType::OrderCreated).zip(events.last()) else {
        return Some("it is in the table, and the log does not say that it was created".to_owned());
    };
    let status = match last.kind {
        EventType::OrderFinished => OrderStatus::Finished,
        EventType::OrderCanceled => OrderStatus::Canceled,
        _ => OrderStatus::Created,
    };
    let amount = status.is_settled().then_some(last.amount);
    let OrderRow {
        reason, version, ..
    } = *row;
    let told = (status, last.version, last.reason, amount);
    if told != (row.status, version, reason, row.amount) {
        return Some(format!(
            "the log ends with {} (version {}), the table has {} (version {version}) or other values",
            last.kind.as_str(),
            last.version,
            row.status.as_str()
        ));
    }
    let items = created.lines.of(&view.items) == row.items.of(&view.items);
    (!items).then(|| "the lines in the table are not those of order.created".to_owned())
}

fn reservation(view: &View<'_>, order: OrderNo, events: &[&Said]) -> Option<String> {
    let told = events.last().map(|said| {
        let status = match said.kind {
            EventType::ReservationConsumed => ReservationStatus::Consumed,
            EventType::ReservationCanceled => ReservationStatus::Canceled,
            _ => ReservationStatus::Created,
        };
        (status, said.version)
    });
    let rows = view.reservations_of(order);
    if let Some(row) = rows
        .clone()
        .find(|row| told != Some((row.status, row.version)))
    {
        let last = events.last().map_or("nothing", |said| said.kind.as_str());
        let (status, version) = (row.status.as_str(), row.version);
        return Some(format!(
            "the log ends with {last}, the table has the reservation {status} (version {version})"
        ));
    }
    let created = begun(events, EventType::ReservationCreated);
    let lines = created
        .map_or(&[][..], |said| said.lines.of(&view.steps))
        .iter();
    let lines = lines.map(|step| (step.product, step.quantity, step.price));
    let rows = rows.map(|row| (row.item.product, row.item.quantity, row.price));
    let is_same = lines.clone().eq(rows.clone()) || {
        let (mut lines, mut rows): (Vec<_>, Vec<_>) = (lines.collect(), rows.collect());
        lines.sort_unstable();
        rows.sort_unstable();
        lines == rows
    };
    (!is_same)
        .then(|| "the reservation in the table is not the one in reservation.created".to_owned())
}

fn payment(view: &View<'_>, order: OrderNo, events: &[&Said]) -> Option<String> {
    let told = events.last().map(|said| {
        let status = match said.kind {
            EventType::PaymentProcessed => PaymentStatus::Processed,
            EventType::PaymentFailed => PaymentStatus::Failed,
            _ => PaymentStatus::Created,
        };
        (said.payment, status, said.version, said.reason, said.amount)
    });
    if view.payments_of(order).nth(1).is_some() {
        return Some("it has two payments in the table".to_owned());
    }
    let row = view.payments_of(order).next();
    let row = row.map(|row| (row.payment, row.status, row.version, row.reason, row.amount));
    (told != row).then(|| {
        let last = events.last().map_or("nothing", |said| said.kind.as_str());
        let has = row.map_or("no payment", |row| row.1.as_str());
        format!("the log ends with {last}, the table has {has} or other values")
    })
}

fn product(view: &View<'_>, row: &ProductRow) -> Option<String> {
    let (mut last, mut price, mut received) = (None, None, 0);
    for (due, (said, step)) in (1..).zip(view.stock_of(row.product)) {
        let kind = said.kind;
        if step.version != due {
            let (version, kind) = (step.version, kind.as_str());
            return Some(format!(
                "the log has version {version} ({kind}) where version {due} is due"
            ));
        }
        if kind == EventType::ProductCreated {
            price = Some(step.price);
        }
        if matches!(
            kind,
            EventType::ProductCreated | EventType::ProductRestocked
        ) {
            received += i64::from(step.quantity);
        }
        last = Some((step.version, step.available_after));
    }
    let told = last.map(|(version, available)| (version, available, received, price));
    let has = (row.version, row.available, row.received, Some(row.price));
    (told != Some(has)).then(|| match told {
        None => "it is in the table, and the log says nothing of it".to_owned(),
        Some((version, available, received, price)) => format!(
            "the log ends with {available} of {received} units at {} cents (version {version}), \
             the table has {} of {} at {} (version {})",
            price.unwrap_or(0),
            row.available,
            row.received,
            row.price,
            row.version
        ),
    })
}
