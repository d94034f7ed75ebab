//! An order as the page shows it: in one line of the list, and whole.

use super::step::Step;
use crate::report::{arranged, home};
use crate::telemetry::SpanLine;
use serde::Serialize;
use std::collections::HashMap;
use uuid::Uuid;

/// Steps that the little picture of a line has, at most.
const BARS_MAX: usize = 40;

/// How an order has ended, as far as its trace tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ending {
    /// Nobody has said so yet.
    Open,
    /// It settled well.
    Finished,
    /// It settled without a sale.
    Canceled,
}

/// An order in one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Glance<'a> {
    /// The order.
    pub id: Uuid,
    /// Its trace: that with most of its steps. A repeated request has one of its own.
    pub trace: String,
    /// How it ended.
    pub outcome: Ending,
    /// What came in its way: `payment.failed` or `reservation.failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<&'a str>,
    /// When its first step began, microseconds since 1970.
    pub start_us: i64,
    /// From there to the end of its last step, but for messages that came again: these may come at any time.
    pub took_us: i64,
    /// How many steps it took.
    pub steps: usize,
    /// Who took part, by when they came in.
    pub services: Vec<&'a str>,
    /// Steps that say that they failed.
    pub errors: usize,
    /// Whether something was taken back: its reservation.
    pub compensated: bool,
    /// For a little picture: which of the services, from when and how long.
    pub bars: Vec<(usize, i64, i64)>,
    /// Steps that are about it, in other traces.
    #[serde(skip_serializing_if = "is_zero")]
    pub elsewhere: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
const fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// An order with all its steps.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Whole<'a> {
    /// The same as in the list.
    #[serde(flatten)]
    pub glance: Glance<'a>,
    /// Its steps, each after what brought it about.
    pub spans: Vec<Row<'a>>,
}

/// A step in its place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    /// How many steps stand above it.
    pub depth: usize,
    /// When the message was said that is heard here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said_us: Option<i64>,
    /// The step.
    #[serde(flatten)]
    pub step: &'a Step,
}

impl<'a> Glance<'a> {
    /// Looks at the steps of the order `id`; none when there is no step.
    pub fn of(id: Uuid, all: &'a [Step]) -> Option<Self> {
        let trace = home(all.iter().map(|step| &step.line))?;
        let mut lines: Vec<_> = at_home(all, &trace).map(|step| &step.line).collect();
        lines.sort_by_key(|line| line.start_us);
        let start_us = lines.first()?.start_us;
        let first = lines.iter().filter(|line| !is_repeated(line));
        let end_us = first.clone().map(|line| line.end_us).max();
        let mut services: Vec<&str> = Vec::new();
        let mut bars = Vec::new();
        for line in first {
            let known = services.iter().position(|known| *known == line.service);
            let service = known.unwrap_or(services.len());
            if known.is_none() {
                services.push(&line.service);
            }
            if bars.len() < BARS_MAX {
                bars.push((service, line.start_us - start_us, took_us(line)));
            }
        }
        let has_said = |event: &str| lines.iter().any(|line| said(line) == Some(event));
        let failures = ["reservation.failed", "payment.failed"];
        Some(Self {
            id,
            outcome: match (has_said("order.finished"), has_said("order.canceled")) {
                (true, _) => Ending::Finished,
                (_, true) => Ending::Canceled,
                _ => Ending::Open,
            },
            because: failures.into_iter().find(|event| has_said(event)),
            start_us,
            took_us: end_us.unwrap_or(start_us) - start_us,
            steps: lines.len(),
            services,
            errors: lines.iter().filter(|line| line.is_error).count(),
            compensated: has_said("reservation.canceled"),
            bars,
            elsewhere: all.len() - lines.len(),
            trace,
        })
    }

    /// Whether its id, or that of its trace, begins with `beginning`, which has small letters.
    pub fn begins_with(&self, beginning: &str) -> bool {
        let id = self.id.hyphenated().to_string();
        id.starts_with(beginning)
            || self.id.simple().to_string().starts_with(beginning)
            || self.trace.starts_with(beginning)
    }
}

impl<'a> Whole<'a> {
    /// Puts the steps of the order `id` in their places; none when there is no step.
    pub fn of(id: Uuid, all: &'a [Step]) -> Option<Self> {
        let glance = Glance::of(id, all)?;
        let steps: Vec<&Step> = at_home(all, &glance.trace).collect();
        let mut when_said = HashMap::new();
        for step in &steps {
            if let (Some(message), "producer") = (step.line.message, &*step.line.kind) {
                when_said.entry(message).or_insert(step.line.start_us);
            }
        }
        let heard = |line: &SpanLine<'_>| {
            let message = line.message.filter(|_| line.kind == "consumer")?;
            when_said.get(&message).copied()
        };
        let spans = arranged(steps, |step| &step.line);
        let spans = spans.into_iter().map(|(depth, step)| Row {
            depth,
            said_us: heard(&step.line),
            step,
        });
        Some(Self {
            spans: spans.collect(),
            glance,
        })
    }
}

fn at_home<'a>(all: &'a [Step], trace: &str) -> impl Iterator<Item = &'a Step> {
    all.iter().filter(move |step| step.line.trace == trace)
}

const fn took_us(line: &SpanLine<'_>) -> i64 {
    line.end_us - line.start_us
}

/// Whether a message was heard that had been applied before.
pub(super) fn is_repeated(line: &SpanLine<'_>) -> bool {
    line.outcome.as_deref() == Some("duplicate")
}

/// The event that a step has said.
pub(super) fn said<'a>(line: &'a SpanLine<'_>) -> Option<&'a str> {
    let (_, event) = line.name.rsplit_once(':')?;
    (line.kind == "producer").then_some(event)
}
