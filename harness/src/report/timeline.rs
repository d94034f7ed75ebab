//! One order across all services, a column each.

use super::number::{seconds, thousands};
use crate::evidence::{Act, Did, End, Said, Service, View};
use contract::http::{ChargeOutcome, OrderStatus};
use contract::{EventType, OrderId, Reason};
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

const HEAD: [&str; 5] = ["client", "orders", "products", "payments", "provider"];
const WIDTH: usize = 20;
/// Rows that are shown; an order that was read a thousand times is told in short.
const ROWS_MAX: usize = 40;

/// Tells everything that is known about an order, in the order of time, with the faults at that time.
pub fn timeline(view: &View<'_>, id: OrderId, trace: Option<&str>) -> String {
    let Some(order) = view
        .names
        .orders
        .find(id.0)
        .map(crate::evidence::OrderNo::at)
    else {
        return String::new();
    };
    let mut rows: Vec<(i64, Column, String)> = Vec::new();
    for did in view.did_of(order) {
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
        let text = format!("{outcome} {}", thousands(charge.amount.unsigned_abs()));
        rows.push((charge.at_us, Column::Provider, text));
    }
    rows.sort_by_key(|(at_us, column, _)| (*at_us, *column));
    let mut text = table(&rows);
    if let Some(row) = view.order(order) {
        let reason = row
            .reason
            .map_or(String::new(), |reason| format!(" as {}", reason.as_str()));
        let payment = view
            .payments_of(order)
            .next()
            .map_or("none", |payment| payment.status.as_str());
        let reservation = view
            .reservations_of(order)
            .next()
            .map_or("none", |line| line.status.as_str());
        let status = row.status.as_str();
        line(
            &mut text,
            "in the end",
            &format!("order {status}{reason}, reservation {reservation}, payment {payment}"),
        );
    }
    let span = rows
        .first()
        .map(|row| row.0)
        .zip(rows.last().map(|row| row.0));
    line(&mut text, "faults then", &faults(view, span));
    line(&mut text, "trace", trace.unwrap_or("not recorded"));
    text
}

fn table(rows: &[(i64, Column, String)]) -> String {
    let mut text = format!("{:>11}", "ms");
    for head in HEAD {
        // Writing into a string cannot fail.
        let _ = write!(text, "  {head:WIDTH$}");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    let began_us = rows.first().map_or(0, |row| row.0);
    for (at_us, column, what) in rows.iter().take(ROWS_MAX) {
        let us = at_us - began_us;
        let before = " ".repeat((WIDTH + 2) * *column as usize);
        let _ = writeln!(
            text,
            "{:>11}  {before}{what}",
            format!("{}.{}", us / 1_000, us % 1_000 / 100)
        );
    }
    if rows.len() > ROWS_MAX {
        let _ = writeln!(text, "{:>11}  and {} more", "", rows.len() - ROWS_MAX);
    }
    text
}

fn line(text: &mut String, name: &str, what: &str) {
    let _ = writeln!(text, "{name:>11}  {what}");
}

fn asked(view: &View<'_>, did: &Did) -> String {
    let story = did.story.as_str();
    match did.act {
        Act::Read => "GET".to_owned(),
        Act::CreateProduct => "POST a product".to_owned(),
        Act::Place | Act::PlaceBadly => {
            let units: u64 = did
                .items
                .of(&view.items)
                .iter()
                .map(|item| u64::from(item.quantity))
                .sum();
            format!("POST {units} ({story})")
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
        let units: u64 = said
            .lines
            .of(&view.steps)
            .iter()
            .map(|step| u64::from(step.quantity))
            .sum();
        let _ = write!(text, " {units}");
    }
    if said.amount > 0 && said.reason.is_none() && said.kind != EventType::ReservationCreated {
        let _ = write!(text, " {}", thousands(said.amount.unsigned_abs()));
    }
    if let Some(reason) = said.reason {
        let _ = write!(text, " {}", reason_in_short(reason));
    }
    if !said.is_published {
        text.push_str(" (unpublished)");
    }
    text
}

const fn reason_in_short(reason: Reason) -> &'static str {
    match reason {
        Reason::AmountTooLarge => "too_large",
        Reason::UnknownProduct => "unknown",
        Reason::OutOfStock | Reason::UnderMinimum | Reason::Declined => reason.as_str(),
    }
}

/// The faults that were on while the order was.
fn faults(view: &View<'_>, span: Option<(i64, i64)>) -> String {
    let Some((from, to)) = span else {
        return "none".to_owned();
    };
    let on = view.faults.iter().filter_map(|fault| {
        let (fired, healed) = (fault.fired_us?, fault.healed_us?);
        (fired <= to && fault.recovered_us.unwrap_or(healed) >= from).then(|| {
            let at = fault
                .service
                .as_deref()
                .map_or(String::new(), |service| format!(" at {service}"));
            let [begin, end] = [fired, healed].map(|at_us| seconds(at_us - view.plan.load_from_us));
            format!("{}{at} ({begin} to {end} s)", fault.kind.as_str())
        })
    });
    let on: Vec<String> = on.collect();
    if on.is_empty() {
        "none".to_owned()
    } else {
        on.join(", ")
    }
}
