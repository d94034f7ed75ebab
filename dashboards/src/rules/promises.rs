//! Promises that are being broken: their share of good ones is recorded, and alerts watch how fast the budget goes.
//!
//! Two windows each: the long one says that it matters, the short one that it still goes on.

use super::{Rule, RuleKind, Text};
use crate::duration::minutes;
use crate::{OBJECTIVES, Objective, Scale, WINDOWS};

/// At this burn rate the budget of a month is gone in two days.
pub(crate) const FAST: f64 = 14.4;
/// At this burn rate it is gone in five.
pub(crate) const SLOW: f64 = 6.0;

pub(super) fn rules(scale: Scale) -> Vec<Rule> {
    let recorded = OBJECTIVES.iter().flat_map(|objective| {
        WINDOWS.map(|(name, real)| {
            Rule::recording(
                objective.recorded(name),
                objective.ratio(&scale.range(real)),
            )
        })
    });
    let alerts = OBJECTIVES
        .iter()
        .flat_map(|objective| [fast(objective, scale), slow(objective, scale)]);
    recorded.chain(alerts).collect()
}

fn fast(objective: &Objective, scale: Scale) -> Rule {
    let (name, summary) = match objective.name {
        "accept" => (
            "AcceptBudgetBurnsFast",
            "Far too many orders are refused or answered late",
        ),
        _ => (
            "SettleBudgetBurnsFast",
            "Far too many orders take more than a second to settle",
        ),
    };
    let text = text(
        objective,
        summary,
        "An hour and the last five minutes agree",
    );
    let expr = both(objective, FAST, ["1h", "5m"]);
    Rule::alert(RuleKind::Critical, name, expr, text).after(scale.pause(minutes(2)))
}

fn slow(objective: &Objective, scale: Scale) -> Rule {
    let (name, summary) = match objective.name {
        "accept" => (
            "AcceptBudgetBurnsSlowly",
            "Too many orders are refused or answered late",
        ),
        _ => (
            "SettleBudgetBurnsSlowly",
            "Too many orders take more than a second to settle",
        ),
    };
    let text = text(objective, summary, "Six hours and the last half hour agree");
    let expr = both(objective, SLOW, ["6h", "30m"]);
    Rule::alert(RuleKind::Warning, name, expr, text).after(scale.pause(minutes(15)))
}

fn both(objective: &Objective, factor: f64, windows: [&str; 2]) -> String {
    let [long, short] = windows.map(|window| {
        format!(
            "(1 - {}) > {factor} * {}",
            objective.recorded(window),
            objective.budget()
        )
    });
    format!("{long}\nand\n{short}")
}

fn text(objective: &Objective, summary: &'static str, agree: &str) -> Text {
    let promise = objective.promise;
    Text {
        summary,
        description: format!(
            "Promised: {promise}. Not so for {{{{ $value | humanizePercentage }}}} of them. {agree}."
        ),
        board: "time",
        way_out: match objective.name {
            "accept" => {
                "If POST /api/v1/orders and the beginnings of transactions are slow together, the database of \
                orders is the bottleneck; 5xx with fast answers mean that it is away: see StoreDown."
            }
            _ => {
                "The hop whose p99 rises with the whole is the one to blame: add replicas of that service, or mend the \
                provider or the database that it waits for."
            }
        },
    }
}
