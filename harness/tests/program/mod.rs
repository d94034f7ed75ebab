//! Runs the program, for every test that does: one run at a time, and again when the machine was too busy for it.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

/// How often a run is tried on a machine that is busy with something else.
pub const TRIES: usize = 4;

/// How a command ended.
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Both, for messages about a test that failed.
    pub fn all(&self) -> String {
        format!("exit code {}\n{}\n{}", self.code, self.out, self.err)
    }

    /// Ends the test if the exit code is another, or if any of `parts` was not said.
    #[track_caller]
    pub fn expect(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{}", self.all());
        for part in parts {
            let was_said = self.out.contains(part) || self.err.contains(part);
            assert!(was_said, "{part:?} was not said:\n{}", self.all());
        }
        self
    }

    /// Whether nothing was wrong but the generator's lateness: what the rest of the machine does is not what is tested.
    pub fn is_late(&self) -> bool {
        self.code == 114 && self.out.contains("because     V7 generator (")
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// The program with these arguments, not yet started.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crashcart"));
    command.args(args).env_remove("RUST_LOG");
    // Whoever runs tests does not want to see their traces.
    command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    command
}

/// `crashcart run` with recordings in `runs`, not yet started.
pub fn run_command(runs: &Path, args: &[&str]) -> Command {
    let runs = runs.to_str().expect("a path in UTF-8");
    command(&[&["run", "--runs", runs], args].concat())
}

/// Runs while no other test does: two cores are not enough for the generators of two. What a run has left that counted
/// for nothing is put right by `before_again`.
pub fn run_or_again(runs: &Path, args: &[&str], before_again: impl Fn()) -> Said {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let once = || Said::from(run_command(runs, args).output().expect("crashcart runs"));
    for _ in 1..TRIES {
        let said = once();
        if !said.is_late() {
            return said;
        }
        before_again();
    }
    once()
}

/// Like [`run_or_again`], for a run that leaves nothing behind.
pub fn run(runs: &Path, args: &[&str]) -> Said {
    run_or_again(runs, args, || ())
}
