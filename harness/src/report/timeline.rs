//! One order across all services, a column each.

use super::number::{COLUMNS, paragraph, seconds, thousands};
use crate::evidence::{Act, Did, End, OrderNo, Said, Service, View};
use contract::http::{ChargeOutcome, OrderStatus};
use contract::{EventType, OrderId};
use std::fmt::Write;

/// Who acts, and in which column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Client,
    Orders,
    Products,
    Payments,
    Provider,
}

/// The heads say what is left out of the events below them: `created` among the products is `reservation.created`.
const HEADS: [(&str, usize); 5] = [
    ("client", 16),
    ("orders: order", 21),
    ("products: reservation", 23),
    ("payments: payment", 19),
    ("provider", 0),
];
/// Rows that are shown; of an order that was read a thousand times, the first and the last.
const ROWS_MAX: usize = 40;

/// A point in time, microseconds since 1970; who acts; what happens.
type Row = (i64, Column, String);

/// Tells everything that is known about an order, in the order of time, with the faults at that time.
pub fn timeline(view: &View<'_>, id: OrderId, trace: Option<&str>) -> String {
    let Some(order) = view.names.orders.find(id.0).map(OrderNo::at) else {
        return String::new();
    };
    let rows = rows(view, order);
    let story = view
        .did_of(order)
        .find(|did| did.act == Act::Place)
        .map_or(String::new(), |did| {
            format!(", of the story {}", did.story.as_str())
        });
    let mut text = String::new();
    line(&mut text, "order", &format!("{id}{story}"));
    text.push_str(&table(&rows));
    line(&mut text, "in the end", &in_the_end(view, order));
    let span = rows
        .first()
        .map(|row| row.0)
        .zip(rows.last().map(|row| row.0));
    line(&mut text, "faults then", &faults(view, span));
    line(&mut text, "trace", trace.unwrap_or("not recorded"));
    text
}

fn rows(view: &View<'_>, order: OrderNo) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    // A request without an answer names no order; its key does.
    let keys: Vec<_> = view
        .orders_of(order)
        .filter_map(|row| row.key.some())
        .collect();
    let unanswered = view.history.iter().filter(|did| {
        did.order.some().is_none() && did.key.some().is_some_and(|key| keys.contains(&key))
    });
    for did in view.did_of(order).chain(unanswered) {
        rows.push((did.start_us, Column::Client, asked(view, did)));
        rows.push((did.end_us, Column::Client, answered(did)));
    }
    for said in view.said_of(order) {
        let column = match said.service {
            Service::Orders => Column::Orders,
            Service::Products => Column::Products,
            Service::Payments => Column::Payments,
        };
        rows.push((said.time_us, column, told(view, said)));
    }
    for charge in view.charges_of(order) {
        let outcome = match charge.outcome {
            ChargeOutcome::Charged => "charged",
            ChargeOutcome::Declined => "declined",
        };
        let text = format!("{outcome} {}", cents(charge.amount));
        rows.push((charge.at_us, Column::Provider, text));
    }
    rows.sort_by_key(|(at_us, column, _)| (*at_us, *column));
    rows
}

/// What the tables hold of the order: all of it, because that there are two may be what is wrong.
fn in_the_end(view: &View<'_>, order: OrderNo) -> String {
    let joined = |mut states: Vec<&'static str>| {
        states.sort_unstable();
        if states.is_empty() {
            "none".to_owned()
        } else {
            states.join(" + ")
        }
    };
    let orders = view.orders_of(order).map(|row| {
        let reason = row
            .reason
            .map_or(String::new(), |reason| format!(" as {}", reason.as_str()));
        format!("{}{reason}", row.status.as_str())
    });
    let orders: Vec<String> = orders.collect();
    let orders = if orders.is_empty() {
        "none".to_owned()
    } else {
        orders.join(" + ")
    };
    let mut lines: Vec<&str> = view
        .reservations_of(order)
        .map(|line| line.status.as_str())
        .collect();
    // One reservation has a row for each line of the order.
    lines.sort_unstable();
    lines.dedup();
    let payments = view
        .payments_of(order)
        .map(|payment| payment.status.as_str())
        .collect();
    let (lines, payments) = (joined(lines), joined(payments));
    format!("order {orders}, reservation {lines}, payment {payments}")
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{:>11}  ", "ms");
    for (head, width) in HEADS {
        // Writing into a string cannot fail.
        let _ = write!(text, "{head:width$}");
    }
    text.push('\n');
    let began_us = rows.first().map_or(0, |row| row.0);
    let left_out = rows.len().saturating_sub(ROWS_MAX);
    for (index, (at_us, column, what)) in rows.iter().enumerate() {
        let place = index.checked_sub(ROWS_MAX / 2);
        if left_out > 0 && place.is_some_and(|place| place < left_out) {
            if place == Some(0) {
                line(&mut text, "…", &format!("{left_out} more"));
            }
            continue;
        }
        let us = at_us.saturating_sub(began_us);
        let before: usize = HEADS[..*column as usize]
            .iter()
            .map(|(_, width)| width)
            .sum();
        // A row is never cut: one that is too long for its column begins further left.
        let before = before.min(COLUMNS.saturating_sub(13 + what.chars().count()));
        let ms = format!("{}.{}", us / 1_000, us % 1_000 / 100);
        let _ = writeln!(text, "{ms:>11}  {:before$}{what}", "");
    }
    text
}

