//! Plays a script on a broker.
//!
//! `publish 1 2`; `a open` and `a close` a consumer of the queue `a`; `a next 2` takes messages until it has two;
//! `a ack` is done with what was taken; `a retry 1 20`, `a bury 2 why`, `a dead`, `a replay 2`, `a discard 2`, and
//! `a left`: how many messages the queue still has, and how many are given up. Whatever is left at the end is taken.

use contract::{Message, MessageId};
use platform::broker::{Broker, BrokerError, Deliveries, Delivery};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// A message that does not come in this time is lost.
const PATIENCE: Duration = Duration::from_secs(20);
/// Nothing more comes if nothing came in this time.
const QUIET: Duration = Duration::from_millis(5);

/// The consumer of one queue, and what it holds.
#[derive(Default)]
struct Consumer {
    deliveries: Option<Box<dyn Deliveries>>,
    taken: Vec<Delivery>,
    /// Messages that the queue has, whoever holds them.
    left: usize,
    dead: usize,
}

/// Plays `script`; the outcome of each line.
pub async fn play(broker: &dyn Broker, script: &[String]) -> Vec<String> {
    let mut queues: BTreeMap<&str, Consumer> = BTreeMap::new();
    for queue in ["a", "b"] {
        queues.insert(queue, Consumer::default());
    }
    let mut outcomes = Vec::with_capacity(script.len());
    for line in script {
        let words: Vec<&str> = line.split_whitespace().collect();
        let outcome = step(broker, &mut queues, &words).await;
        outcomes.push(outcome.unwrap_or_else(|error| kind(&error).to_owned()));
    }
    for (queue, mut consumer) in queues {
        clear(broker, queue, &mut consumer).await;
    }
    outcomes
}

async fn step<'a>(
    broker: &dyn Broker,
    queues: &mut BTreeMap<&'a str, Consumer>,
    words: &[&'a str],
) -> Result<String, BrokerError> {
    match words {
        ["publish", numbers @ ..] => {
            let batch: Vec<Message> = numbers.iter().map(|n| message(int(n))).collect();
            broker.publish(&batch).await?;
            for queue in queues.values_mut() {
                queue.left += batch.len();
            }
            Ok("ok".to_owned())
        }
        [queue, rest @ ..] => {
            if let Some(consumer) = queues.get_mut(queue) {
                return ask(broker, queue, consumer, rest).await;
            }
            broker.depth(queue).await?;
            Ok("there is one".to_owned())
        }
        [] => panic!("an empty line"),
    }
}

async fn ask(
    broker: &dyn Broker,
    queue: &str,
    consumer: &mut Consumer,
    words: &[&str],
) -> Result<String, BrokerError> {
    let done = Ok("ok".to_owned());
    match words {
        ["open"] => {
            consumer.deliveries = Some(broker.subscribe(queue).await?);
            done
        }
        ["close"] => {
            consumer.deliveries = None;
            consumer.taken.clear();
            done
        }
        ["next", n] => {
            let before = consumer.taken.len();
            take(consumer, int(n)).await?;
            Ok(show(&consumer.taken[before..]))
        }
        ["ack"] => {
            if let Some(last) = consumer.taken.iter().map(|delivery| delivery.tag).max() {
                opened(consumer).ack(last).await?;
            }
            consumer.left -= consumer.taken.len();
            consumer.taken.clear();
            done
        }
        ["retry", n, pause_ms] => {
            let tag = put_aside(consumer, int(n));
            let pause = Duration::from_millis(int(pause_ms));
            opened(consumer).retry(tag, pause, "not yet").await?;
            done
        }
        ["bury", n, why @ ..] => {
            let tag = put_aside(consumer, int(n));
            opened(consumer).bury(tag, &why.join(" ")).await?;
            (consumer.left, consumer.dead) = (consumer.left - 1, consumer.dead + 1);
            done
        }
        ["dead"] => dead(broker, queue, consumer).await,
        ["replay", n] => {
            let found = broker.replay(queue, id(int(n))).await?;
            consumer.left += usize::from(found);
            consumer.dead -= usize::from(found);
            Ok(found.to_string())
        }
        ["discard", n] => {
            let found = broker.discard(queue, id(int(n))).await?;
            consumer.dead -= usize::from(found);
            Ok(found.to_string())
        }
        ["left"] => left(broker, queue, consumer).await,
        other => panic!("what is {other:?}?"),
    }
}

