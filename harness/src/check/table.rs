//! All checks, in the order of the report.

use super::{Check, Class};
use super::{
    agreement, amounts, carried, causes, compensation, delivered, drained, durable, fold,
    generator, happened, ids, keys,
};
use super::{
    metrics, money, once, origin, poison, price, progress, recovery, registry, session, settled,
    steps, stock, traces,
};
use crate::evidence::Source::{
    Charges, DeadLetters, Faults, History, InboxOrders, InboxPayments, InboxProducts, LogOrders,
    LogPayments, LogProducts, Metrics, Orders, Payments, Products, Queues, Reservations, Shapes,
    Spans, Tap,
};
use crate::faults::FaultKind;
use crate::history::Story;
use crate::plan::Plan;

type Due = Result<(), &'static str>;

#[expect(
    clippy::unnecessary_wraps,
    reason = "one of the rules that say when a check is due"
)]
const fn always(_: &Plan) -> Due {
    Ok(())
}

fn with_orders(plan: &Plan) -> Due {
    if plan.starts > 0 {
        Ok(())
    } else {
        Err("the plan has no orders")
    }
}

fn with_traces(plan: &Plan) -> Due {
    with_orders(plan)?;
    if plan.traced {
        Ok(())
    } else {
        Err("the traces of this shop do not all come to us")
    }
}

fn with_metrics(plan: &Plan) -> Due {
    with_orders(plan)?;
    if plan.metered {
        Ok(())
    } else {
        Err("others may use this shop, and it counts what they do as well")
    }
}

fn with_all_telemetry(plan: &Plan) -> Due {
    with_traces(plan)?;
    with_metrics(plan)
}

fn with_repeated_keys(plan: &Plan) -> Due {
    let repeats = [Story::Retry, Story::DoubleClick, Story::KeyReused];
    let any = repeats.iter().any(|story| plan.stories.contains(story));
    if any {
        Ok(())
    } else {
        Err("the plan has no story that sends a key twice")
    }
}

fn with_reads(plan: &Plan) -> Due {
    if plan.stories.contains(&Story::Reread) {
        Ok(())
    } else {
        Err("the plan has no story that reads an order again")
    }
}

fn with_windows(plan: &Plan) -> Due {
    // Faults leave the first tenth of the load alone, so a load of ten windows has one without faults.
    let windows = if plan.faults.is_empty() { 2 } else { 12 };
    if plan.load_to_us - plan.load_from_us >= windows * super::progress::window_us(plan) {
        Ok(())
    } else {
        Err("the load is too short for a time without faults in which something must settle")
    }
}

fn with_a_rate(plan: &Plan) -> Due {
    if plan.rate > 0.0 {
        Ok(())
    } else {
        Err("the plan has no rate")
    }
}

fn with_healed_faults(plan: &Plan) -> Due {
    let is_healed = |name: &String| FaultKind::parse(name).is_none_or(FaultKind::has_window);
    if plan.faults.iter().any(is_healed) {
        Ok(())
    } else {
        Err("the plan has no fault that is healed")
    }
}

fn with_faults(plan: &Plan) -> Due {
    if plan.faults.is_empty() {
        Err("the plan has no faults")
    } else {
        Ok(())
    }
}

fn with_stories(plan: &Plan) -> Due {
    if plan.stories.is_empty() {
        Err("the plan has no stories")
    } else {
        Ok(())
    }
}

/// Declares a check in a few lines.
macro_rules! check {
    ($id:literal $name:literal, $promise:literal, $class:ident, [$($needs:ident)*], $due:ident, $judge:path) => {
        Check {
            id: $id,
            name: $name,
            promise: $promise,
            class: Class::$class,
            needs: &[$($needs),*],
            due: $due,
            judge: $judge,
        }
    };
}