fn line(text: &mut String, name: &str, what: &str) {
    text.push_str(&paragraph(&format!("{name:>11}  "), what));
}

fn cents(amount: i64) -> String {
    format!("{} ¢", thousands(amount.unsigned_abs()))
}

fn units(count: u64) -> String {
    format!(
        "{} unit{}",
        thousands(count),
        if count == 1 { "" } else { "s" }
    )
}

fn asked(view: &View<'_>, did: &Did) -> String {
    match did.act {
        Act::Read => "GET".to_owned(),
        Act::CreateProduct => "POST a product".to_owned(),
        Act::Place | Act::PlaceBadly => {
            let count: u64 = did
                .items
                .of(&view.items)
                .iter()
                .map(|item| u64::from(item.quantity))
                .sum();
            format!("POST {}", units(count))
        }
    }
}

fn answered(did: &Did) -> String {
    match (did.end, did.act) {
        (End::Unknown, _) => "no answer".to_owned(),
        (End::Refused, _) => format!("refused {}", did.status),
        (End::Ok, Act::Read) => {
            let status = did.seen.map_or("", OrderStatus::as_str);
            format!("200 {status} v{}", did.version)
        }
        (End::Ok, _) => "201".to_owned(),
    }
}

fn told(view: &View<'_>, said: &Said) -> String {
    let kind = said.kind.as_str();
    let mut text = kind
        .split_once('.')
        .map_or(kind, |(_, what)| what)
        .to_owned();
    if said.kind == EventType::ReservationCreated {
        let count: u64 = said
            .lines
            .of(&view.steps)
            .iter()
            .map(|step| u64::from(step.quantity))
            .sum();
        let _ = write!(text, " {}", units(count));
    }
    let has_an_amount = matches!(
        said.kind,
        EventType::OrderFinished
            | EventType::ReservationConsumed
            | EventType::PaymentCreated
            | EventType::PaymentProcessed
    );
    if has_an_amount {
        let _ = write!(text, " {}", cents(said.amount));
    }
    if let Some(reason) = said.reason {
        let _ = write!(text, " {}", reason.as_str());
    }
    if !said.is_published {
        text.push_str(", unpublished");
    }
    text
}

/// The faults that were on while the order was.
fn faults(view: &View<'_>, span: Option<(i64, i64)>) -> String {
    let Some((from, to)) = span else {
        return "none".to_owned();
    };
    let windows = view.faults.iter().filter(|fault| fault.kind.has_window());
    let on = windows.filter_map(|fault| {
        let fired = fault.fired_us?;
        // What nobody could end was on until the end.
        let over = fault.recovered_us.or(fault.healed_us).unwrap_or(i64::MAX);
        (fired <= to && over >= from).then(|| {
            let at = fault.service.as_deref();
            let at = at.map_or(String::new(), |service| format!(" at {service}"));
            let since = |at_us: i64| seconds(at_us.saturating_sub(view.plan.load_from_us));
            let until = fault
                .healed_us
                .map_or("and on".to_owned(), |at_us| format!("to {}", since(at_us)));
            format!("{}{at} (second {} {until})", fault.kind, since(fired))
        })
    });
    let on: Vec<String> = on.collect();
    if on.is_empty() {
        "none".to_owned()
    } else {
        on.join(", ")
    }
}
