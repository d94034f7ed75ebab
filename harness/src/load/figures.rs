//! What the load counts: figures to look at while it runs, and those of its end.

use crate::history::Outcome;
use hdrhistogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Latencies are kept up to this many microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// What the load has done so far; read while it runs. A start ends as its first order did, so that
/// `offered = accepted + refused + unknown + dropped` when everything has ended.
#[derive(Debug)]
pub struct Progress {
    /// Starts that were due.
    pub offered: AtomicU64,
    /// Starts whose order was acknowledged.
    pub accepted: AtomicU64,
    /// Starts that certainly made no order; among them those that were meant to be refused.
    pub refused: AtomicU64,
    /// Starts of which nobody knows; among them the clients that hung up.
    pub unknown: AtomicU64,
    /// Starts that were never sent: too many were waiting, or the load was stopped.
    pub dropped: AtomicU64,
    /// Accept latencies since the last look. Two digits: looking must not hold up who counts.
    recent_us: Mutex<Histogram<u64>>,
}

/// The accept latency since the last look, from the intended start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// How many orders were acknowledged.
    pub count: u64,
    /// Half took at most so many microseconds.
    pub us_p50: u64,
    /// All but one in a hundred took at most so many.
    pub us_p99: u64,
    /// None took longer.
    pub us_max: u64,
}

impl Default for Progress {
    fn default() -> Self {
        let recent = Histogram::new_with_bounds(1, LATENCY_US_MAX, 2);
        Self {
            offered: AtomicU64::default(),
            accepted: AtomicU64::default(),
            refused: AtomicU64::default(),
            unknown: AtomicU64::default(),
            dropped: AtomicU64::default(),
            recent_us: Mutex::new(recent.expect("bounds that a histogram can have")),
        }
    }
}

impl Progress {
    /// The accept latency since the last look; for one display only.
    pub fn look(&self) -> Look {
        let mut recent = self
            .recent_us
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let look = Look {
            count: recent.len(),
            us_p50: recent.value_at_quantile(0.5),
            us_p99: recent.value_at_quantile(0.99),
            us_max: recent.max(),
        };
        recent.reset();
        look
    }

    /// How many starts are out: offered, and not ended in any way.
    pub fn in_flight(&self) -> u64 {
        let ended = [&self.accepted, &self.refused, &self.unknown, &self.dropped];
        let ended: u64 = ended.map(read).iter().sum();
        // Read last, so that nothing ends that was not offered.
        read(&self.offered).saturating_sub(ended)
    }

    /// What became of the starts so far, by state.
    pub fn counts(&self) -> [(&'static str, u64); 5] {
        [
            ("offered", &self.offered),
            ("accepted", &self.accepted),
            ("refused", &self.refused),
            ("unknown", &self.unknown),
            ("dropped", &self.dropped),
        ]
        .map(|(state, n)| (state, read(n)))
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        add(match outcome {
            Outcome::Created { .. } | Outcome::Ok { .. } => &self.accepted,
            Outcome::Refused { .. } => &self.refused,
            Outcome::Unknown { .. } => &self.unknown,
        });
    }

    fn accepted_after(&self, latency: Duration) {
        let recent = self.recent_us.lock();
        let mut recent = recent.unwrap_or_else(PoisonError::into_inner);
        recent.saturating_record(micros(latency));
    }
}

/// What the load came to.
#[derive(Debug, Clone)]
pub struct Sent {
    /// From the intended start to the 201, for each order that was acknowledged, microseconds.
    pub corrected_us: Histogram<u64>,
    /// From the actual start to the 201, microseconds: what a generator says that waits for the shop.
    pub raw_us: Histogram<u64>,
    /// From the intended start to when the request went to its connection, microseconds. For a start that had
    /// to wait for others in flight, to when it began to wait: that wait is the shop's, and is in the latency.
    pub late_us: Histogram<u64>,
    /// Starts that had to wait because too many were in flight.
    pub waited: u64,
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
}

impl Sent {
    pub(super) fn new() -> Self {
        Self {
            corrected_us: histogram(),
            raw_us: histogram(),
            late_us: histogram(),
            waited: 0,
            offered: 0,
            accepted: 0,
            refused: 0,
            unknown: 0,
            dropped: 0,
        }
    }

    pub(super) fn late(&mut self, late: Duration) {
        self.late_us.saturating_record(micros(late));
    }

    pub(super) fn accepted_after(
        &mut self,
        (corrected, raw): (Duration, Duration),
        progress: &Progress,
    ) {
        self.corrected_us.saturating_record(micros(corrected));
        self.raw_us.saturating_record(micros(raw));
        progress.accepted_after(corrected);
    }

    /// With the counts of `progress`, when everything has ended.
    pub(super) fn with_counts(self, progress: &Progress) -> Self {
        Self {
            offered: read(&progress.offered),
            accepted: read(&progress.accepted),
            refused: read(&progress.refused),
            unknown: read(&progress.unknown),
            dropped: read(&progress.dropped),
            ..self
        }
    }

    /// The share of starts that were never sent, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn dropped_share(&self) -> f64 {
        self.dropped as f64 / self.offered.max(1) as f64
    }
}

/// A histogram of microseconds with three digits.
///
/// # Panics
/// Never: the bounds are its own.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("bounds that a histogram can have")
}

pub(super) fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
