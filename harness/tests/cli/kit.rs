//! Runs the program. One run is shared by all who only want to look at it, or to spoil a copy of it.

pub use crate::program::{Said, command, run};

use crate::program::run_or_again;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// The program with these arguments.
pub fn crashcart(args: &[&str]) -> Said {
    command(args).output().expect("crashcart runs").into()
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
