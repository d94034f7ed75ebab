//! Lengths of time as Prometheus writes them, and the scale on which rules wait.
//!
//! A rule that waits for an hour cannot be tried in a test of twenty seconds; on a scale of 1/120 that hour is half a
//! minute, and everything else about the rule is the same.

use std::time::Duration;

/// As short as a range may become: four scrapes, each 250 ms after the one before.
const RANGE_MIN: Duration = Duration::from_secs(1);
/// As short as a pause may become: one scrape.
const PAUSE_MIN: Duration = Duration::from_millis(250);

/// How much shorter than in real life rules look back and wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale(f64);

impl Scale {
    /// Real life.
    pub const REAL: Self = Self(1.0);

    /// `times` shorter than real life: 120 makes half a minute of an hour.
    pub fn shorter(times: u32) -> Self {
        Self(1.0 / f64::from(times.max(1)))
    }

    /// What a range looks back over: `real` in real life, never less than four scrapes of 250 ms.
    pub(crate) fn range(self, real: Duration) -> String {
        text(self.of(real).max(RANGE_MIN))
    }

    /// How long a rule waits, for its next evaluation or before it fires.
    pub(crate) fn pause(self, real: Duration) -> String {
        text(self.of(real).max(PAUSE_MIN))
    }

    /// Seconds, to compare an age with.
    pub(crate) fn seconds(self, real: Duration) -> f64 {
        self.of(real).as_secs_f64()
    }

    fn of(self, real: Duration) -> Duration {
        // Whole milliseconds: Prometheus knows nothing smaller.
        Duration::from_millis(u64::try_from(real.mul_f64(self.0).as_millis()).unwrap_or(u64::MAX))
    }
}

/// Minutes.
pub(crate) const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// Hours.
pub(crate) const fn hours(n: u64) -> Duration {
    minutes(60 * n)
}

/// A length of time in Prometheus' words, in the largest unit that divides it: `5m`, `90s`, `2500ms`.
pub(crate) fn text(length: Duration) -> String {
    let ms = length.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let fits = units
        .iter()
        .find(|(unit, _)| ms >= *unit && ms.is_multiple_of(*unit));
    let (unit, name) = fits.unwrap_or(&(1, "ms"));
    format!("{}{name}", ms / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_in_the_largest_unit_that_divides_it() {
        let written = [250, 2_500, 90_000, 300_000, 21_600_000, 0];
        let written = written.map(|ms| text(Duration::from_millis(ms)));
        assert_eq!(written, ["250ms", "2500ms", "90s", "5m", "6h", "0ms"]);
    }

    #[test]
    fn on_a_short_scale_nothing_is_shorter_than_scrapes_can_answer() {
        let ci = Scale::shorter(120);
        assert_eq!(
            [ci.range(hours(1)), ci.range(minutes(5))],
            ["30s", "2500ms"]
        );
        assert_eq!(
            [ci.range(minutes(1)), ci.pause(Duration::from_secs(15))],
            ["1s", "250ms"]
        );
        assert_eq!(Scale::REAL.range(minutes(5)), "5m");
        assert!((ci.seconds(minutes(2)) - 1.0).abs() < 1e-9);
    }
}
