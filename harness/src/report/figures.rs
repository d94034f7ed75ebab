//! Counts and latencies of a run.

use super::number::thousands;
use crate::check::seen;
use crate::evidence::{Act, End, View};
use contract::Reason;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// A latency in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half took at most this.
    pub ms_p50: f64,
    /// Nine of ten took at most this.
    pub ms_p90: f64,
    /// All but one in a hundred took at most this.
    pub ms_p99: f64,
    /// None took longer.
    pub ms_max: f64,
}

impl Latency {
    /// The latency in a histogram of microseconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "2^53 microseconds are 285 years"
    )]
    pub fn of(us: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1e3;
        Self {
            count: us.len(),
            ms_p50: ms(us.value_at_quantile(0.5)),
            ms_p90: ms(us.value_at_quantile(0.9)),
            ms_p99: ms(us.value_at_quantile(0.99)),
            ms_max: ms(us.max()),
        }
    }
}

/// What the load did, as the generator counts it. A start ends as its first order did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadFigures {
    /// Starts that were due.
    pub offered: u64,
    /// Starts whose order was acknowledged.
    pub accepted: u64,
    /// Starts that certainly made no order.
    pub refused: u64,
    /// Starts of which nobody knows.
    pub unknown: u64,
    /// Starts that were never sent.
    pub dropped: u64,
    /// From the intended start to when the request was handed to its connection: how late the generator was.
    pub late: Latency,
}

/// What the shop ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EngineFigures {
    /// `embedded`, `distributed`, or `target` for a shop that ran already.
    pub name: String,
    /// Replicas of orders; the other services of a distributed shop have as many.
    pub replicas: u64,
    /// Which queues got which messages: `fanout` or `topic`; none where nobody can tell.
    pub routing: Option<String>,
    /// The version of `PostgreSQL`, where it could be asked.
    pub postgres: Option<String>,
    /// The version of `RabbitMQ`, where it could be asked.
    pub rabbitmq: Option<String>,
}

impl Default for EngineFigures {
    fn default() -> Self {
        Self {
            name: "embedded".to_owned(),
            replicas: 1,
            routing: None,
            postgres: None,
            rabbitmq: None,
        }
    }
}

/// What was handed on to a collector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeeFigures {
    /// Traces that were kept, by the first reason for it: `failed`, `canceled`, `open`, `slow`, `example`, `linked`,
    /// `share`.
    pub kept: BTreeMap<String, u64>,
    /// Traces that were left out.
    pub left_out: u64,
    /// Spans that the collector took.
    pub sent: u64,
    /// Spans of kept traces that it did not take, or for which there was no room.
    pub dropped: u64,
}

impl Display for TeeFigures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kept: u64 = self.kept.values().sum();
        let mut by: Vec<(&String, &u64)> = self.kept.iter().collect();
        by.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
        let by = by
            .iter()
            .map(|(why, n)| format!("{} {why}", thousands(**n)));
        let by = by.collect::<Vec<_>>().join(", ");
        let by = if by.is_empty() {
            by
        } else {
            format!(" ({by})")
        };
        let [kept, left_out, sent, dropped] =
            [kept, self.left_out, self.sent, self.dropped].map(thousands);
        write!(
            f,
            "{kept} traces{by}, {left_out} left out · {sent} spans taken, {dropped} dropped"
        )
    }
}

/// The processor time of all groups of processes together, and of each, for one settled order, milliseconds. Empty
/// where it was not measured or nothing was settled.
#[expect(
    clippy::cast_precision_loss,
    reason = "no run settles 2^53 orders, nor takes so many milliseconds"
)]
pub(super) fn cpu_ms_per_saga(
    cpu_ms: &BTreeMap<String, u64>,
    settled: u64,
) -> BTreeMap<String, f64> {
    if cpu_ms.is_empty() || settled == 0 {
        return BTreeMap::new();
    }
    let each = |ms: u64| (ms as f64 / settled as f64 * 1e3).round() / 1e3;
    let groups = cpu_ms.iter().map(|(group, ms)| (group.clone(), each(*ms)));
    let all = ("all".to_owned(), each(cpu_ms.values().sum()));
    groups.chain([all]).collect()
}

