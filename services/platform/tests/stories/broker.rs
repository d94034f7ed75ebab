//! What a broker promises to its consumers, told in memory, on a file, and on RabbitMQ.

use crate::kit::{message, messages, number};
use crate::rabbit_kit::{Shop, shop};
use platform::Clock;
use platform::broker::{Broker, BrokerError, Deliveries, Delivery, Depth};
use platform::broker::{Embedded, EmbeddedSettings, Rabbit};
use std::collections::BTreeSet;
use std::time::Duration;
use tempfile::TempDir;

/// A broker with the queues `a` and `b`, and what has to outlive it.
struct Engine {
    broker: Box<dyn Broker>,
    clock: Clock,
    _dir: Option<TempDir>,
    _shop: Option<Shop>,
}

fn settings() -> EmbeddedSettings {
    EmbeddedSettings::new(vec!["a", "b"])
}

fn in_memory() -> Engine {
    let clock = Clock::Virtual {
        start: tokio::time::Instant::now(),
        epoch_us: 0,
    };
    Engine {
        broker: Box::new(Embedded::in_memory(&settings(), clock).unwrap()),
        clock,
        _dir: None,
        _shop: None,
    }
}

fn in_file() -> Engine {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("broker.db");
    Engine {
        broker: Box::new(Embedded::open(&file, &settings(), Clock::Os).unwrap()),
        clock: Clock::Os,
        _dir: Some(dir),
        _shop: None,
    }
}

fn on_rabbitmq(story: &str) -> Option<Engine> {
    let shop = shop(story)?;
    Some(Engine {
        broker: Box::new(Rabbit::new(shop.settings()).unwrap()),
        clock: Clock::Os,
        _dir: None,
        _shop: Some(shop),
    })
}

/// Tells the stories on the embedded engines.
macro_rules! on_embedded_engines {
    ($memory:ident, $file:ident: $($story:ident)*) => {
        mod $memory { $(
            #[tokio::test(start_paused = true)]
            async fn $story() { super::$story(super::in_memory()).await; }
        )* }
        mod $file { $(
            #[tokio::test]
            async fn $story() { super::$story(super::in_file()).await; }
        )* }
    };
}

/// Tells the stories on all engines.
macro_rules! on_all_engines {
    ($($story:ident)*) => {
        on_embedded_engines! { on_a_broker_in_memory, on_a_broker_in_a_file: $($story)* }
        mod on_rabbitmq { $(
            #[tokio::test]
            async fn $story() {
                let Some(engine) = super::on_rabbitmq(stringify!($story)) else { return };
                super::$story(engine).await;
            }
        )* }
    };
}

on_all_engines! {
    every_queue_gets_every_message_in_order
    a_consumer_that_waits_is_woken
    what_a_consumer_leaves_unacked_goes_to_the_next_one
    what_was_put_off_before_goes_to_the_next_one_too
    what_is_put_off_outlives_its_consumer
    a_message_put_off_comes_back_after_its_pause_and_to_its_queue_only
    a_message_given_up_waits_for_a_decision
    a_queue_that_is_not_there_is_an_error
}

// RabbitMQ sends ahead, and has no tap to be read twice.
on_embedded_engines! { more_in_memory, more_in_a_file:
    what_was_never_handed_over_is_not_redelivered
    two_consumers_share_a_queue
    the_tap_resumes_after_any_place
}

async fn publish(broker: &dyn Broker, range: std::ops::RangeInclusive<u64>) {
    broker.publish(&messages(range)).await.unwrap();
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    let number = |delivery: &Delivery| number(&delivery.message);
    deliveries.iter().map(number).collect()
}

async fn depth(broker: &dyn Broker, queue: &str) -> [usize; 4] {
    let Depth {
        ready,
        unacked,
        retrying,
        dead,
    } = broker.depth(queue).await.unwrap();
    [ready, unacked, retrying, dead]
}

/// What there is for a consumer. A message that is lost is a story that fails, not one without an end.
async fn next(deliveries: &mut Box<dyn Deliveries>) -> Vec<Delivery> {
    take(deliveries, 1).await
}

/// The first `n` messages for a consumer.
async fn take_only(deliveries: &mut Box<dyn Deliveries>, n: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < n {
        taken.extend(deliveries.next(n - taken.len()).await.unwrap());
    }
    taken
}

/// At least `n` messages for a consumer.
async fn take(deliveries: &mut Box<dyn Deliveries>, n: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < n {
        let minute = Duration::from_secs(60);
        let batch = tokio::time::timeout(minute, deliveries.next(100)).await;
        taken.extend(batch.expect("there is something to deliver").unwrap());
    }
    taken
}

