//! A RabbitMQ node of our own.

use super::{PATIENCE, a_killed_parent_leaves_nothing, dir_of_a_parent, is_alive, is_empty};
use contract::{EventType, Message, MessageId};
use harness::engines::{PrivateRabbit, can_start};
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use platform::broker::{Broker, BrokerError, Queue, Rabbit, RabbitSettings};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use uuid::Uuid;

async fn connect(rabbit: &PrivateRabbit) -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&rabbit.url(), properties)
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn declare(channel: &Channel) {
    let mut arguments = FieldTable::default();
    let quorum = AMQPValue::LongString("quorum".into());
    arguments.insert("x-queue-type".into(), quorum);
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare("kept".into(), options, arguments)
        .await
        .unwrap();
}

async fn publish(channel: &Channel) {
    let confirms = ConfirmSelectOptions::default();
    channel.confirm_select(confirms).await.unwrap();
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish("".into(), "kept".into(), options, b"7", properties);
    assert!(published.await.unwrap().await.unwrap().is_ack());
}

/// The one message that was published.
///
/// A question that comes before the queue has a leader again is not answered for 65 seconds, and then with an error
/// (3.10.8): who asks must give up sooner, and ask again on another connection.
async fn get(rabbit: &PrivateRabbit) -> Vec<u8> {
    let until = Instant::now() + PATIENCE;
    loop {
        let (_connection, channel) = connect(rabbit).await;
        let asked = channel.basic_get("kept".into(), BasicGetOptions { no_ack: false });
        let patience = Duration::from_secs(2);
        if let Ok(Ok(Some(message))) = timeout(patience, asked).await {
            let delivery = message.delivery;
            delivery
                .acker
                .ack(BasicAckOptions::default())
                .await
                .unwrap();
            return delivery.data;
        }
        assert!(Instant::now() < until, "the message is lost");
    }
}

#[tokio::test]
async fn rabbit_closes_pauses_stops_dies_and_keeps_what_it_confirmed() {
    if !can_start("rabbit_closes_pauses_stops_dies_and_keeps_what_it_confirmed") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut looks = 0;
    let mut rabbit = PrivateRabbit::start_and_tell(dir.path(), &mut |_| looks += 1).unwrap();
    assert!(looks > 0);
    let (connection, channel) = connect(&rabbit).await;
    declare(&channel).await;
    publish(&channel).await;
    assert_eq!(rabbit.close_connections().unwrap(), 1);
    assert!(connection.create_channel().await.is_err());

    let (_connection, channel) = connect(&rabbit).await;
    rabbit.pause();
    let mut asked = Box::pin(channel.basic_get("kept".into(), BasicGetOptions { no_ack: false }));
    let patience = Duration::from_millis(100);
    assert!(timeout(patience, &mut asked).await.is_err());
    rabbit.resume();
    assert_eq!(asked.await.unwrap().expect("a message").delivery.data, b"7");

    // In this order: a node that is killed within seconds after a quorum queue was declared may have forgotten under
    // which name its data is on the disk (3.10.8), and then the queue is lost.
    let address = rabbit.address();
    rabbit.stop();
    assert!(rabbit.pids().is_empty());
    assert!(rabbit.close_connections().is_err());
    rabbit.start_again().unwrap();
    assert_eq!(rabbit.address(), address);
    assert_eq!(get(&rabbit).await, b"7");
    let (_connection, channel) = connect(&rabbit).await;
    publish(&channel).await;
    rabbit.kill();
    assert!(rabbit.pids().is_empty());
    rabbit.start_again().unwrap();
    assert_eq!(get(&rabbit).await, b"7");

    let pids = rabbit.pids();
    drop(rabbit);
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    assert!(is_empty(dir.path()));
}

#[test]
fn a_rabbit_whose_owner_is_killed_goes_as_well() {
    if can_start("a_rabbit_whose_owner_is_killed_goes_as_well") {
        a_killed_parent_leaves_nothing("rabbit::an_owner_of_a_rabbit");
    }
}

#[test]
#[ignore = "another test runs it, and kills it"]
fn an_owner_of_a_rabbit() {
    if let Some(dir) = dir_of_a_parent() {
        let rabbit = PrivateRabbit::start(&dir).unwrap();
        super::wait_to_be_killed(&rabbit.pids());
    }
}

/// Asks until the server is there.
async fn until_ok<T>(mut ask: impl AsyncFnMut() -> Result<T, BrokerError>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_put_off_survives_a_killed_server() {
    if !can_start("what_was_put_off_survives_a_killed_server") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut rabbit = PrivateRabbit::start(dir.path()).unwrap();
    let queues = vec![Queue {
        service: "products",
        hears: vec![EventType::ProductRestocked],
    }];
    let mut settings = RabbitSettings::new(rabbit.url(), "story", queues);
    settings.timeout = Duration::from_secs(2);
    let broker = Rabbit::new(settings).unwrap();
    // A killed node may have forgotten a new queue, as above.
    until_ok(async || broker.publish(&[]).await).await;
    rabbit.stop();
    rabbit.start_again().unwrap();
    let all: Vec<Message> = (1..=40).map(message).collect();
    until_ok(async || broker.publish(&all).await).await;
    let mut deliveries = until_ok(async || broker.subscribe("products").await).await;
    let mut put_off = 0;
    while put_off < 40 {
        // Some are due at once and on their way back, some while the server is down, some after.
        let batch = deliveries.next(40).await.unwrap();
        for one in batch.iter().filter(|one| one.attempts == 0) {
            let pause = Duration::from_millis(put_off * put_off * 4);
            let asked = deliveries.retry(one.tag, pause, "not yet");
            asked.await.unwrap();
            put_off += 1;
        }
    }
    rabbit.kill();
    while deliveries.next(100).await.is_ok() {}
    drop(deliveries);
    rabbit.start_again().unwrap();
    let mut deliveries = until_ok(async || broker.subscribe("products").await).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 40 {
        let batch = timeout(PATIENCE, deliveries.next(100)).await;
        let batch = batch.expect("none is lost").unwrap();
        // An ack that was lost brings a message back as it was before; that is not the one that was put off.
        let put_off = batch.iter().filter(|one| one.attempts == 1);
        seen.extend(put_off.map(|one| one.message.id));
        deliveries.ack(batch[batch.len() - 1].tag).await.unwrap();
    }
    let depth = until_ok(async || match broker.depth("products").await? {
        depth if depth.retrying > 0 => Err(BrokerError::Unavailable(format!("{depth:?}"))),
        depth => Ok(depth),
    });
    assert_eq!(depth.await.dead, 0);
}

fn message(n: u128) -> Message {
    Message {
        id: MessageId(Uuid::from_u128(n)),
        source: "story".to_owned(),
        kind: "product.restocked".to_owned(),
        subject: Uuid::from_u128(n),
        time_us: 1_767_225_600_000_000,
        cause: None,
        traceparent: None,
        tracestate: None,
        data: "{}".to_owned(),
    }
}
