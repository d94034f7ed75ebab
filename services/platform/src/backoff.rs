//! When to knock again at a server that is away: after pauses that double, and never in step with others.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use tokio::time::Instant;

const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest pause.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The pauses of one who knocks.
pub(crate) struct Backoff {
    /// Nobody knocks before.
    not_before: Option<Instant>,
    pause: Duration,
    chance: ChaCha8Rng,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self {
            not_before: None,
            pause: PAUSE_MIN,
            // Real servers need real chance: replicas that lost one server must not come back in step.
            chance: ChaCha8Rng::seed_from_u64(crate::os_seed()),
        }
    }

    /// Whether it is too early to knock.
    pub(crate) fn is_early(&self) -> bool {
        self.not_before.is_some_and(|time| Instant::now() < time)
    }

    /// Whether the last knock failed, or is not answered yet.
    pub(crate) const fn is_in_trouble(&self) -> bool {
        self.not_before.is_some()
    }

    /// Somebody knocks; nobody else does for so long.
    pub(crate) fn knocks(&mut self, patience: Duration) {
        self.not_before = Some(Instant::now() + patience);
    }

    /// It was in vain: the next pause is longer.
    pub(crate) fn failed(&mut self) {
        let jitter = self.chance.random_range(0.5..1.0);
        self.not_before = Some(Instant::now() + self.pause.mul_f64(jitter));
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// The door is open: the next pause is a short one.
    pub(crate) fn opened(&mut self) {
        self.not_before = None;
        self.pause = PAUSE_MIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_a_bound_and_begin_anew_when_the_door_opens() {
        let mut backoff = Backoff::new();
        assert!(!backoff.is_early());
        let mut longest = PAUSE_MIN;
        for _ in 0..12 {
            backoff.failed();
            assert!(backoff.is_early());
            tokio::time::advance((longest / 2).saturating_sub(MS)).await;
            assert!(backoff.is_early(), "less than half of {longest:?}");
            tokio::time::advance(longest / 2 + MS).await;
            assert!(!backoff.is_early(), "more than {longest:?}");
            longest = (longest * 2).min(PAUSE_MAX);
        }
        backoff.opened();
        backoff.failed();
        tokio::time::advance(PAUSE_MIN).await;
        assert!(!backoff.is_early());
    }
}