/// How many orders were settled: all outcomes but those that are still open.
pub(super) fn settled(outcomes: &BTreeMap<String, u64>) -> u64 {
    let settled = outcomes.iter().filter(|(outcome, _)| *outcome != "created");
    settled.map(|(_, count)| count).sum()
}

/// What became of a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultFigures {
    /// What was to go wrong.
    pub kind: String,
    /// Where; none when it is everywhere.
    pub service: Option<String>,
    /// When it began, milliseconds from the first start; none if it did not.
    pub from_ms: Option<i64>,
    /// When it was over.
    pub to_ms: Option<i64>,
    /// How often it happened, as those say who made it happen.
    pub fired: u64,
    /// How often it was seen.
    pub seen: u64,
    /// What was seen.
    pub how: String,
    /// From its end until everything went on again, milliseconds.
    pub recovery_ms: Option<i64>,
}

/// Latencies of a run, from its history.
#[derive(Debug)]
pub struct Figures {
    /// From the intended start to the 201.
    pub accept_us: Histogram<u64>,
    /// From the actual start to the 201.
    pub accept_raw_us: Histogram<u64>,
    /// From the intended start to the end of the order.
    pub settle_us: Histogram<u64>,
    /// How late the generator was.
    pub late: Latency,
}

impl Figures {
    /// Those of the run behind `view`.
    pub(super) fn of(view: &View<'_>) -> Self {
        let load = &view.plan.load;
        let mut figures = Self {
            accept_us: crate::load::histogram(),
            accept_raw_us: crate::load::histogram(),
            settle_us: crate::load::histogram(),
            late: load.late,
        };
        let us = |us: i64| u64::try_from(us).unwrap_or(0);
        for did in view
            .history
            .iter()
            .filter(|did| did.act == Act::Place && did.end == End::Ok)
        {
            figures
                .accept_us
                .saturating_record(us(did.end_us.saturating_sub(did.due_us)));
            figures
                .accept_raw_us
                .saturating_record(us(did.end_us.saturating_sub(did.start_us)));
        }
        for row in view.orders.iter().filter(|row| row.settled_us > 0) {
            // What other runs left in the same data is judged too, but it is not in this run's figures.
            let due_us = view
                .did_of(row.order)
                .filter(|did| did.act == Act::Place)
                .map(|did| did.due_us)
                .min();
            if let Some(due_us) = due_us {
                figures
                    .settle_us
                    .saturating_record(us(row.settled_us.saturating_sub(due_us)));
            }
        }
        figures
    }
}

/// Orders by how they ended.
pub(super) fn outcomes(view: &View<'_>) -> BTreeMap<String, u64> {
    let mut outcomes = BTreeMap::new();
    for row in view
        .orders
        .iter()
        .filter(|row| row.created_us >= view.plan.began_us)
    {
        let reason = row.reason.map_or("", Reason::as_str);
        let outcome = format!("{} {reason}", row.status.as_str());
        *outcomes.entry(outcome.trim_end().to_owned()).or_default() += 1;
    }
    outcomes
}

/// What became of each fault.
pub(super) fn faults(view: &View<'_>) -> Vec<FaultFigures> {
    let since = |at_us: i64| at_us.saturating_sub(view.plan.load_from_us) / 1_000;
    let figures = view.faults.iter().map(|fault| {
        let (seen, how) = seen(view, fault);
        FaultFigures {
            kind: fault.kind.as_str().to_owned(),
            service: fault.service.clone(),
            from_ms: fault.fired_us.map(since),
            to_ms: fault.healed_us.map(since),
            fired: fault.fired,
            seen,
            how,
            recovery_ms: fault.recovery_ms(),
        }
    });
    figures.collect()
}
