//! A [`Site`] that can be turned while a service runs: what goes wrong at its ports, and how often it did.
//!
//! It belongs to the place where a service runs, not to one of its incarnations: a crash does not turn it back.
//! What a transaction meets is drawn when it begins, so a rate is a share of transactions, however long they are.

use crate::broker::Delivery;
use crate::fault::{Disturbed, Doom, Side, Site};
use crate::lock::lock;
use async_trait::async_trait;
use contract::Message;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A message that is published again comes so many milliseconds after the first time.
const AGAIN_MS: Range<u64> = 50..500;
/// The longest pause that can be asked for.
const PAUSE_MS_MAX: u64 = 60_000;

/// What goes wrong at the ports of one service. Rates are shares, 0 to 1. Nothing by default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FaultSettings {
    /// The share of published messages that are published once more, some 50 to 500 ms later.
    pub duplicate_rate: f64,
    /// The share of messages that are held back and published later than those that follow.
    pub delay_rate: f64,
    /// How long they are held back.
    pub delay_ms: u64,
    /// Whether each delivered batch is shuffled.
    pub reorder: bool,
    /// The share of transactions that write and fail: as they begin, at a statement, before the commit, or after
    /// it, when the outcome is unknown.
    pub store_error_rate: f64,
    /// How long each transaction that writes waits before it begins.
    pub store_slow_ms: u64,
}

/// A setting that is out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BadSetting {
    /// Which.
    pub field: &'static str,
    /// What would be right.
    pub message: String,
}

impl FaultSettings {
    /// # Errors
    /// The first field that is out of its range.
    pub fn check(&self) -> Result<(), BadSetting> {
        for (field, rate) in [
            ("duplicateRate", self.duplicate_rate),
            ("delayRate", self.delay_rate),
            ("storeErrorRate", self.store_error_rate),
        ] {
            if !(0.0..=1.0).contains(&rate) {
                let message = format!("must be between 0 and 1, got {rate}");
                return Err(BadSetting { field, message });
            }
        }
        for (field, ms) in [
            ("delayMs", self.delay_ms),
            ("storeSlowMs", self.store_slow_ms),
        ] {
            if ms > PAUSE_MS_MAX {
                let message = format!("must be at most {PAUSE_MS_MAX}, got {ms}");
                return Err(BadSetting { field, message });
            }
        }
        Ok(())
    }
}

/// How often each thing went wrong. Counted when it happened, not when it was drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Fired {
    /// Messages published once more.
    pub duplicated: u64,
    /// Messages published late.
    pub delayed: u64,
    /// Batches delivered in another order.
    pub reordered: u64,
    /// Transactions that failed and left nothing.
    pub store_failed: u64,
    /// Transactions that were kept, and whose commit failed all the same.
    pub store_unknown: u64,
    /// Transactions that had to wait.
    pub store_slowed: u64,
}

impl Fired {
    /// All of it together.
    pub const fn total(&self) -> u64 {
        self.duplicated
            + self.delayed
            + self.reordered
            + self.store_failed
            + self.store_unknown
            + self.store_slowed
    }
}

/// The dial of one service.
pub struct Dial {
    /// Whether anything can go wrong; all that a call costs when nothing can.
    turned: AtomicBool,
    settings: Mutex<FaultSettings>,
    chance: Mutex<ChaCha8Rng>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    duplicated: AtomicU64,
    delayed: AtomicU64,
    reordered: AtomicU64,
    store_failed: AtomicU64,
    store_unknown: AtomicU64,
    store_slowed: AtomicU64,
}

impl Dial {
    /// A dial at which nothing goes wrong yet; `seed` says what will, once it is turned.
    pub fn new(seed: u64) -> Self {
        Self {
            turned: AtomicBool::new(false),
            settings: Mutex::default(),
            chance: Mutex::new(ChaCha8Rng::seed_from_u64(seed)),
            counts: Counts::default(),
        }
    }

    /// Turns the dial; what is under way keeps what it has drawn.
    ///
    /// # Errors
    /// A setting out of its range; then nothing is changed.
    pub fn turn(&self, settings: FaultSettings) -> Result<(), BadSetting> {
        settings.check()?;
        let turned = settings != FaultSettings::default();
        *lock(&self.settings) = settings;
        self.turned.store(turned, Relaxed);
        Ok(())
    }

    /// How it is turned.
    pub fn settings(&self) -> FaultSettings {
        lock(&self.settings).clone()
    }

    /// What went wrong so far.
    pub fn fired(&self) -> Fired {
        let counts = &self.counts;
        Fired {
            duplicated: counts.duplicated.load(Relaxed),
            delayed: counts.delayed.load(Relaxed),
            reordered: counts.reordered.load(Relaxed),
            store_failed: counts.store_failed.load(Relaxed),
            store_unknown: counts.store_unknown.load(Relaxed),
            store_slowed: counts.store_slowed.load(Relaxed),
        }
    }

    fn happens(&self, rate: f64) -> bool {
        rate > 0.0 && lock(&self.chance).random::<f64>() < rate
    }
}

#[async_trait]
impl Site for Dial {
    async fn pass(&self, call: &'static str, side: Side) {
        if call == "begin" && side == Side::Before {
            let slow_ms = lock(&self.settings).store_slow_ms;
            if slow_ms > 0 {
                self.counts.store_slowed.fetch_add(1, Relaxed);
                tokio::time::sleep(Duration::from_millis(slow_ms)).await;
            }
        }
    }

    fn is_quiet(&self) -> bool {
        !self.turned.load(Relaxed)
    }

    fn doom(&self) -> Option<Doom> {
        let rate = lock(&self.settings).store_error_rate;
        self.happens(rate)
            .then(|| *Doom::ALL.choose(&mut *lock(&self.chance)).expect("four"))
    }

    fn failed(&self, doom: Doom) {
        match doom {
            Doom::Begin | Doom::Statement | Doom::Commit => &self.counts.store_failed,
            Doom::Unknown => &self.counts.store_unknown,
        }
        .fetch_add(1, Relaxed);
    }

    fn disturb(&self, batch: &[Message]) -> Disturbed {
        let settings = self.settings();
        let mut disturbed = Disturbed {
            pause: Duration::from_millis(settings.delay_ms),
            ..Disturbed::default()
        };
        for message in batch {
            if self.happens(settings.delay_rate) {
                disturbed.late.push(message.clone());
            }
            if self.happens(settings.duplicate_rate) {
                let pause = lock(&self.chance).random_range(AGAIN_MS);
                let again = (Duration::from_millis(pause), message.clone());
                disturbed.again.push(again);
            }
        }
        disturbed
    }

    fn published_late(&self, n: usize) {
        self.counts.delayed.fetch_add(n as u64, Relaxed);
    }

    fn published_again(&self) {
        self.counts.duplicated.fetch_add(1, Relaxed);
    }

    fn deliver(&self, batch: &mut Vec<Delivery>) {
        if self.is_quiet() || batch.len() < 2 || !lock(&self.settings).reorder {
            return;
        }
        batch.shuffle(&mut *lock(&self.chance));
        if !batch.is_sorted_by_key(|delivery| delivery.tag) {
            self.counts.reordered.fetch_add(1, Relaxed);
        }
    }
}
