//! How much processor time processes took, as the system counts it: in hundredths of a second.

use std::time::Duration;

/// The system counts in these.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process, without its children; none when there is no such process, or the system does
/// not tell.
pub fn of(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(ticks(&stat)?.0)
}

/// Its own time, and that of its children which have ended and were waited for.
fn ticks(stat: &str) -> Option<(Duration, Duration)> {
    // The name in the second field may contain anything, also brackets and spaces.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11).map(str::parse::<u32>);
    let mut next = || Some(TICK * fields.next()?.ok()?);
    let (user, system, children_user, children_system) = (next()?, next()?, next()?, next()?);
    Some((user + system, children_user + children_system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 100 0 0";
        let ms = Duration::from_millis;
        assert_eq!(ticks(stat), Some((ms(2_000), ms(500))));
    }
}
