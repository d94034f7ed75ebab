//! Many at once are cheaper than one at a time: who is busy waits a moment for more to do in one go.
//!
//! A transaction, and a publish, costs nearly the same for one message and for a hundred. Somebody with little
//! to do never waits. Only when the last batch was one of many does the next begin no sooner than a moment after.

use std::time::Duration;
use tokio::time::Instant;

/// A batch of more than so many means that more are on their way.
const FEW: usize = 2;

/// The pace of one loop that works in batches.
pub(crate) struct Gather {
    pause: Duration,
    not_before: Option<Instant>,
}

impl Gather {
    /// A loop that begins a batch no sooner than `pause` after a large one has begun.
    pub(crate) const fn new(pause: Duration) -> Self {
        let not_before = None;
        Self { pause, not_before }
    }

    /// Waits until the next batch is worth its while.
    pub(crate) async fn more(&mut self) {
        if let Some(not_before) = self.not_before.take() {
            tokio::time::sleep_until(not_before).await;
        }
    }

    /// A batch of so many, of `max` at most, begins now. A full one could not have become larger.
    pub(crate) fn begins(&mut self, size: usize, max: usize) {
        let is_worth_it = size > FEW && size < max;
        self.not_before = is_worth_it.then(|| Instant::now() + self.pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 8;

    #[tokio::test(start_paused = true)]
    async fn only_who_has_much_to_do_waits_for_more() {
        let began = Instant::now();
        let mut gather = Gather::new(Duration::from_millis(30));
        for size in [1, FEW, MAX] {
            gather.begins(size, MAX);
            gather.more().await;
            assert_eq!(began.elapsed(), Duration::ZERO, "after {size}");
        }
        gather.begins(FEW + 1, MAX);
        tokio::time::advance(Duration::from_millis(10)).await;
        gather.more().await;
        assert_eq!(
            began.elapsed(),
            Duration::from_millis(30),
            "counted from the begin"
        );
        gather.more().await;
        assert_eq!(began.elapsed(), Duration::from_millis(30), "once");
    }
}
