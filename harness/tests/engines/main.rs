//! Servers of our own: they start, break, come back with what was promised, and leave nothing behind.

mod postgres;
mod rabbit;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long something may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process is there, and not only its exit code.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| !state.starts_with('Z'))
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

/// Runs the ignored test `parent` of this program in a process of its own, which starts a server in the folder that
/// the environment names, and says which processes it has. Kills it as soon as it has said so.
fn a_killed_parent_leaves_nothing(parent: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([parent, "--exact", "--ignored", "--nocapture"])
        .env("ENGINES_TEST_DIR", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("pids:")?.1.to_owned()));
    let said = said.expect("the pids of the server");
    let pids: Vec<u32> = said
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert!(pids.len() > 1 && pids.iter().all(|pid| is_alive(*pid)));
    child.kill().unwrap();
    child.wait().unwrap();
    until("the server has gone", || {
        !pids.iter().any(|pid| is_alive(*pid))
    });
    until("its directory has gone", || is_empty(dir.path()));
}

/// The folder for the server of a parent that will be killed; none when nobody asked for it.
fn dir_of_a_parent() -> Option<PathBuf> {
    std::env::var_os("ENGINES_TEST_DIR").map(PathBuf::from)
}

/// Says which processes a server has, and waits to be killed.
fn wait_to_be_killed(pids: &[u32]) {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    println!("pids: {}", pids.join(" "));
    std::thread::sleep(PATIENCE);
}
