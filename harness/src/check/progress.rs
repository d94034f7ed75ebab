//! L3: while orders come in and nothing is broken on purpose, something settles in every window of time.

use super::{Tally, Violation};
use crate::evidence::{Act, View};

/// The windows: long enough that a slow disk is no violation.
const WINDOW_US: i64 = 2_000_000;

pub(super) fn judge(view: &View<'_>) -> Tally {
    let (from, to) = (view.plan.load_from_us, view.plan.load_to_us);
    let windows = usize::try_from((to - from) / WINDOW_US).unwrap_or(0);
    let index = |at_us: i64| {
        usize::try_from((at_us - from).div_euclid(WINDOW_US))
            .ok()
            .filter(|index| *index < windows)
    };
    let (mut offered, mut settled) = (vec![0_u64; windows], vec![0_u64; windows]);
    for did in view.history.iter().filter(|did| did.act == Act::Place) {
        if let Some(index) = index(did.due_us) {
            offered[index] += 1;
        }
    }
    for row in view.orders.iter().filter(|row| row.settled_us > 0) {
        if let Some(index) = index(row.settled_us) {
            settled[index] += 1;
        }
    }
    let mut tally = Tally::default();
    for (index, (offered, settled)) in (0..).zip(offered.iter().zip(&settled)) {
        let begin = from + index * WINDOW_US;
        if *offered == 0 || is_disturbed(view, begin, begin + WINDOW_US) {
            continue;
        }
        let seconds = (begin - from) / 1_000_000;
        tally.weigh((*settled == 0).then(|| {
            let what = format!(
                "nothing settled from second {seconds} to {} of the load, {offered} were offered",
                seconds + 2
            );
            (*offered, Violation::run(what))
        }));
    }
    tally
}

/// Whether a fault was on, or not recovered from, at some time in the window.
fn is_disturbed(view: &View<'_>, begin: i64, end: i64) -> bool {
    view.faults.iter().any(|fault| {
        let over = fault.recovered_us.or(fault.healed_us);
        fault.fired_us.is_some_and(|fired| fired < end)
            && over.is_none_or(|over| over > begin)
            && (fault.fired_us != over)
    })
}
