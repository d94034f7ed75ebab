//! How much processor time processes took, as the system counts it: in hundredths of a second.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// The system counts in these.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process, without its children; none when there is no such process, or the system does
/// not tell.
pub fn of(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(ticks(&stat)?.0)
}

/// User and system time of a process and of all that it has started, living and dead; zero when the system does not
/// tell.
pub fn of_all_below(pid: u32) -> Duration {
    let stats: BTreeMap<u32, String> = processes()
        .filter_map(|pid| Some((pid, fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)))
        .collect();
    let mut family = vec![pid];
    let mut seen = 0;
    while let Some(parent) = family.get(seen).copied() {
        seen += 1;
        let children = stats
            .iter()
            .filter(|(_, stat)| parent_in(stat) == Some(parent));
        family.extend(children.map(|(pid, _)| *pid));
    }
    let spent = family.iter().filter_map(|pid| ticks(stats.get(pid)?));
    spent.map(|(own, dead)| own + dead).sum()
}

/// The process that listens on a port of this machine, the first of several; none when there is none, or we may not
/// see it.
pub fn listener(port: u16) -> Option<u32> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let inode = sockets
        .iter()
        .flatten()
        .find_map(|table| table.lines().find_map(|line| listening(line, port)))?;
    let socket = format!("socket:[{inode}]");
    processes().find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd"));
        let mut files = files.into_iter().flatten().flatten();
        files.any(|file| {
            fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == socket.as_str())
        })
    })
}

/// The socket behind a line of the table of connections, if it listens on `port`.
fn listening(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, _, state) = (fields.next()?, fields.next()?, fields.next()?);
    let its = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (its == port && state == "0A")
        .then(|| fields.nth(5))
        .flatten()
}

/// All processes, the oldest ids first.
fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut pids: Vec<u32> = pids.collect();
    pids.sort_unstable();
    pids.into_iter()
}

fn parent_in(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
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
        assert_eq!(parent_in(stat), Some(1));
    }

    #[test]
    fn whoever_listens_is_found_by_the_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(super::listener(port), Some(std::process::id()));
        drop(listener);
        assert_eq!(super::listener(port), None);
        assert!(of_all_below(std::process::id()) >= of(std::process::id()).unwrap());
    }
}
