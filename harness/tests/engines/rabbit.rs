//! A RabbitMQ node of our own.

use super::{a_killed_parent_leaves_nothing, dir_of_a_parent, is_alive, is_empty};
use harness::engines::{PrivateRabbit, can_start};
use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use std::time::Duration;
use tokio::time::timeout;

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
async fn get(channel: &Channel) -> Vec<u8> {
    let options = BasicGetOptions { no_ack: true };
    let got = channel.basic_get("kept".into(), options).await.unwrap();
    got.expect("a message").delivery.data
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

    let address = rabbit.address();
    rabbit.kill();
    assert!(rabbit.pids().is_empty());
    rabbit.start_again().unwrap();
    assert_eq!(rabbit.address(), address);
    let (_connection, channel) = connect(&rabbit).await;
    assert_eq!(get(&channel).await, b"7");
    publish(&channel).await;
    rabbit.stop();
    assert!(rabbit.close_connections().is_err());
    rabbit.start_again().unwrap();
    let (_connection, channel) = connect(&rabbit).await;
    assert_eq!(get(&channel).await, b"7");
    let options = QueueDeleteOptions::default();
    channel.queue_delete("kept".into(), options).await.unwrap();

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
