//! How is the run going?

use crate::board::{Board, Kind, Panel, Row, Unit, row};
use crate::palette::{CALM, WARN};
use crate::promql::{FAULTS, quantile, rate};

const DESCRIPTION: &str = "The same orders as **their clients** saw them, counted by the harness from the moment each was \
    *meant* to start. Accepted should follow offered, settled should follow accepted. Where a fault is on, a dent is \
    expected; **what counts is that the lines come back together after it**.";

const ORDERS: &str = "crashcart_run_orders_total";

pub(super) fn board() -> Board {
    Board {
        file: "run",
        uid: "crashcart-run",
        title: "The run",
        description: DESCRIPTION,
        since: "5m",
        rows: vec![totals(), course(), latencies()],
    }
}

fn total(title: &'static str, description: &'static str, state: &str) -> Panel {
    Panel::new(Kind::Stat, title, description)
        .size(3, 4)
        .ask("orders", format!(r#"sum({ORDERS}{{state="{state}"}})"#))
        .nothing("no run")
}

fn totals() -> Row {
    row(
        "So far",
        vec![
            Panel::new(Kind::Names, "Run", "Which run this is, and on which engine.")
                .size(6, 4)
                .ask("{{run}} {{engine}}", "max by (run, engine) (crashcart_run_info)")
                .nothing("no run"),
            total("Offered", "Orders that were due to start. The load does not wait for the shop.", "offered"),
            total("Accepted", "Orders whose client got a 201.", "accepted"),
            total("Settled", "Accepted orders that were seen at their end.", "settled"),
            total("Refused", "Orders that certainly did not happen: a 4xx, or a 503 that says so.", "refused"),
            total("Unknown", "Orders that may have happened: time-outs, lost connections, other 5xx. The checks find out later.", "unknown").steps(&[(f64::NEG_INFINITY, CALM), (1.0, WARN)]),
            total("Dropped", "Orders that the harness could not start in time. More than a few and the run is worth nothing.", "dropped").worse_from(1.0, 10.0),
        ],
    )
}

fn course() -> Row {
    row(
        "The course of the run",
        vec![
            Panel::new(Kind::Lines, "Orders a second", "By what became of them.")
                .unit(Unit::PerSecond)
                .size(12, 9)
                .ask("{{state}}", rate(ORDERS, "", &["state"]))
                .nothing("no run"),
            Panel::new(Kind::Lines, "In flight", "Orders accepted and not seen settled. It swells while something is broken and must come back.")
                .size(12, 9)
                .ask("harness", "sum(crashcart_run_in_flight)")
                .nothing("no run"),
            Panel::new(Kind::States(["off", "on"]), "Faults", "What is broken on purpose, and where. The same times are marked on every board.")
                .size(24, 7)
                .steps(&[(f64::NEG_INFINITY, CALM), (1.0, WARN)])
                .ask("{{fault}} at {{service}}", FAULTS)
                .nothing("nothing is broken on purpose"),
        ],
    )
}

fn latencies() -> Row {
    let accept = "crashcart_run_accept_seconds";
    let settle = "crashcart_run_settle_seconds";
    let heat = |metric: &str| format!("sum by (le) (increase({metric}_bucket[$__rate_interval]))");
    row(
        "As clients saw it",
        vec![
            Panel::new(Kind::Latency, "From the intended start to the 201", "A shop that stalls cannot hide it here: orders that had to wait for their turn count from when they were due.")
                .size(12, 8)
                .ask("accept p50", quantile(0.5, accept, "", &[]))
                .ask("accept p99", quantile(0.99, accept, "", &[]))
                .nothing("no run"),
            Panel::new(Kind::Latency, "From the intended start to the end", "The whole order, through all services.")
                .size(12, 8)
                .ask("settle p50", quantile(0.5, settle, "", &[]))
                .ask("settle p99", quantile(0.99, settle, "", &[]))
                .nothing("no run"),
            Panel::new(Kind::Heatmap, "All of them, to the 201", "Each cell is so many orders. Stripes that lean are a stall being worked off.")
                .size(12, 8)
                .ask("{{le}}", heat(accept))
                .nothing("no run"),
            Panel::new(Kind::Heatmap, "All of them, to the end", "Each cell is so many orders. A band at a second and above is a payment that was asked for again.")
                .size(12, 8)
                .ask("{{le}}", heat(settle))
                .nothing("no run"),
        ],
    )
}
