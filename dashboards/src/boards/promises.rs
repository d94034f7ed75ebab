//! Is the shop keeping its promises?

use crate::board::{Board, Kind, Panel, Row, Unit, row};
use crate::objective::{OBJECTIVES, Objective, WINDOWS};
use crate::palette::{BAD, GOOD, WARN};
use crate::promql::{SHOP, rate, shared};
use crate::rules::{FAST, SLOW};

const DESCRIPTION: &str = "**Both dials green, both budgets above nothing, every burn rate below 1**: all is well. \
    A burn rate above the upper dashed line spends the budget of a month in two days: somebody should look now. \
    Whatever stands under *What must hold* is wrong even when it is fast.";

pub(super) fn board() -> Board {
    Board {
        file: "promises",
        uid: "crashcart-promises",
        title: "Is the shop keeping its promises",
        description: DESCRIPTION,
        since: "15m",
        rows: vec![promises(), burning(), orders(), invariants()],
    }
}

fn promises() -> Row {
    let [accept, settle] = &OBJECTIVES;
    row(
        "The promises, over the time that is shown",
        vec![
            kept(
                accept,
                "Accepted in time",
                "The share of orders that were answered within 100 ms, and not with a 5xx. An order that got no answer at all is only known to its client: see the board of the run.",
            ),
            left(accept, "Budget left to accept"),
            kept(
                settle,
                "Settled in time",
                "The share of settled sagas that took at most a second, canceled ones included. One that is stuck is not in here: see the oldest saga below.",
            ),
            left(settle, "Budget left to settle"),
        ],
    )
}

fn kept(objective: &Objective, title: &'static str, description: &'static str) -> Panel {
    let slack = 1.0 - 2.0 * objective.budget();
    Panel::new(Kind::Gauge, title, description)
        .size(6, 6)
        .steps(&[
            (f64::NEG_INFINITY, BAD),
            (slack, WARN),
            (objective.target, GOOD),
        ])
        .ask(objective.name, objective.ratio("$__range"))
        .nothing("no orders")
}

fn left(objective: &Objective, title: &'static str) -> Panel {
    let expr = format!(
        "1 - (1 - {}) / {}",
        objective.ratio("$__range"),
        objective.budget()
    );
    let description = "What is left of the share that may be bad, if only the time that is shown counted. At nothing, \
        the promise is broken.";
    Panel::new(Kind::Gauge, title, description)
        .size(6, 6)
        .steps(&[(f64::NEG_INFINITY, BAD), (0.0, WARN), (0.5, GOOD)])
        .ask(objective.name, expr)
        .nothing("no orders")
}

fn burning() -> Row {
    let [accept, settle] = &OBJECTIVES;
    row(
        "How fast the budget goes",
        vec![
            burn(accept, "Burn rate: accept"),
            burn(settle, "Burn rate: settle"),
        ],
    )
}

fn burn(objective: &Objective, title: &'static str) -> Panel {
    let description = "How many times faster than it may the budget is spent. An alert fires when a long window and a \
        short one are both above a dashed line: fast over 1 h and 5 m, slow over 6 h and 30 m.";
    let panel = Panel::new(Kind::Lines, title, description)
        .unit(Unit::Times)
        .size(12, 8)
        .steps(&[(f64::NEG_INFINITY, GOOD), (SLOW, WARN), (FAST, BAD)])
        .lined()
        .nothing("no orders");
    WINDOWS.iter().fold(panel, |panel, (window, _)| {
        panel.ask(window, objective.burn(window))
    })
}

fn orders() -> Row {
    row(
        "What becomes of orders",
        vec![
            Panel::new(Kind::Lines, "Orders a second", "Sagas begun, and sagas at their end. A lasting gap between them piles up as sagas in flight.")
                .unit(Unit::PerSecond)
                .ask("started", rate("crashcart_sagas_started_total", "", &[]))
                .ask("{{outcome}}", rate("crashcart_sagas_settled_total", "", &["outcome"])),
            Panel::new(Kind::Stack, "Why orders were canceled", "Canceled sagas a second, by reason. What is sold out and what is under the minimum is the customers' business; declines belong to the provider.")
                .unit(Unit::PerSecond)
                .ask("{{reason}}", rate("crashcart_sagas_settled_total", r#"outcome="canceled""#, &["reason"]))
                .nothing("none was canceled"),
            Panel::new(Kind::Bars, "Outcomes, over the time that is shown", "How many sagas came to which end.")
                .ask("finished", r#"sum(increase(crashcart_sagas_settled_total{outcome="finished"}[$__range]))"#)
                .ask("{{reason}}", r#"sum by (reason) (increase(crashcart_sagas_settled_total{outcome="canceled"}[$__range]))"#)
                .nothing("none settled"),
        ],
    )
}

fn invariants() -> Row {
    let services = format!("min by (service) (up{{{SHOP}}})");
    row(
        "What must hold",
        vec![
            Panel::new(Kind::Lines, "Payments open, sagas in flight", "Every open payment belongs to a saga in flight, so the payments must stay below. A moment above is the time between two looks; more is a payment whose order has forgotten it.")
                .size(12, 8)
                .ask("sagas in flight", "max(crashcart_sagas_in_flight)")
                .ask("payments open", "max(crashcart_payments_open)"),
            Panel::new(Kind::Stat, "Oldest saga", "Age of the oldest saga that is not at its end. Ages that only grow are an order that is stuck.")
                .unit(Unit::Seconds)
                .size(4, 8)
                .worse_from(10.0, 300.0)
                .ask("oldest saga", "max(crashcart_saga_oldest_age_seconds)"),
            Panel::new(Kind::Stat, "Oldest event unsent", "Age of the oldest event that the broker has not confirmed yet. It grows while the broker is away, and falls to nothing afterwards.")
                .unit(Unit::Seconds)
                .size(4, 8)
                .worse_from(5.0, 120.0)
                .ask("oldest event", "max(crashcart_outbox_oldest_age_seconds)"),
            Panel::new(Kind::Stat, "Messages given up", "Messages in the dead queues. Each is a step of an order that nobody will take by itself.")
                .size(4, 8)
                .none_allowed()
                .ask("given up", format!("sum({})", shared(r#"crashcart_queue_messages{state="dead"}"#, &[]))),
            Panel::new(Kind::States(["down", "up"]), "Services", "Whether each service answers when it is asked for its metrics; of several replicas the worst.")
                .size(12, 6)
                .steps(&[(f64::NEG_INFINITY, BAD), (1.0, GOOD)])
                .ask("{{service}}", services),
            Panel::new(Kind::States(["quiet", "fires"]), "Alerts", "Alerts that fire. Each says in its runbook which board to look at and what to do.")
                .size(12, 6)
                .steps(&[(f64::NEG_INFINITY, GOOD), (1.0, BAD)])
                .ask("{{alertname}}", r#"max by (alertname) (ALERTS{alertstate="firing"})"#)
                .nothing("none fires"),
        ],
    )
}
