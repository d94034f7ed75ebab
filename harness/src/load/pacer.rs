//! Gives the starts out when they are due, from a thread that does nothing else.
//!
//! It sleeps to absolute times, so delays do not add up, and it never waits for anybody: a start that nobody
//! can take is dropped and counted.

use super::figures::{Progress, add};
use crate::workload::Start;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};

/// The longest sleep, after which it looks whether to stop.
const NAP: Duration = Duration::from_millis(50);
/// The load begins so long after it was asked for: both threads are up by then.
const LEAD: Duration = Duration::from_millis(20);

/// A start whose time has come.
pub(super) struct Due {
    /// Its place in the plan.
    pub(super) n: usize,
    /// When it was meant to start.
    pub(super) at: Instant,
    pub(super) start: Start,
}

/// Where the load began, on both clocks: intervals on the steady one, what is written on the other.
#[derive(Clone, Copy)]
pub(super) struct Epoch {
    pub(super) at: Instant,
    us: i64,
}

impl Epoch {
    /// A moment from now.
    pub(super) fn soon() -> Self {
        let us = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            + LEAD;
        Self {
            at: Instant::now() + LEAD,
            us: i64::try_from(us.as_micros()).unwrap_or(i64::MAX),
        }
    }

    /// `at` in microseconds since 1970.
    pub(super) fn us(self, at: Instant) -> i64 {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match at.checked_duration_since(self.at) {
            Some(after) => self.us.saturating_add(micros(after)),
            None => self.us.saturating_sub(micros(self.at - at)),
        }
    }
}

/// Gives out `starts` until the last one, or until `stop`.
pub(super) fn pace(
    starts: Vec<Start>,
    epoch: Epoch,
    due: &mpsc::Sender<Due>,
    progress: &Progress,
    stop: &watch::Receiver<bool>,
) {
    sleep_exactly();
    for (n, start) in starts.into_iter().enumerate() {
        let at = epoch.at + start.at;
        loop {
            if *stop.borrow() {
                return;
            }
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(NAP));
        }
        add(&progress.offered);
        if due.try_send(Due { n, at, start }).is_err() {
            add(&progress.dropped);
        }
    }
}

/// Asks the kernel to wake this thread when it said, not up to 50 microseconds later.
fn sleep_exactly() {
    // Where it cannot be had, the load is as late as it is measured to be.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}
