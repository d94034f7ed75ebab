//! Messages that were put off on RabbitMQ: they are with a replica, and safe all the same.

use crate::kit::{messages, number, until_ok};
use crate::proxy::Proxy;
use crate::rabbit_kit::shop;
use platform::broker::{Broker, BrokerError, Deliveries, Depth, Rabbit};
use std::collections::BTreeSet;
use std::time::Duration;

/// Puts the messages off that a new consumer of `a` gets, each for as many milliseconds as `pauses_ms` say.
async fn put_off(broker: &Rabbit, pauses_ms: &[u64]) -> Box<dyn Deliveries> {
    let mut deliveries = broker.subscribe("a").await.unwrap();
    // Taken in one go, as the first to be put off come back as soon as somebody waits.
    until(broker, |depth| depth.unacked == pauses_ms.len()).await;
    let taken = deliveries.next(pauses_ms.len()).await.unwrap();
    assert_eq!(taken.len(), pauses_ms.len());
    for (one, ms) in taken.iter().zip(pauses_ms) {
        let pause = Duration::from_millis(*ms);
        let put_off = deliveries.retry(one.tag, pause, "not yet");
        put_off.await.unwrap();
    }
    deliveries
}

/// The numbers of the next `n` messages, each of which was put off once.
async fn take(deliveries: &mut Box<dyn Deliveries>, n: usize) -> Vec<u64> {
    let mut taken = Vec::new();
    while taken.len() < n {
        let batch = tokio::time::timeout(Duration::from_secs(60), deliveries.next(100)).await;
        let batch = batch.expect("there is something to deliver").unwrap();
        assert!(batch.iter().all(|one| one.attempts == 1 && one.redelivered));
        taken.extend(batch.iter().map(|one| number(&one.message)));
        deliveries.ack(batch[batch.len() - 1].tag).await.unwrap();
    }
    taken
}

/// Waits until `broker` counts the messages of `a` as they should be.
async fn until(broker: &Rabbit, is_so: impl Fn(&Depth) -> bool) {
    until_ok(async || match broker.depth("a").await? {
        depth if is_so(&depth) => Ok(()),
        depth => Err(BrokerError::Unavailable(format!("{depth:?}"))),
    })
    .await;
}

/// Waits until `broker` counts so many messages of `a` as put off, and none anywhere else.
async fn until_retrying(broker: &Rabbit, retrying: usize) {
    let expected = Depth {
        retrying,
        ..Depth::default()
    };
    until(broker, |depth| *depth == expected).await;
}

#[tokio::test]
async fn a_replica_takes_over_what_another_one_held() {
    let Some(shop) = shop("a replica takes over") else {
        return;
    };
    let rabbit = || Rabbit::new(shop.settings()).unwrap();
    let (broker, replica) = (rabbit(), rabbit());
    broker.publish(&messages(1..=3)).await.unwrap();
    let dies = put_off(&broker, &[400, 1, 200]).await;
    // All of them are with the one, and nothing is left for the other to see.
    until_retrying(&broker, 3).await;
    until_retrying(&replica, 0).await;
    // Dropped by a thread that knows nothing of runtimes, as everything of an aborted service may be.
    std::thread::scope(|scope| {
        scope.spawn(move || drop(dies));
    });
    until_retrying(&replica, 3).await;
    let mut takes_over = replica.subscribe("a").await.unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(take(&mut takes_over, 3).await, [2, 3, 1]);
    assert!(began.elapsed() > Duration::from_millis(200));
    until_retrying(&replica, 0).await;
    until_retrying(&broker, 0).await;
}

#[tokio::test]
async fn a_lost_connection_loses_nothing_that_was_put_off() {
    let Some(shop) = shop("put off, and a connection is cut") else {
        return;
    };
    let proxy = Proxy::start(&shop.settings().url).await;
    let mut settings = shop.settings();
    settings.url = proxy.url();
    let broker = Rabbit::new(settings).unwrap();
    broker.publish(&messages(1..=20)).await.unwrap();
    // The first are on their way back when it happens, the last are not due.
    let mut deliveries = put_off(&broker, &[1, 300].repeat(10)).await;
    let mut seen = BTreeSet::from_iter(take(&mut deliveries, 1).await);
    proxy.cut();
    while deliveries.next(100).await.is_ok() {}
    drop(deliveries);
    let mut deliveries = until_ok(async || broker.subscribe("a").await).await;
    while seen.len() < 20 {
        let batch = tokio::time::timeout(Duration::from_secs(60), deliveries.next(100)).await;
        let batch = batch.expect("none is lost").unwrap();
        // An ack that was lost brings a message back as it was before; that is not the one that was put off.
        let put_off = batch.iter().filter(|one| one.attempts == 1);
        seen.extend(put_off.map(|one| number(&one.message)));
        deliveries.ack(batch[batch.len() - 1].tag).await.unwrap();
    }
    assert_eq!(seen, (1..=20).collect());
}

#[tokio::test]
async fn more_can_be_put_off_than_a_replica_holds() {
    let Some(shop) = shop("much is put off") else {
        return;
    };
    let mut settings = shop.settings();
    settings.prefetch = 2_000;
    let broker = Rabbit::new(settings).unwrap();
    broker.publish(&messages(1..=1_050)).await.unwrap();
    let mut deliveries = put_off(&broker, &[1; 1_050]).await;
    until_retrying(&broker, 1_050).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 1_050 {
        let batch = deliveries.next(100).await.unwrap();
        seen.extend(batch.iter().map(|one| number(&one.message)));
        deliveries.ack(batch[batch.len() - 1].tag).await.unwrap();
    }
    until_retrying(&broker, 0).await;
}
