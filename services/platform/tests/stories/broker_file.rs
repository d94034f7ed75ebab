//! What the embedded broker keeps when its process ends, at any moment, and begins again on the same file.

use crate::kit::{message, messages, number};
use platform::Clock;
use platform::broker::{Broker, Delivery, Depth, Embedded, EmbeddedSettings};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A file, and the broker that is opened on it again and again.
struct File {
    path: PathBuf,
    settings: EmbeddedSettings,
    _dir: TempDir,
}

impl File {
    fn new(queues: &[&'static str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            path: dir.path().join("broker.db"),
            settings: EmbeddedSettings::new(queues.to_vec()),
            _dir: dir,
        }
    }

    fn open(&self) -> Embedded {
        Embedded::open(&self.path, &self.settings, Clock::Os).unwrap()
    }
}

/// Returns when everything that the broker was told so far is in the file: an answer may overtake the group that
/// it belongs to, but the group after it cannot.
async fn written(broker: &Embedded, queue: &str) {
    for _ in 0..2 {
        broker.depth(queue).await.unwrap();
    }
}

/// Everything that `queue` has for a consumer.
async fn drain(broker: &Embedded, queue: &str) -> Vec<Delivery> {
    let mut deliveries = broker.subscribe(queue).await.unwrap();
    let mut drained = Vec::new();
    while broker.depth(queue).await.unwrap().ready > 0 {
        drained.extend(deliveries.next(1_000).await.unwrap());
    }
    drained
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    let number = |delivery: &Delivery| number(&delivery.message);
    deliveries.iter().map(number).collect()
}

#[tokio::test]
async fn what_was_confirmed_is_there_again_in_its_order() {
    let file = File::new(&["a", "b"]);
    for n in [1, 4, 7] {
        file.open().publish(&messages(n..=n + 2)).await.unwrap();
    }
    let broker = file.open();
    for queue in ["a", "b"] {
        let expected: Vec<u64> = (1..=9).collect();
        assert_eq!(numbers(&drain(&broker, queue).await), expected);
    }
}

#[tokio::test]
async fn what_was_not_acked_comes_back_and_says_that_it_may_be_a_repeat() {
    let file = File::new(&["a"]);
    let broker = file.open();
    broker.publish(&messages(1..=10)).await.unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let batch = deliveries.next(10).await.unwrap();
    deliveries.ack(batch[3].tag).await.unwrap();
    written(&broker, "a").await;
    drop((deliveries, broker));

    let broker = file.open();
    broker.publish(&messages(11..=12)).await.unwrap();
    let again = drain(&broker, "a").await;
    // An ack may be lost, so it begins somewhere in the first five; from there on nothing is missing.
    let first = number(&again[0].message);
    assert!(first <= 5, "{first}");
    assert_eq!(numbers(&again), (first..=12).collect::<Vec<_>>());
    let old = again.iter().filter(|one| number(&one.message) <= 10);
    assert!(old.into_iter().all(|one| one.redelivered));
    let new = again.iter().filter(|one| number(&one.message) > 10);
    assert!(new.into_iter().all(|one| !one.redelivered));
}

#[tokio::test]
async fn when_everything_was_acked_nothing_comes_back() {
    let file = File::new(&["a", "b"]);
    let broker = file.open();
    broker.publish(&messages(1..=10)).await.unwrap();
    for queue in ["a", "b"] {
        let mut deliveries = broker.subscribe(queue).await.unwrap();
        let batch = deliveries.next(10).await.unwrap();
        deliveries.ack(batch[9].tag).await.unwrap();
    }
    written(&broker, "a").await;
    drop(broker);
    let broker = file.open();
    for queue in ["a", "b"] {
        assert_eq!(broker.depth(queue).await.unwrap(), Depth::default());
    }
    broker.publish(&messages(11..=11)).await.unwrap();
    assert_eq!(numbers(&drain(&broker, "a").await), [11]);
}