/// All checks.
#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    check!("S1" "agreement", "order, reservation and payment of each order tell the same story",
        Shop, [Orders Reservations Payments], with_orders, agreement::judge),
    check!("S2" "stock conserved", "per product, what is available, reserved and sold is what came in, at each step",
        Shop, [Products Reservations LogProducts History], always, stock::conserved),
    check!("S3" "never oversold", "no step leaves less than nothing, or gives away more than came in",
        Shop, [Products LogProducts], always, stock::never_oversold),
    check!("S4" "effect once", "each transition of an order happens at most once",
        Shop, [LogOrders LogProducts LogPayments], with_orders, once::judge),
    check!("S5" "price rule", "a payment fails if and only if it is under one dollar or was declined",
        Shop, [Payments Orders Products Charges History], with_orders, price::judge),
    check!("S6" "from somewhere", "each order was asked for, once; each reservation and payment has an order",
        Shop, [Orders Reservations Payments History], with_orders, origin::judge),
    check!("S7" "legal steps", "each step is one that the saga has, and nothing changes after its end",
        Shop, [LogOrders LogProducts LogPayments], with_orders, steps::judge),
    check!("S8" "fold", "folding the logs gives exactly the tables, versions without a gap",
        Shop, [Orders Products Reservations Payments LogOrders LogProducts LogPayments], always, fold::judge),
    check!("S9" "money", "one charge per processed payment and none for any other, of the same amount",
        Shop, [Orders Payments Charges], with_orders, money::judge),
    check!("S10" "amounts agree", "quantities and cents are the same in tables, events and catalogue",
        Shop, [Orders Products Reservations Payments LogOrders LogProducts LogPayments History], with_orders, amounts::judge),
    check!("S11" "one key, one order", "the same key and request give the same order; another request is refused",
        Shop, [History], with_repeated_keys, keys::judge),
    check!("S12" "durable", "an order that a client was told of exists",
        Shop, [Orders History], with_orders, durable::judge),
    check!("S13" "session order", "no client sees an order go back",
        Shop, [Orders History], with_reads, session::judge),
    check!("S14" "ids unique", "what has the same id is the same thing",
        Shop, [Orders Payments LogOrders LogProducts LogPayments Tap History], always, ids::judge),
    check!("D1" "state, then event", "each committed event was on the exchange",
        Shop, [LogOrders LogProducts LogPayments Tap], always, carried::published),
    check!("D2" "event, then state", "each message on the exchange is in its author's log, with the same payload",
        Shop, [LogOrders LogProducts LogPayments Tap], always, carried::committed),
    check!("D3" "none lost", "what was published was applied, or waits, or was given up with a reason",
        Shop, [Tap InboxOrders InboxProducts InboxPayments Queues DeadLetters], with_orders, delivered::none_lost),
    check!("D4" "duplicates absorbed", "however often a message is delivered, it has one effect",
        Shop, [LogOrders LogProducts LogPayments InboxOrders InboxProducts InboxPayments], with_orders, delivered::absorbed),
    check!("D5" "drained", "in the end nothing is unpublished, no queue holds anything",
        Shop, [Queues DeadLetters], always, drained::drained),
    check!("D6" "causality", "each event has a cause of the right type, about the same order, before it",
        Shop, [LogOrders LogProducts LogPayments], always, causes::judge),
    check!("D7" "poison bounded", "a message that cannot be applied is given up after its chances",
        Shop, [LogOrders LogProducts LogPayments InboxOrders InboxProducts InboxPayments Queues DeadLetters], with_orders, poison::judge),
    check!("D8" "compensation", "a reservation is given back exactly when its payment failed, once",
        Shop, [LogProducts LogPayments], with_orders, compensation::judge),
    check!("L1" "settled", "each order settles",
        Shop, [Orders LogOrders LogProducts LogPayments InboxOrders InboxProducts InboxPayments], with_orders, settled::judge),
    check!("L2" "empty", "in the end no message and no order is on its way",
        Shop, [Orders Queues], always, drained::empty),
    check!("L3" "progress", "something settles in every second outside of faults",
        Shop, [Orders History Faults], with_windows, progress::judge),
    check!("L4" "recovery", "the shop comes back after each fault",
        Shop, [Faults], with_healed_faults, recovery::judge),
    check!("T1" "one trace", "each order is in one trace, with one root",
        Telemetry, [Orders Spans], with_traces, traces::one_trace),
    check!("T2" "no gap", "each step of an order is traced, or its service died before it could tell, or says that it lost some",
        Telemetry, [Orders LogOrders LogProducts LogPayments InboxOrders InboxProducts InboxPayments Faults Spans], with_traces, traces::whole),
    check!("T3" "applied once", "what is traced as applied is in an inbox, once",
        Telemetry, [InboxOrders InboxProducts InboxPayments Spans], with_traces, traces::applied),
    check!("T4" "parents are causes", "each step hangs on the step that said its message",
        Telemetry, [LogOrders LogProducts LogPayments Spans], with_traces, traces::causes),
    check!("T5" "in order", "no step begins before the one that brought it about",
        Telemetry, [Spans], with_traces, traces::in_order),
    check!("T6" "names", "names and attributes of spans, metrics and labels are those of the registry",
        Telemetry, [Shapes Metrics], with_all_telemetry, registry::judge),
    check!("M1" "counters", "each counter is the count over logs, inboxes and tables",
        Telemetry, [Metrics Orders LogOrders LogProducts LogPayments InboxOrders InboxProducts InboxPayments DeadLetters], with_metrics, metrics::counters),
    check!("M2" "histograms", "each histogram has as many values as there are spans, and the same time",
        Telemetry, [Metrics Spans Orders LogOrders LogProducts LogPayments], with_all_telemetry, metrics::timings),
    check!("M3" "gauges", "at rest nothing is in flight, and the stock is what the tables say",
        Telemetry, [Metrics Orders Products Payments Queues], with_metrics, metrics::gauges),
    check!("M4" "requests", "services count as many requests as clients know of",
        Telemetry, [Metrics History], with_metrics, metrics::requests),
    check!("M5" "examples", "each trace that stands as an example in the metrics was traced",
        Telemetry, [Metrics Spans], with_all_telemetry, metrics::examples),
    check!("M6" "series", "there are few series, and no id is a label",
        Telemetry, [Metrics], with_metrics, metrics::series),
    check!("V1" "faults seen", "each fault that was asked for fired and was seen",
        Run, [Faults Orders Charges InboxOrders InboxProducts InboxPayments], with_faults, happened::faults),
    check!("V2" "stories told", "each planned story happened",
        Run, [History Orders], with_stories, happened::stories),
    check!("V7" "generator", "the load was sent as planned: whole, and on time",
        Run, [History], with_a_rate, generator::judge),
];
