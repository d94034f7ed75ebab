//! Runs the program. One run is shared by all who only want to look at it, or to spoil a copy of it.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};
use tempfile::TempDir;

/// How often a run is tried on a machine that is busy with something else.
const TRIES: usize = 4;

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
    command
}

/// The program with these arguments.
pub fn crashcart(args: &[&str]) -> Said {
    command(args).output().expect("crashcart runs").into()
}

/// Runs, with recordings in `runs`, while no other test does: two cores are not enough for the generators of two.
pub fn run(runs: &Path, args: &[&str]) -> Said {
    run_or_again(runs, args, || ())
}

/// Like [`run`]; what a run has left that counted for nothing is put right by `before_again`.
fn run_or_again(runs: &Path, args: &[&str], before_again: impl Fn()) -> Said {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let all = [&["run", "--runs", path(runs)], args].concat();
    for _ in 1..TRIES {
        let said = crashcart(&all);
        // What the rest of the machine does is not what is tested.
        let is_slow = said.code == 114 && said.out.contains("because     V7 generator (");
        if !is_slow {
            return said;
        }
        before_again();
    }
    crashcart(&all)
}

/// A file of `n` orders of different sizes, one of them for nothing.
pub fn orders(dir: &Path, n: usize) -> String {
    let row = |k: usize| {
        let (quantity, amount) = (1 + k % 7, if k == 3 { 0 } else { 900 + 13 * (k % 50) });
        format!("1997-01-01,{k:05},{quantity},{amount}\n")
    };
    let rows: String = (0..n).map(row).collect();
    let file = dir.join("orders.csv");
    fs::write(
        &file,
        format!("date,customer,quantity,amount_cents\n{rows}"),
    )
    .expect("orders");
    path(&file).to_owned()
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// A valid run of 60 orders: what it said, its data and its recordings.
pub struct Shared {
    dir: TempDir,
    /// What it said.
    pub said: Said,
}

/// The run that all share. Whoever changes anything takes a copy.
pub fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (file, data) = (orders(dir.path(), 60), dir.path().join("data"));
        let said = run_or_again(
            &dir.path().join("runs"),
            &[
                "--seed",
                "11",
                "-r",
                "25",
                "--orders",
                &file,
                "--stories",
                "none",
                "--faults",
                "none",
                "--threshold",
                "accept count>=60",
                "--data",
                path(&data),
            ],
            // What it ordered would be judged along with the next one's.
            || drop(fs::remove_dir_all(&data)),
        );
        said.expect(0, &["VALID"]);
        Shared { dir, said }
    })
}

impl Shared {
    /// Its recording.
    pub fn recording(&self) -> PathBuf {
        self.dir.path().join("runs/latest")
    }

    /// A copy of its recording.
    pub fn copy(&self) -> TempDir {
        copied(&self.recording())
    }

    /// A copy of its databases.
    pub fn data(&self) -> TempDir {
        copied(&self.dir.path().join("data"))
    }

    /// Its orders.
    pub fn orders(&self) -> PathBuf {
        self.dir.path().join("orders.csv")
    }
}

fn copied(from: &Path) -> TempDir {
    let to = tempfile::tempdir().expect("a temporary directory");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.path().join(entry.file_name())).expect("a copy");
    }
    to
}

/// The JSON in a file.
pub fn json(file: &Path) -> Value {
    let text = fs::read_to_string(file).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

/// Changes a JSON file.
pub fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = json(file);
    change(&mut value);
    fs::write(file, value.to_string()).expect("written");
}

/// Changes the lines of a file in a recording, and what the recording says of its size.
pub fn rewrite(recording: &Path, name: &str, change: impl FnOnce(&mut Vec<String>)) {
    let file = recording.join(name);
    let text = fs::read_to_string(&file).expect("a file");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    let text = lines.join("\n") + if lines.is_empty() { "" } else { "\n" };
    edit(&recording.join("files.json"), |files| {
        files["files"][name] = serde_json::json!({"lines": lines.len(), "bytes": text.len()});
    });
    fs::write(&file, text).expect("written");
}