/// Takes messages until there are `n` more.
async fn take(consumer: &mut Consumer, n: u64) -> Result<(), BrokerError> {
    let n = usize::try_from(n).expect("a small number");
    let mut more = Vec::new();
    while more.len() < n {
        let next = opened(consumer).next(n - more.len());
        let batch = tokio::time::timeout(PATIENCE, next).await;
        more.extend(batch.expect("there are so many")?);
    }
    consumer.taken.extend(more);
    Ok(())
}

/// What is given up. Some brokers need a moment until they show it.
async fn dead(
    broker: &dyn Broker,
    queue: &str,
    consumer: &Consumer,
) -> Result<String, BrokerError> {
    let mut letters = broker.dead_letters(queue, None, 100).await?;
    let due = tokio::time::Instant::now() + PATIENCE;
    while letters.len() != consumer.dead && tokio::time::Instant::now() < due {
        tokio::time::sleep(QUIET).await;
        letters = broker.dead_letters(queue, None, 100).await?;
    }
    let mut shown: Vec<String> = letters
        .iter()
        .map(|letter| {
            let n = letter.message().map_or(0, number);
            format!("{n} after {} for {:?}", letter.attempts, letter.reason)
        })
        .collect();
    shown.sort();
    Ok(shown.join(", "))
}

/// How many messages there are. Brokers count a little later than they move.
async fn left(
    broker: &dyn Broker,
    queue: &str,
    consumer: &Consumer,
) -> Result<String, BrokerError> {
    let due = tokio::time::Instant::now() + PATIENCE;
    loop {
        let depth = broker.depth(queue).await?;
        let counted = (depth.ready + depth.unacked + depth.retrying, depth.dead);
        let is_due = tokio::time::Instant::now() >= due;
        if counted == (consumer.left, consumer.dead) || is_due {
            return Ok(format!("{counted:?}"));
        }
        tokio::time::sleep(QUIET).await;
    }
}

/// Takes all that is left, so that the next script finds nothing.
async fn clear(broker: &dyn Broker, queue: &str, consumer: &mut Consumer) {
    let letters = broker.dead_letters(queue, None, 100).await.unwrap();
    for letter in letters {
        assert!(broker.discard(queue, letter.id).await.unwrap());
    }
    consumer.deliveries = None;
    if consumer.left == 0 {
        return;
    }
    consumer.taken.clear();
    consumer.deliveries = Some(broker.subscribe(queue).await.unwrap());
    take(consumer, consumer.left as u64).await.unwrap();
    let last = consumer.taken.iter().map(|delivery| delivery.tag).max();
    opened(consumer).ack(last.unwrap()).await.unwrap();
}

fn opened(consumer: &mut Consumer) -> &mut dyn Deliveries {
    &mut **consumer.deliveries.as_mut().expect("it was opened")
}

/// Takes the message `n` out of what was taken; its tag.
fn put_aside(consumer: &mut Consumer, n: u64) -> u64 {
    let at = consumer
        .taken
        .iter()
        .position(|delivery| number(&delivery.message) == n);
    consumer.taken.remove(at.expect("it was taken")).tag
}

fn show(taken: &[Delivery]) -> String {
    let mut shown: Vec<String> = taken
        .iter()
        .map(|delivery| format!("{} after {}", number(&delivery.message), delivery.attempts))
        .collect();
    shown.sort();
    shown.join(", ")
}

fn kind(error: &BrokerError) -> &'static str {
    match error {
        BrokerError::Unavailable(_) => "not there",
        BrokerError::Refused(_) => "refused",
        BrokerError::NoQueue(_) => "no such queue",
        BrokerError::NotOffered(_) => "not offered",
    }
}

fn id(n: u64) -> MessageId {
    MessageId(Uuid::from_u128(n.into()))
}

fn number(message: &Message) -> u64 {
    u64::try_from(message.id.0.as_u128()).expect("one of ours")
}

fn message(n: u64) -> Message {
    Message {
        id: id(n),
        source: "conformance".to_owned(),
        kind: "product.restocked".to_owned(),
        subject: Uuid::nil(),
        time_us: 1_767_225_600_000_000,
        cause: None,
        traceparent: None,
        tracestate: None,
        data: format!("{{\"n\":{n}}}"),
    }
}

fn int(word: &str) -> u64 {
    word.parse().expect("a number")
}
