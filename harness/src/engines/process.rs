//! One server process with all its descendants: signals, and waiting with a bound.

use super::EngineError;
use crate::priority::give_way;
use crate::target::cpu;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Between two looks at whether something has happened.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// A server that was started; killed when dropped.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn spawn(command: &mut Command) -> Result<Self, EngineError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn();
        let child = child.map_err(EngineError::system(program))?;
        give_way(child.id());
        Ok(Self(child))
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        // What cannot be waited for is not there.
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Itself and its descendants, in the order of their birth as far as there is one.
    pub(super) fn pids(&self) -> Vec<u32> {
        tree(self.pid())
    }

    /// The processor time that all of it took so far.
    pub(super) fn cpu(&self) -> Duration {
        cpu::of_all_below(self.pid())
    }

    pub(super) fn signal(&self, how: Signal) {
        signal(self.pid(), how);
    }

    /// Stops all of it where it stands. A child that is born meanwhile is met by the second round.
    pub(super) fn pause(&self) {
        for _ in 0..2 {
            for pid in self.pids() {
                signal(pid, Signal::STOP);
            }
        }
    }

    /// Lets all of it go on.
    pub(super) fn resume(&self) {
        for pid in self.pids() {
            signal(pid, Signal::CONT);
        }
    }

    /// Sends a signal and waits for the end; kills it, and whoever it leaves, after `patience`.
    pub(super) fn end(mut self, how: Signal, patience: Duration) {
        let all = self.pids();
        self.signal(how);
        // One that was paused hears it only now.
        self.resume();
        let until = Instant::now() + patience;
        while !self.has_ended() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        if self.has_ended() {
            return;
        }
        for pid in all {
            signal(pid, Signal::KILL);
        }
    }

    /// Kills it and all its descendants.
    pub(super) fn kill(self) {
        for pid in self.pids() {
            signal(pid, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be dead already, which is what we want.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal to a process, if it is still there.
pub(crate) fn signal(pid: u32, how: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // Whoever is gone needs none.
        let _ = kill_process(pid, how);
    }
}

/// A process and its descendants that are alive.
fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|pid| pid.parse().ok());
        let stat = std::fs::read_to_string(entry.path().join("stat"));
        if let (Some(pid), Some(parent)) = (pid, stat.ok().as_deref().and_then(parent)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        found.extend(children.remove(&found[next]).unwrap_or_default());
        next += 1;
    }
    found
}

/// The parent in a line of `/proc/*/stat`; none for a process that has ended.
fn parent(stat: &str) -> Option<u32> {
    // The name before it may hold anything, brackets and blanks included.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    fields.next()?.parse().ok().filter(|_| state != "Z")
}
