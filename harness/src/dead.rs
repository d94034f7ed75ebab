//! `crashcart dead-letters`: the messages that services gave up, and what becomes of them.
//!
//! It speaks HTTP with the services only, so it does not matter which broker they are on.

use clap::{Args, Subcommand};
use contract::MessageId;
use harness::client::{Call, Client, NDJSON};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

const HELP: &str = "\
Exit codes:
    0  done
  100  a service could not be asked, or something was not there; what could be done is done
  104  the flags cannot be used

Examples:
  crashcart dead-letters list
  crashcart dead-letters replay 019f5f2a-7c1e-8a52-9d0e-3c5d1f0b7a11
  crashcart dead-letters discard --all --yes -t http://127.0.0.1:9001";

/// The flags of `crashcart dead-letters`.
#[derive(Args)]
#[command(after_help = HELP)]
pub(crate) struct DeadArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show them, the oldest first
    List {
        #[command(flatten)]
        targets: Targets,
        /// One JSON object a line, with the whole message
        #[arg(long)]
        json: bool,
    },
    /// Give them back to their queue, with all their chances
    Replay {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        which: Which,
    },
    /// Remove them for good
    Discard {
        #[command(flatten)]
        targets: Targets,
        #[command(flatten)]
        which: Which,
        /// Yes, all of them, for good
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args)]
struct Targets {
    /// The services to ask; can be given several times, or with commas
    #[arg(short, long = "target", value_name = "URL", value_delimiter = ',', value_parser = target,
          default_value = "http://127.0.0.1:8001,http://127.0.0.1:8002,http://127.0.0.1:8003")]
    targets: Vec<SocketAddr>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The messages' ids, as `list` shows them; in every queue that has them
    #[arg(value_name = "ID")]
    ids: Vec<MessageId>,
    /// All that there are
    #[arg(long)]
    all: bool,
}

/// The address in a URL of a service.
fn target(text: &str) -> Result<SocketAddr, String> {
    let form = "must look like http://127.0.0.1:8001";
    let host = match text.split_once("://") {
        Some(("http", host)) => host.trim_end_matches('/'),
        Some(_) => return Err(format!("{form}; services speak plain HTTP")),
        None => text,
    };
    if host.contains('/') || !host.contains(':') {
        return Err(form.to_owned());
    }
    let mut found = host
        .to_socket_addrs()
        .map_err(|error| format!("{form}: {error}"))?;
    found.next().ok_or_else(|| format!("{form}: no such host"))
}

/// A dead letter as a service shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Letter {
    queue: String,
    id: MessageId,
    reason: String,
    attempts: u32,
    dead_at_us: i64,
    message: Box<RawValue>,
}

/// What people sort messages by; a body that is no message has none of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    #[serde(rename = "type")]
    kind: Option<String>,
    subject: Option<String>,
}

impl Letter {
    fn head(&self) -> Head {
        serde_json::from_str(self.message.get()).unwrap_or_default()
    }
}

/// A letter, its line of JSON, and who has it.
struct Found {
    letter: Letter,
    line: String,
    client: Client,
}

/// Lists, replays or discards.
pub(crate) fn dead_letters(args: &DeadArgs) -> ExitCode {
    if let What::Discard { which, yes, .. } = &args.what
        && which.all
        && !yes
    {
        eprintln!("crashcart: discarding all of them cannot be undone; add --yes to do it");
        return ExitCode::from(104);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("crashcart: {error}");
            return ExitCode::from(100);
        }
    };
    let all_done = runtime.block_on(async {
        match &args.what {
            What::List { targets, json } => list(targets, *json).await,
            What::Replay { targets, which } => settle(targets, which, &Method::POST).await,
            What::Discard { targets, which, .. } => settle(targets, which, &Method::DELETE).await,
        }
    });
    ExitCode::from(if all_done { 0 } else { 100 })
}

/// Whether all services could be asked.
async fn list(targets: &Targets, json: bool) -> bool {
    let (found, complete) = find(targets).await;
    if json {
        for Found { line, .. } in &found {
            say!("{line}");
        }
        return complete;
    }
    if found.is_empty() && complete {
        say!("There are no dead letters.");
    }
    if !found.is_empty() {
        print_table(&found);
    }
    complete
}