async fn every_queue_gets_every_message_in_order(Engine { broker, .. }: Engine) {
    for n in [1, 4, 7] {
        publish(&*broker, n..=n + 2).await;
    }
    for queue in ["a", "b"] {
        let mut deliveries = broker.subscribe(queue).await.unwrap();
        let [ready, unacked, ..] = depth(&*broker, queue).await;
        assert!(ready + unacked >= 9);
        let first = take_only(&mut deliveries, 4).await;
        assert_eq!(numbers(&first), [1, 2, 3, 4]);
        assert_eq!(*first[0].message, message(1));
        assert!(
            first
                .iter()
                .all(|one| !one.redelivered && one.attempts == 0)
        );
        let rest = take(&mut deliveries, 5).await;
        assert_eq!(numbers(&rest), [5, 6, 7, 8, 9]);
        assert_eq!(depth(&*broker, queue).await, [0, 9, 0, 0]);
        deliveries.ack(rest[4].tag).await.unwrap();
        assert_eq!(depth(&*broker, queue).await, [0, 0, 0, 0]);
    }
}

async fn a_consumer_that_waits_is_woken(Engine { broker, .. }: Engine) {
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let (woken, ()) = tokio::join!(take(&mut deliveries, 3), publish(&*broker, 1..=3));
    assert_eq!(numbers(&woken), [1, 2, 3]);
}

async fn what_a_consumer_leaves_unacked_goes_to_the_next_one(Engine { broker, .. }: Engine) {
    publish(&*broker, 1..=6).await;
    let mut dies = broker.subscribe("a").await.unwrap();
    let had = take_only(&mut dies, 4).await;
    dies.ack(had[1].tag).await.unwrap();
    drop(dies);
    let mut takes_over = broker.subscribe("a").await.unwrap();
    let has = take(&mut takes_over, 4).await;
    assert_eq!(numbers(&has), [3, 4, 5, 6]);
    assert!(has[0].redelivered && has[1].redelivered);
}

async fn what_was_never_handed_over_is_not_redelivered(Engine { broker, .. }: Engine) {
    publish(&*broker, 1..=3).await;
    let mut dies = broker.subscribe("a").await.unwrap();
    assert_eq!(numbers(&dies.next(2).await.unwrap()), [1, 2]);
    drop(dies);
    let mut takes_over = broker.subscribe("a").await.unwrap();
    let has = next(&mut takes_over).await;
    let redelivered: Vec<bool> = has.iter().map(|one| one.redelivered).collect();
    assert_eq!(redelivered, [true, true, false]);
}

async fn what_was_put_off_before_goes_to_the_next_one_too(Engine { broker, .. }: Engine) {
    publish(&*broker, 1..=1).await;
    let mut dies = broker.subscribe("a").await.unwrap();
    let had = next(&mut dies).await;
    let put_off = dies.retry(had[0].tag, Duration::ZERO, "not yet");
    put_off.await.unwrap();
    assert_eq!(next(&mut dies).await[0].attempts, 1);
    drop(dies);
    let mut takes_over = broker.subscribe("a").await.unwrap();
    let has = next(&mut takes_over).await;
    assert_eq!((numbers(&has), has[0].attempts), (vec![1], 1));
    let put_off = takes_over.retry(has[0].tag, Duration::ZERO, "not yet");
    put_off.await.unwrap();
    let has = next(&mut takes_over).await;
    assert_eq!((numbers(&has), has[0].attempts), (vec![1], 2));
    takes_over.ack(has[0].tag).await.unwrap();
    assert_eq!(depth(&*broker, "a").await, [0, 0, 0, 0]);
}

async fn what_is_put_off_outlives_its_consumer(Engine { broker, clock, .. }: Engine) {
    publish(&*broker, 1..=3).await;
    let mut dies = broker.subscribe("a").await.unwrap();
    let had = take(&mut dies, 3).await;
    let began_us = clock.now_us();
    for (one, ms) in had[..2].iter().zip([200, 1]) {
        let put_off = dies.retry(one.tag, Duration::from_millis(ms), "not yet");
        put_off.await.unwrap();
    }
    dies.ack(had[2].tag).await.unwrap();
    drop(dies);
    let mut takes_over = broker.subscribe("a").await.unwrap();
    let has = take(&mut takes_over, 2).await;
    assert!(clock.now_us() - began_us >= 200_000);
    assert_eq!(BTreeSet::from_iter(numbers(&has)), BTreeSet::from([1, 2]));
    assert!(has.iter().all(|one| one.attempts == 1 && one.redelivered));
    takes_over.ack(has[1].tag).await.unwrap();
    assert_eq!(depth(&*broker, "a").await, [0, 0, 0, 0]);
}

async fn two_consumers_share_a_queue(Engine { broker, .. }: Engine) {
    publish(&*broker, 1..=6).await;
    let mut one = broker.subscribe("a").await.unwrap();
    let mut other = broker.subscribe("a").await.unwrap();
    let first = one.next(3).await.unwrap();
    let second = other.next(3).await.unwrap();
    assert_eq!(
        (numbers(&first), numbers(&second)),
        (vec![1, 2, 3], vec![4, 5, 6])
    );
    // An ack is for the messages of the one who gives it, whatever the numbers of the others.
    other.ack(second[2].tag).await.unwrap();
    assert_eq!(depth(&*broker, "a").await, [0, 3, 0, 0]);
    drop(one);
    assert_eq!(numbers(&next(&mut other).await), [1, 2, 3]);
}

