//! L3: while orders come in and nothing is broken on purpose, something settles in every second (in longer windows
//! where fewer orders come).

use super::{Tally, Violation};
use crate::evidence::{Act, View};
use crate::plan::Plan;

/// The shortest window: a slow disk is no violation.
const WINDOW_US: i64 = 1_000_000;
/// With fewer orders than these, a window in which none settles says nothing; so thin loads have longer windows.
const OFFERED_MIN: u32 = 10;
/// The longest window; loads that are thinner than that are not looked at.
const WINDOW_US_MAX: i64 = 3_600_000_000;

/// The window for the rate of a plan: long enough for some orders.
#[expect(
    clippy::cast_possible_truncation,
    reason = "between one second and one hour"
)]
pub(super) fn window_us(plan: &Plan) -> i64 {
    let some_orders_us = 1.5e6 * f64::from(OFFERED_MIN) / plan.rate.max(1e-9);
    (some_orders_us.min(1e12) as i64).clamp(WINDOW_US, WINDOW_US_MAX)
}

pub(super) fn judge(view: &View<'_>) -> Tally {
    let window_us = window_us(&view.plan);
    let windows = windows(view, window_us);
    // A window for each time of a list, without the list: there may be a million of them.
    let count = |times: &mut dyn Iterator<Item = i64>| {
        let mut counts = vec![0_u64; windows.len()];
        for at in times {
            let next = windows.partition_point(|from| *from <= at);
            if let Some(index) = next
                .checked_sub(1)
                .filter(|index| at < windows[*index] + window_us)
            {
                counts[index] += 1;
            }
        }
        counts
    };
    let places = view.history.iter().filter(|did| did.act == Act::Place);
    let offered = count(&mut places.map(|did| did.due_us));
    let settled = count(&mut view.orders.iter().map(|row| row.settled_us));
    let mut tally = Tally::default();
    for ((from, came), settled) in windows.iter().zip(offered).zip(settled) {
        if came < u64::from(OFFERED_MIN) {
            continue;
        }
        let tenths = (from - view.plan.load_from_us) / 100_000;
        tally.weigh((settled == 0).then(|| {
            let what = format!(
                "nothing settled in the {} ms that began {}.{} s into the load, {came} orders were offered",
                window_us / 1_000,
                tenths / 10,
                tenths % 10
            );
            (came, Violation::run(what))
        }));
    }
    tally
}

/// The beginnings of all windows of the load in which no fault was on, or not yet recovered from.
fn windows(view: &View<'_>, window_us: i64) -> Vec<i64> {
    let mut faults: Vec<(i64, i64)> = view
        .faults
        .iter()
        .filter_map(|fault| {
            let over = fault.recovered_us.or(fault.healed_us);
            // What is in the workload has no end, and does not stop the others from settling.
            let over = if fault.kind.has_window() {
                over.unwrap_or(i64::MAX)
            } else {
                return None;
            };
            Some((fault.fired_us?, over))
        })
        .collect();
    faults.sort_unstable();
    let (mut quiet_from, mut windows) = (view.plan.load_from_us, Vec::new());
    for (fired, over) in faults.into_iter().chain([(view.plan.load_to_us, i64::MAX)]) {
        while quiet_from.saturating_add(window_us) <= fired {
            windows.push(quiet_from);
            quiet_from += window_us;
        }
        quiet_from = quiet_from.max(over);
    }
    windows
}