fn print_table(found: &[Found]) {
    let now_us = platform::Clock::Os.now_us();
    let mut rows =
        vec![["QUEUE", "ID", "TYPE", "ORDER", "ATTEMPTS", "AGE", "REASON"].map(str::to_owned)];
    for Found { letter, .. } in found {
        let Head { kind, subject } = letter.head();
        let nothing = || "-".to_owned();
        rows.push([
            letter.queue.clone(),
            letter.id.to_string(),
            kind.unwrap_or_else(nothing),
            subject.unwrap_or_else(nothing),
            letter.attempts.to_string(),
            age(now_us - letter.dead_at_us),
            // One line each, whatever is in it.
            letter
                .reason
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 7] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for row in &rows {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        say!("{}", line.join("  ").trim_end());
    }
}

/// A time as people say it.
fn age(us: i64) -> String {
    match us / 1_000_000 {
        s @ ..120 => format!("{}s", s.max(0)),
        s @ ..7_200 => format!("{}m", s / 60),
        s @ ..172_800 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}

/// Everything that the services gave up, the oldest first, and whether all of them answered.
async fn find(targets: &Targets) -> (Vec<Found>, bool) {
    // Replicas of one service show the same letters.
    let mut found = BTreeMap::new();
    let mut complete = true;
    for client in clients(targets) {
        match letters(&client.1).await {
            Ok(letters) => {
                for (letter, line) in letters {
                    let key = (letter.dead_at_us, letter.queue.clone(), letter.id);
                    let client = client.1.clone();
                    found.entry(key).or_insert(Found {
                        letter,
                        line,
                        client,
                    });
                }
            }
            Err(error) => {
                eprintln!("crashcart: http://{}: {error}", client.0);
                complete = false;
            }
        }
    }
    (found.into_values().collect(), complete)
}

fn clients(targets: &Targets) -> impl Iterator<Item = (SocketAddr, Client)> + '_ {
    let client = |address: &SocketAddr| (*address, Client::new(*address, Duration::from_secs(30)));
    targets.targets.iter().map(client)
}

async fn letters(client: &Client) -> anyhow::Result<Vec<(Letter, String)>> {
    let call = Call {
        accept: Some(NDJSON),
        ..Call::get("/api/v1/dead-letters")
    };
    let (status, body) = client.send(call).await?;
    anyhow::ensure!(status == StatusCode::OK, "{status}: {}", problem(&body));
    let lines = std::str::from_utf8(&body)?.lines();
    lines
        .map(|line| Ok((serde_json::from_str(line)?, line.to_owned())))
        .collect()
}

/// Whether all that was asked for is done. A message is in the queue of each service that gave it up, and in one queue
/// perhaps more than once: whoever names it means all of these.
async fn settle(targets: &Targets, which: &Which, method: &Method) -> bool {
    let (mut found, mut complete) = find(targets).await;
    if !which.all {
        found.retain(|one| which.ids.contains(&one.letter.id));
    }
    for Found { letter, client, .. } in &found {
        let outcome = settle_one(client, letter.id, method).await;
        complete &= report(&letter.queue, letter.id, method, outcome);
    }
    if which.all && found.is_empty() && complete {
        say!("There are no dead letters.");
    }
    let is_found = |id: &MessageId| found.iter().any(|one| one.letter.id == *id);
    for id in which.ids.iter().filter(|id| !is_found(id)) {
        eprintln!("crashcart: {id} is no dead letter of the services that answered");
        complete = false;
    }
    complete
}

fn report(queue: &str, id: MessageId, method: &Method, outcome: anyhow::Result<bool>) -> bool {
    let verb = if *method == Method::POST {
        "replayed"
    } else {
        "discarded"
    };
    match outcome {
        Ok(true) => {
            say!("{verb} {id} {queue}");
            true
        }
        Ok(false) => {
            eprintln!("crashcart: {id} is no dead letter of {queue} any more");
            false
        }
        Err(error) => {
            eprintln!("crashcart: {id} of {queue}: {error:#}");
            false
        }
    }
}

/// Whether the service had it.
async fn settle_one(client: &Client, id: MessageId, method: &Method) -> anyhow::Result<bool> {
    let path = if *method == Method::POST {
        format!("/api/v1/dead-letters/{id}/replay")
    } else {
        format!("/api/v1/dead-letters/{id}")
    };
    let call = Call {
        method: method.clone(),
        ..Call::get(&path)
    };
    let (status, body) = client.send(call).await?;
    match status {
        StatusCode::NO_CONTENT => Ok(true),
        StatusCode::NOT_FOUND => Ok(false),
        status => Err(anyhow::anyhow!("{status}: {}", problem(&body))),
    }
}

/// What a service says about a request that it did not carry out.
fn problem(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let detail = serde_json::from_slice::<Problem>(body).map(|problem| problem.detail);
    detail.unwrap_or_else(|_| String::from_utf8_lossy(body).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_url_of_a_service_or_says_how_to_write_one() {
        for text in [
            "http://127.0.0.1:8001",
            "http://127.0.0.1:8001/",
            "127.0.0.1:8001",
        ] {
            assert_eq!(target(text), Ok(([127, 0, 0, 1], 8001).into()), "{text}");
        }
        for text in [
            "",
            "8001",
            "https://127.0.0.1:8001",
            "http://127.0.0.1",
            "http://a:1/b",
        ] {
            let said = target(text).unwrap_err();
            assert!(said.contains("http://127.0.0.1:8001"), "{said}");
        }
    }

    #[test]
    fn an_age_has_one_unit() {
        let ages = [-5, 0, 119, 120, 7_199, 7_200, 172_800].map(|s| age(s * 1_000_000));
        assert_eq!(ages, ["0s", "0s", "119s", "2m", "119m", "2h", "2d"]);
    }
}