#[tokio::test]
async fn what_was_put_aside_stays_aside_although_an_earlier_message_was_not_done() {
    let file = File::new(&["a"]);
    let broker = file.open();
    broker.publish(&messages(1..=5)).await.unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let batch = deliveries.next(5).await.unwrap();
    let hour = Duration::from_secs(3_600);
    deliveries.bury(batch[1].tag, "bad").await.unwrap();
    deliveries
        .retry(batch[3].tag, hour, "not yet")
        .await
        .unwrap();
    written(&broker, "a").await;
    drop((deliveries, broker));

    let broker = file.open();
    let expected = Depth {
        ready: 3,
        unacked: 0,
        retrying: 1,
        dead: 1,
    };
    assert_eq!(broker.depth("a").await.unwrap(), expected);
    // One by one, so that the mark passes what was put aside before the next message is asked for.
    let mut deliveries = broker.subscribe("a").await.unwrap();
    for expected in [1, 3, 5] {
        let one = deliveries.next(1).await.unwrap();
        assert_eq!(numbers(&one), [expected]);
        deliveries.ack(one[0].tag).await.unwrap();
    }
    let expected = Depth {
        ready: 0,
        ..expected
    };
    assert_eq!(broker.depth("a").await.unwrap(), expected);
}

#[tokio::test]
async fn the_dead_are_still_dead_with_their_reason_and_a_decision_lasts() {
    let file = File::new(&["a"]);
    let broker = file.open();
    broker.publish(&messages(1..=3)).await.unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let batch = deliveries.next(3).await.unwrap();
    for one in &batch {
        deliveries.bury(one.tag, "bad").await.unwrap();
    }
    written(&broker, "a").await;
    let before = broker.dead_letters("a", None, 10).await.unwrap();
    drop((deliveries, broker));

    let broker = file.open();
    let dead = broker.dead_letters("a", None, 10).await.unwrap();
    for (letter, was) in dead.iter().zip(&before) {
        assert_eq!(letter.message(), was.message());
        assert_eq!((letter.reason.as_str(), letter.attempts), ("bad", 0));
        assert_eq!(letter.at_us, was.at_us);
    }
    assert_eq!(dead.len(), 3);
    assert!(broker.replay("a", message(1).id).await.unwrap());
    assert!(broker.discard("a", message(2).id).await.unwrap());
    written(&broker, "a").await;
    drop(broker);

    let broker = file.open();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    assert_eq!(numbers(&deliveries.next(10).await.unwrap()), [1]);
    let dead = broker.dead_letters("a", None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].message(), Some(&message(3)));
}

#[tokio::test]
async fn the_tap_goes_on_where_its_reader_was() {
    let file = File::new(&["a"]);
    let broker = file.open();
    broker.publish(&messages(1..=5)).await.unwrap();
    let after = broker.tap(0, 3).await.unwrap()[2].seq;
    drop(broker);
    let broker = file.open();
    broker.publish(&messages(6..=7)).await.unwrap();
    let tapped = broker.tap(after, 100).await.unwrap();
    let seqs: Vec<i64> = tapped.iter().map(|tapped| tapped.seq).collect();
    assert_eq!(seqs, (after + 1..=after + 4).collect::<Vec<_>>());
    assert_eq!(tapped[0].json, message(4).to_json().unwrap());
}

#[tokio::test]
async fn a_queue_that_is_forty_thousand_messages_behind_gets_all_of_them() {
    let file = File::new(&["a", "b"]);
    let broker = file.open();
    for n in (1..=40_000).step_by(1_000) {
        broker.publish(&messages(n..=n + 999)).await.unwrap();
    }
    let all: Vec<u64> = (1..=40_000).collect();
    assert_eq!(numbers(&drain(&broker, "a").await), all);
    // After reopening there is nothing in memory at all.
    drop(broker);
    assert_eq!(numbers(&drain(&file.open(), "b").await), all);
}

#[tokio::test]
async fn a_queue_that_is_added_later_hears_what_is_published_from_then_on() {
    let mut file = File::new(&["a"]);
    file.open().publish(&messages(1..=3)).await.unwrap();
    file.settings.queues.push("b");
    let broker = file.open();
    broker.publish(&messages(4..=5)).await.unwrap();
    assert_eq!(numbers(&drain(&broker, "a").await), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&drain(&broker, "b").await), [4, 5]);
}