async fn a_message_put_off_comes_back_after_its_pause_and_to_its_queue_only(
    Engine { broker, clock, .. }: Engine,
) {
    let pause = Duration::from_millis(3);
    publish(&*broker, 1..=3).await;
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let batch = take(&mut deliveries, 3).await;
    let began_us = clock.now_us();
    deliveries
        .retry(batch[1].tag, pause, "not yet")
        .await
        .unwrap();
    deliveries.ack(batch[2].tag).await.unwrap();
    let [ready, unacked, retrying, dead] = depth(&*broker, "a").await;
    // RabbitMQ may count it twice while it moves.
    assert!(ready + unacked + retrying >= 1 && dead == 0);
    for attempts in 1..=3 {
        let again = next(&mut deliveries).await;
        assert_eq!(numbers(&again), [2]);
        assert_eq!((again[0].attempts, again[0].redelivered), (attempts, true));
        let waited_us = clock.now_us() - began_us;
        assert!(waited_us >= i64::from(attempts) * 3_000, "{waited_us} µs");
        let put_off = deliveries.retry(again[0].tag, pause, "not yet");
        put_off.await.unwrap();
    }
    let again = next(&mut deliveries).await;
    deliveries.ack(again[0].tag).await.unwrap();
    assert_eq!(depth(&*broker, "a").await, [0, 0, 0, 0]);
    assert_eq!(depth(&*broker, "b").await, [3, 0, 0, 0]);
}

async fn a_message_given_up_waits_for_a_decision(Engine { broker, clock, .. }: Engine) {
    publish(&*broker, 1..=3).await;
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let batch = take(&mut deliveries, 3).await;
    let put_off = deliveries.retry(batch[0].tag, Duration::ZERO, "not yet");
    put_off.await.unwrap();
    let again = next(&mut deliveries).await;
    deliveries.bury(again[0].tag, "bad").await.unwrap();
    deliveries.bury(batch[2].tag, "worse").await.unwrap();
    deliveries.ack(batch[2].tag).await.unwrap();
    assert_eq!(depth(&*broker, "a").await, [0, 0, 0, 2]);
    let (one, three) = (message(1), message(3));
    let dead = broker.dead_letters("a", None, 10).await.unwrap();
    let reasons: Vec<&str> = dead.iter().map(|letter| letter.reason.as_str()).collect();
    assert_eq!(reasons, ["bad", "worse"]);
    assert_eq!((dead[0].message(), dead[0].attempts), (Some(&one), 1));
    assert!(dead[0].at_us <= clock.now_us());
    let second = broker.dead_letters("a", Some(one.id), 1).await.unwrap();
    assert_eq!(second[0].message(), Some(&three));
    assert!(broker.dead_letters("b", None, 10).await.unwrap().is_empty());

    assert!(broker.replay("a", one.id).await.unwrap());
    assert!(!broker.replay("a", one.id).await.unwrap(), "dead no more");
    let again = next(&mut deliveries).await;
    assert_eq!((numbers(&again), again[0].attempts), (vec![1], 0));
    deliveries.ack(again[0].tag).await.unwrap();
    assert!(broker.discard("a", three.id).await.unwrap());
    assert!(!broker.discard("a", three.id).await.unwrap(), "it is gone");
    assert_eq!(depth(&*broker, "a").await, [0, 0, 0, 0]);
}

async fn the_tap_resumes_after_any_place(Engine { broker, .. }: Engine) {
    publish(&*broker, 1..=5).await;
    publish(&*broker, 6..=8).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let tapped = broker.tap(after, 3).await.unwrap();
        let Some(last) = tapped.last() else { break };
        assert!(tapped[0].seq > after && tapped.len() <= 3);
        after = last.seq;
        let parsed = |json: &str| contract::Message::from_json(json).unwrap();
        seen.extend(tapped.iter().map(|tapped| parsed(&tapped.json)));
    }
    assert_eq!(seen, messages(1..=8));
    publish(&*broker, 9..=9).await;
    assert_eq!(broker.tap(after, 3).await.unwrap().len(), 1);
    assert!(broker.tap(i64::MAX, 3).await.unwrap().is_empty());
}

async fn a_queue_that_is_not_there_is_an_error(Engine { broker, .. }: Engine) {
    let no_queue = |error: BrokerError| matches!(error, BrokerError::NoQueue(name) if name == "c");
    assert!(broker.subscribe("c").await.is_err_and(no_queue));
    assert!(broker.depth("c").await.is_err_and(no_queue));
    let id = message(1).id;
    assert!(broker.replay("c", id).await.is_err_and(no_queue));
}
