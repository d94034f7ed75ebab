//! What does it cost?

use crate::board::{Board, Kind, Panel, Row, Unit, row};
use crate::promql::{SHOP, mean, rate};

const DESCRIPTION: &str = "**CPU of a settled saga is the number to compare**: it moves with the code, not with the load. \
    Memory, files and threads should be flat. In a shop that is one process (`crashcart run`, `crashcart serve`) each \
    service tells of the whole process, and sums here count it four times.";

pub(super) fn board() -> Board {
    Board {
        file: "cost",
        uid: "crashcart-cost",
        title: "What does it cost",
        description: DESCRIPTION,
        since: "15m",
        rows: vec![saga(), processes(), stores(), telemetry()],
    }
}

fn saga() -> Row {
    let cpu = rate("process_cpu_seconds_total", SHOP, &[]);
    let settled = rate("crashcart_sagas_settled_total", "", &[]);
    row(
        "What runs, and what one saga costs",
        vec![
            Panel::new(Kind::Stat, "CPU of a settled saga", "Processor time of the four services over the sagas that settled meanwhile. Databases and broker are not in it.")
                .unit(Unit::Seconds)
                .size(6, 5)
                .ask("a saga", format!("{cpu}\n/\n({settled} > 0)"))
                .nothing("no saga settled"),
            Panel::new(Kind::Stat, "Settled a second", "What the cost beside it was paid for.")
                .unit(Unit::PerSecond)
                .size(6, 5)
                .ask("settled", format!("{settled} or vector(0)")),
            Panel::new(Kind::Names, "What runs here", "Version, database and broker of each service. Two versions of one service are an upgrade on its way.")
                .size(12, 5)
                .ask("{{service}} {{version}} on {{store}} and {{broker}}", "max by (service, version, store, broker) (crashcart_build_info)"),
        ],
    )
}

fn processes() -> Row {
    let of = |metric: &str| format!("sum by (service) ({metric}{{{SHOP}}})");
    row(
        "Processes",
        vec![
            Panel::new(Kind::Stack, "CPU, of one core", "By service, all replicas together.")
                .unit(Unit::Share)
                .ask("{{service}}", rate("process_cpu_seconds_total", SHOP, &["service"])),
            Panel::new(Kind::Stack, "Memory", "What is in use of it, by service, all replicas together. It should find a level and stay there.")
                .unit(Unit::Bytes)
                .ask("{{service}}", of("process_resident_memory_bytes")),
            Panel::new(Kind::Lines, "Time since the start", "Of the youngest replica of each service. Back to nothing is a restart.")
                .unit(Unit::Seconds)
                .ask("{{service}}", "time() - max by (service) (crashcart_start_time_seconds)"),
            Panel::new(Kind::Lines, "Open files and sockets", "By service, all replicas together. A ramp is a leak.")
                .ask("{{service}}", of("process_open_fds")),
            Panel::new(Kind::Lines, "Share of the files that may be open", "Of the replica that is nearest to its limit.")
                .unit(Unit::Share)
                .ask("{{service}}", format!("max by (service) (process_open_fds{{{SHOP}}} / process_max_fds{{{SHOP}}})")),
            Panel::new(Kind::Lines, "Threads", "By service, all replicas together. A service has a fixed number of them.")
                .ask("{{service}}", of("process_threads")),
        ],
    )
}

fn stores() -> Row {
    row(
        "Databases",
        vec![
            Panel::new(Kind::Stack, "Connections, by what they do", "Used, idle, and free places for more, of all pools. No idle and no free ones means that transactions wait.")
                .ask("{{state}}", "sum by (state) (crashcart_store_connections)")
                .nothing("no pools here"),
            Panel::new(Kind::Lines, "Connections in use, by pool", "Of each service and pool, all replicas together.")
                .ask("{{service}} {{pool}}", r#"sum by (service, pool) (crashcart_store_connections{state="used"})"#)
                .nothing("no pools here"),
            Panel::new(Kind::Lines, "Transactions that failed", "Through no fault of theirs: of failed ones nothing is kept; of unknown ones nobody knows, and the same step is done again under the same id.")
                .unit(Unit::PerSecond)
                .ask("{{outcome}}", rate("crashcart_store_errors_total", "", &["outcome"]))
                .nothing("none failed"),
            Panel::new(Kind::Lines, "Messages in a transaction", "Mean size of a batch, by service. It grows with the load, and that is what makes load cheap.")
                .size(12, 8)
                .ask("{{service}}", mean("crashcart_batch_size"))
                .nothing("no messages"),
            Panel::new(Kind::Lines, "Steps in a transaction", "Mean size of a group of requests that were committed together, by service.")
                .size(12, 8)
                .ask("{{service}}", mean("crashcart_commit_group_size"))
                .nothing("no requests"),
        ],
    )
}

fn telemetry() -> Row {
    row(
        "Telemetry itself",
        vec![
            Panel::new(Kind::Stack, "Spans", "Taken by the collector, not taken by it, and dropped for want of room. Without a collector nothing is recorded and nothing stands here.")
                .unit(Unit::PerSecond)
                .size(12, 8)
                .ask("{{result}}", rate("crashcart_telemetry_spans_total", "", &["result"]))
                .nothing("no collector"),
            Panel::new(Kind::Lines, "Spans of a settled saga", "How many spans one order costs, all services together.")
                .size(12, 8)
                .ask("spans", format!("{}\n/\n({} > 0)", rate("crashcart_telemetry_spans_total", "", &[]), rate("crashcart_sagas_settled_total", "", &[])))
                .nothing("no saga settled"),
        ],
    )
}
