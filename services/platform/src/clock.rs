//! The only place that reads a clock or the system's randomness.

use rand::TryRng;
#[expect(
    clippy::disallowed_types,
    reason = "the one place where randomness enters"
)]
use rand::rngs::SysRng;
use std::time::SystemTime;

/// Where "now" comes from.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The system's clock.
    Os,
    /// A world's own time: `epoch_us` plus what tokio's (paused) clock has run since `start`.
    Virtual {
        /// When the world began on tokio's clock.
        start: tokio::time::Instant,
        /// What time it was then, microseconds since 1970.
        epoch_us: i64,
    },
}

impl Clock {
    /// Microseconds since 1970.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the replacement for SystemTime::now"
    )]
    pub fn now_us(self) -> i64 {
        let (base, elapsed) = match self {
            Self::Os => (
                0,
                SystemTime::now()
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default(),
            ),
            Self::Virtual { start, epoch_us } => (epoch_us, start.elapsed()),
        };
        base + i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX - base)
    }
}

/// A seed from the system's randomness.
pub fn os_seed() -> u64 {
    SysRng
        .try_next_u64()
        .expect("the operating system gives random bytes")
}