#[tokio::test]
async fn nothing_is_trimmed_that_the_file_does_not_know_to_be_done() {
    let mut file = File::new(&["a"]);
    file.settings.tap_max = 0;
    let broker = file.open();
    broker.publish(&messages(1..=6_000)).await.unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let batch = deliveries.next(5_000).await.unwrap();
    deliveries.ack(batch[4_999].tag).await.unwrap();
    written(&broker, "a").await;
    drop((deliveries, broker));

    let again = numbers(&drain(&file.open(), "a").await);
    assert!(again[0] <= 5_001, "{}", again[0]);
    assert_eq!(again, (again[0]..=6_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_every_queue_is_done_with_is_trimmed_behind_the_tap() {
    let mut file = File::new(&["a"]);
    file.settings.tap_max = 10;
    let broker = file.open();
    broker.publish(&messages(1..=6_000)).await.unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let batch = deliveries.next(6_000).await.unwrap();
    deliveries.bury(batch[0].tag, "bad").await.unwrap();
    deliveries.ack(batch[5_999].tag).await.unwrap();
    written(&broker, "a").await;
    let tapped = broker.tap(0, 100).await.unwrap();
    assert_eq!(tapped.len(), 11, "the dead one and the tap's share");
    drop((deliveries, broker));
    let dead = file.open().dead_letters("a", None, 10).await.unwrap();
    assert_eq!(dead[0].message(), Some(&message(1)));
}

#[tokio::test]
async fn what_could_not_be_written_is_written_with_what_comes_next() {
    let file = File::new(&["a"]);
    let broker = file.open();
    broker.publish(&messages(1..=2)).await.unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let batch = deliveries.next(2).await.unwrap();
    let vandal = rusqlite::Connection::open(&file.path).unwrap();
    let vandalize = |sql| vandal.execute_batch(sql).unwrap();
    vandalize("alter table exceptions rename to elsewhere");
    deliveries.bury(batch[0].tag, "bad").await.unwrap();
    deliveries.ack(batch[1].tag).await.unwrap();
    written(&broker, "a").await;
    let refused = broker.publish(&messages(3..=3)).await;
    assert!(refused.is_err(), "nothing is confirmed that is not written");
    vandalize("alter table elsewhere rename to exceptions");
    broker.publish(&messages(4..=4)).await.unwrap();
    drop((deliveries, broker));

    let broker = file.open();
    let dead = broker.dead_letters("a", None, 10).await.unwrap();
    assert_eq!(dead.len(), 1, "a message must not fall out of both queues");
    assert_eq!(numbers(&drain(&broker, "a").await), [4]);
}

#[tokio::test]
async fn what_is_no_message_is_given_up_and_the_others_pass() {
    let file = File::new(&["a"]);
    file.open().publish(&messages(1..=5)).await.unwrap();
    let vandal = rusqlite::Connection::open(&file.path).unwrap();
    vandal
        .execute_batch(
            "update messages set body = 'gibberish' where seq = 1;
             update messages set body = '{\"specversion\":\"1.0\"}' where seq = 4;",
        )
        .unwrap();
    let broker = file.open();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let first = deliveries.next(1).await.unwrap();
    let rest = deliveries.next(10).await.unwrap();
    assert_eq!((numbers(&first), numbers(&rest)), (vec![2], vec![3, 5]));
    deliveries.ack(rest[1].tag).await.unwrap();
    written(&broker, "a").await;
    drop((deliveries, broker));

    let broker = file.open();
    assert_eq!(broker.depth("a").await.unwrap().dead, 2);
    let dead = broker.dead_letters("a", None, 10).await.unwrap();
    assert!(dead.iter().all(|letter| letter.message().is_none()));
    let reasons = dead.iter().map(|letter| letter.reason.as_str());
    assert!(
        reasons
            .clone()
            .all(|reason| reason.starts_with("not a CloudEvents message"))
    );
    // Given all its chances again it has none.
    assert!(broker.replay("a", dead[0].id).await.unwrap());
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(1), deliveries.next(1));
    assert!(waiting.await.is_err(), "there is nothing to deliver");
    assert_eq!(broker.depth("a").await.unwrap().dead, 2);
    assert!(broker.discard("a", dead[0].id).await.unwrap());
    assert!(broker.discard("a", dead[1].id).await.unwrap());
    assert_eq!(broker.depth("a").await.unwrap(), Depth::default());
}
