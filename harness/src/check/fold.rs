//! S8: folding the logs gives exactly the tables, and the versions of each entity are 1..n without a gap.
//! State that changed and was not told, or was told and did not change, shows here.

use super::{Tally, Violation};
use crate::evidence::{Item, OrderNo, OrderRow, ProductRow, Said, Service, View};
use contract::EventType;
use contract::http::{OrderStatus, PaymentStatus, ReservationStatus};

pub(super) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for order in view.every_order() {
        let wrong = [order_row, reservation, payment]
            .into_iter()
            .find_map(|fold| fold(view, order));
        let any = view.order(order).is_some() || view.said_of(order).next().is_some();
        if any {
            tally.look(wrong.map(|what| {
                let id = view.order_id(order);
                Violation::order(view, order, format!("order {id}: {what}"))
            }));
        }
    }
    for row in &view.products {
        tally.look(product(view, row).map(|what| Violation::product(view, row.product, what)));
    }
    tally
}

/// The events of one service about an order by version; refusals, which change nothing, left out.
fn history<'e>(view: &View<'e>, order: OrderNo, service: Service) -> Vec<&'e Said> {
    let changes = view
        .said_of(order)
        .filter(|said| said.service == service && said.version > 0);
    let mut events: Vec<&Said> = changes.collect();
    events.sort_by_key(|said| said.version);
    events
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

fn order_row(view: &View<'_>, order: OrderNo) -> Option<String> {
    let events = history(view, order, Service::Orders);
    let Some(row) = view.order(order) else {
        return events.first().map(|said| {
            format!(
                "{} is in the log, the order is not in its table",
                said.kind.as_str()
            )
        });
    };
    if let Some(gap) = gap(&events) {
        return Some(gap);
    }
    let Some((first, last)) = events.first().zip(events.last()) else {
        return Some("it is in the table, and the log says nothing of it".to_owned());
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
            "the log ends with {} (version {}), the table has {} (version {version})",
            last.kind.as_str(),
            last.version,
            row.status.as_str()
        ));
    }
    let items = first.lines.of(&view.items) == row.items.of(&view.items);
    (!items).then(|| "the lines in the table are not those of order.created".to_owned())
}

fn reservation(view: &View<'_>, order: OrderNo) -> Option<String> {
    let events = history(view, order, Service::Products);
    if let Some(gap) = gap(&events) {
        return Some(gap);
    }
    let told = events.last().map(|said| {
        let status = match said.kind {
            EventType::ReservationConsumed => ReservationStatus::Consumed,
            EventType::ReservationCanceled => ReservationStatus::Canceled,
            _ => ReservationStatus::Created,
        };
        (status, said.version)
    });
    let lines = events
        .first()
        .map_or(&[][..], |said| said.lines.of(&view.steps));
    let mut told_lines: Vec<(Item, i64)> = lines
        .iter()
        .map(|step| {
            (
                Item {
                    product: step.product,
                    quantity: step.quantity,
                },
                step.price,
            )
        })
        .collect();
    let mut rows = Vec::with_capacity(told_lines.len());
    for row in view.reservations_of(order) {
        if told != Some((row.status, row.version)) {
            let last = events.last().map_or("nothing", |said| said.kind.as_str());
            return Some(format!(
                "the log ends with {last}, the table has the reservation {} (version {})",
                row.status.as_str(),
                row.version
            ));
        }
        rows.push((row.item, row.price));
    }
    told_lines.sort_unstable();
    rows.sort_unstable();
    (told_lines != rows)
        .then(|| "the reservation in the table is not the one in reservation.created".to_owned())
}

fn payment(view: &View<'_>, order: OrderNo) -> Option<String> {
    let events = history(view, order, Service::Payments);
    if let Some(gap) = gap(&events) {
        return Some(gap);
    }
    let told = events.last().map(|said| {
        let status = match said.kind {
            EventType::PaymentProcessed => PaymentStatus::Processed,
            EventType::PaymentFailed => PaymentStatus::Failed,
            _ => PaymentStatus::Created,
        };
        (said.payment, status, said.version, said.reason, said.amount)
    });
    let row = view
        .payments_of(order)
        .next()
        .map(|row| (row.payment, row.status, row.version, row.reason, row.amount));
    (told != row).then(|| {
        let last = events.last().map_or("nothing", |said| said.kind.as_str());
        let has = row.map_or("no payment", |row| row.1.as_str());
        format!("the log ends with {last}, the table has {has} with other values")
    })
}

fn product(view: &View<'_>, row: &ProductRow) -> Option<String> {
    let mut last = None;
    for (due, (said, step)) in (1..).zip(view.stock_of(row.product)) {
        if step.version != due {
            let kind = said.kind.as_str();
            return Some(format!(
                "the log has version {} ({kind}) where version {due} is due",
                step.version
            ));
        }
        last = Some(step);
    }
    let Some(last) = last else {
        return Some("it is in the table, and the log says nothing of it".to_owned());
    };
    (last.version != row.version || last.available_after != row.available).then(|| {
        format!(
            "the log ends with {} units (version {}), the table has {} (version {})",
            last.available_after, last.version, row.available, row.version
        )
    })
}
