//! A service whose parent turns its dial: it says where it listens, then it does what it is told.
//!
//! One JSON object a line in both directions. It ends when its input ends, so it never outlives its parent, however
//! that died.

use super::Nodes;
use crate::command::{Answer, Command};
use crate::node::Node;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::net::SocketAddr;
use tokio::sync::mpsc;

/// Lines that wait to be obeyed; the parent waits for each answer, so there is never more than one.
const LINES_MAX: usize = 16;

/// Obeys until standard input ends; for ever when nobody is to be obeyed.
pub(super) async fn obey(nodes: &Nodes, obeys: bool) -> io::Result<()> {
    if !obeys {
        return std::future::pending().await;
    }
    let mut lines = lines();
    let addresses: BTreeMap<&str, SocketAddr> = nodes
        .iter()
        .map(|(name, node)| (*name, node.address()))
        .collect();
    tell(&addresses)?;
    while let Some(line) = lines.recv().await {
        tell(&match serde_json::from_str(&line) {
            Ok(command) => answer(nodes, command),
            Err(error) => Answer::Failed(error.to_string()),
        })?;
    }
    Ok(())
}

fn answer(nodes: &Nodes, command: Command) -> Answer {
    match command {
        Command::Fired => {
            let states = nodes.iter();
            let states = states.map(|(name, node)| ((*name).to_owned(), node.state()));
            Answer::Fired(states.collect())
        }
        Command::Faults { service, settings } => {
            let node = nodes.get(service.as_str());
            let turned = node.map(|node: &Node| node.turn(settings));
            match turned {
                Some(Ok(())) => Answer::Done,
                Some(Err(error)) => Answer::Failed(error.to_string()),
                None => Answer::Failed(format!("there is no service {service:?} in this process")),
            }
        }
        Command::Crash { .. } | Command::Restart { .. } => Answer::Failed(
            "a service crashes with its process: kill that, and start another".to_owned(),
        ),
    }
}

fn tell(said: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line)?;
    output.flush()
}

/// The lines of standard input, read on a thread of their own: nothing else can wait for them.
#[expect(
    clippy::disallowed_methods,
    reason = "standard input can only be waited for by a thread; it is no service's"
)]
fn lines() -> mpsc::Receiver<String> {
    let (said, heard) = mpsc::channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if said.blocking_send(line).is_err() {
                return;
            }
        }
    });
    heard
}
