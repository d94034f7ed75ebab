//! What a message costs us on RabbitMQ. Measurements, not stories: they run when asked for, and print.
//!
//! `cargo test --release -p platform --test stories rates -- --ignored --nocapture`

use crate::kit::message;
use crate::rabbit_kit::shop;
use contract::{Message, MessageId};
use platform::broker::{Broker, Rabbit};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const MESSAGES: u64 = 20_000;
const WINDOW: u64 = 512;

/// A message of the usual size.
fn usual(n: u64) -> Message {
    let line = Uuid::from_u128(u128::from(n));
    Message {
        kind: "reservation.created".to_owned(),
        source: "products".to_owned(),
        cause: Some(MessageId(line)),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        data: format!("{{\"orderId\":\"{line}\",\"amountCents\":1250,\"version\":1}}"),
        ..message(n)
    }
}

/// Processor time of this process so far, user and system, in seconds.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields = stat.rsplit_once(')').expect("a name in parentheses").1;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.map(|n| n.parse::<f64>().expect("a number")).sum();
    ticks / 100.0
}

/// Says what `done` messages since `began` and `cpu` came to.
fn say(what: &str, done: u64, began: Instant, cpu: f64) {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let done = done as f64;
    let rate = done / began.elapsed().as_secs_f64();
    let cpu_us = (cpu_s() - cpu) * 1e6 / done;
    println!("{what:28} {rate:>8.0} messages/s, {cpu_us:>5.1} µs of our CPU a message");
}

#[tokio::test]
#[ignore = "a measurement"]
async fn what_publishing_and_consuming_costs() {
    let Some(shop) = shop("rates") else { return };
    let broker = Rabbit::new(shop.settings()).unwrap();
    broker.publish(&[usual(0)]).await.unwrap();
    for window in [1, 16, WINDOW] {
        let (began, cpu) = (Instant::now(), cpu_s());
        let all = if window == 1 { 1_000 } else { MESSAGES };
        for first in (1..=all).step_by(usize::try_from(window).unwrap()) {
            let batch: Vec<Message> = (first..first + window).map(usual).collect();
            broker.publish(&batch).await.unwrap();
        }
        say(&format!("publish, windows of {window}"), all, began, cpu);
    }
    // Somebody who is always there takes what comes; somebody who works between batches finds many.
    for (queue, works) in [("a", Duration::ZERO), ("b", Duration::from_millis(2))] {
        let mut deliveries = broker.subscribe(queue).await.unwrap();
        let (began, cpu, mut seen, mut batches) = (Instant::now(), cpu_s(), 0, 0);
        while seen < MESSAGES {
            let batch = deliveries.next(128).await.unwrap();
            if !works.is_zero() {
                tokio::time::sleep(works).await;
            }
            deliveries.ack(batch[batch.len() - 1].tag).await.unwrap();
            seen += batch.len() as u64;
            batches += 1;
        }
        let what = format!("consume, {} a batch", seen / batches);
        say(&what, seen, began, cpu);
    }
}
