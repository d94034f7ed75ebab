//! A process of ours that obeys on standard input: it says one line when it is there, and one for each command.
//!
//! It ends when its input ends, so it never outlives us, however we died; dropped, it is killed.

use super::ShopError;
use crate::priority::give_way;
use ::shop::{Answer, Command};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{self, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a process may take to answer, and to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// So many of its last lines on standard error are kept.
const LINES_KEPT: usize = 20;

/// One process; killed when dropped.
pub(super) struct Process {
    process: process::Child,
    input: Option<ChildStdin>,
    output: Receiver<String>,
    /// Ends with the last lines on standard error, when there are no more.
    errors: Option<JoinHandle<VecDeque<String>>>,
    /// Answers that did not come in time, and may still come.
    owed: usize,
}

/// What we say to each other is always JSON.
pub(super) fn json(said: &impl Serialize) -> String {
    serde_json::to_string(said).expect("a value without maps that have other keys than text")
}

impl Process {
    /// Starts `command`; what it has to say comes later.
    pub(super) fn spawn(command: &mut process::Command) -> Result<Self, ShopError> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let program = command.get_program().display();
                ShopError::ChildStart(format!("{program}: {error}"))
            })?;
        give_way(process.id());
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (output, stderr) = (output.expect("a pipe"), process.stderr.take());
        Ok(Self {
            process,
            input,
            output: lines(output),
            errors: Some(keep_errors(stderr.expect("a pipe"))),
            owed: 0,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The next line that it says; none when it has ended, or said nothing for so long.
    pub(super) fn heard(&self, patience: Duration) -> Result<String, RecvTimeoutError> {
        self.output.recv_timeout(patience)
    }

    pub(super) fn ask(&mut self, command: &Command) -> Result<Answer, ShopError> {
        self.ask_within(command, PATIENCE)
    }

    pub(super) fn ask_within(
        &mut self,
        command: &Command,
        patience: Duration,
    ) -> Result<Answer, ShopError> {
        let gone = |error: &dyn std::fmt::Display| ShopError::NoAnswer(error.to_string());
        let input = self.input.as_mut().expect("open until it is stopped");
        writeln!(input, "{}", json(command)).map_err(|error| gone(&error))?;
        self.owed += 1;
        let mut answer = String::new();
        while self.owed > 0 {
            answer = self.heard(patience).map_err(|error| gone(&error))?;
            self.owed -= 1;
        }
        serde_json::from_str(&answer).map_err(|error| gone(&error))
    }

    /// Tells it to end.
    pub(super) fn close(&mut self) {
        self.input = None;
    }

    /// Waits until it has ended, or `until`.
    pub(super) fn wait_closed(&self, until: Instant) {
        // What it may still say is of no interest; if it does not end, it is killed when dropped.
        while self
            .output
            .recv_timeout(until.saturating_duration_since(Instant::now()))
            .is_ok()
        {}
    }

    /// Ends it, and tells what it said on standard error.
    pub(super) fn last_words(mut self, patience: Duration) -> String {
        self.kill();
        let said = self.errors.take().and_then(|errors| errors.join().ok());
        let said = said.map(Vec::from).unwrap_or_default();
        if said.is_empty() {
            return format!("nothing was heard of it for {patience:?}");
        }
        said.join("\n")
    }

    pub(super) fn kill(&mut self) {
        // It may be dead already, which is what we want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines of `output`, read on a thread of their own; they end when it ends.
fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if said.send(line).is_err() {
                return;
            }
        }
    });
    heard
}

/// Passes on what a child says on standard error, and keeps the end of it.
fn keep_errors(stderr: impl std::io::Read + Send + 'static) -> JoinHandle<VecDeque<String>> {
    std::thread::spawn(move || {
        let mut kept = VecDeque::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("{line}");
            if kept.len() == LINES_KEPT {
                kept.pop_front();
            }
            kept.push_back(line);
        }
        kept
    })
}
