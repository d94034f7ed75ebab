//! What only RabbitMQ can do to a shop, and what the shop makes of it.

use crate::kit::{message, messages, number, until_ok};
use crate::proxy::Proxy;
use crate::rabbit_kit::{Shop, TAP, shop};
use contract::{EventType, Message};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use platform::broker::rabbit::admin;
use platform::broker::{Broker, BrokerError, Deliveries, Rabbit, RabbitTap, Routing};
use std::collections::BTreeSet;
use std::time::Duration;

fn rabbit(shop: &Shop) -> Rabbit {
    Rabbit::new(shop.settings()).unwrap()
}

/// Adds what the consumer gets to `seen` until that is `all`.
async fn see(deliveries: &mut Box<dyn Deliveries>, seen: &mut BTreeSet<u64>, all: u64) {
    while u64::try_from(seen.len()).unwrap() < all {
        let batch = tokio::time::timeout(Duration::from_secs(60), deliveries.next(100)).await;
        let batch = batch.expect("there is something to deliver").unwrap();
        seen.extend(batch.iter().map(|one| number(&one.message)));
        deliveries.ack(batch[batch.len() - 1].tag).await.unwrap();
    }
}

/// Somebody who speaks to the server without us.
async fn stranger(shop: &Shop) -> lapin::Channel {
    let (url, properties) = (shop.settings().url, ConnectionProperties::default());
    let connection = Connection::connect(&url, properties).await.unwrap();
    connection.create_channel().await.unwrap()
}

#[tokio::test]
async fn a_consumer_whose_connection_is_cut_goes_on_and_nothing_is_lost() {
    let Some(shop) = shop("a connection is cut") else {
        return;
    };
    rabbit(&shop).publish(&messages(1..=50)).await.unwrap();
    let proxy = Proxy::start(&shop.settings().url).await;
    let mut settings = shop.settings();
    settings.url = proxy.url();
    let broker = Rabbit::new(settings).unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let batch = deliveries.next(10).await.unwrap();
    let mut seen = BTreeSet::from([number(&batch[0].message)]);
    deliveries.ack(batch[0].tag).await.unwrap();
    proxy.cut();
    let lost = loop {
        if let Err(error) = deliveries.next(10).await {
            break error;
        }
    };
    assert!(matches!(lost, BrokerError::Unavailable(_)), "{lost}");
    drop(deliveries);
    let mut deliveries = until_ok(async || broker.subscribe("a").await).await;
    see(&mut deliveries, &mut seen, 50).await;
    assert_eq!(seen, (1..=50).collect());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_an_error_in_time_and_forgotten_when_it_speaks() {
    let Some(shop) = shop("a silent server") else {
        return;
    };
    let proxy = Proxy::start(&shop.settings().url).await;
    let mut settings = shop.settings();
    settings.url = proxy.url();
    settings.timeout = Duration::from_millis(300);
    let broker = Rabbit::new(settings).unwrap();
    until_ok(async || broker.publish(&messages(1..=1)).await).await;
    proxy.silence(true);
    let began = tokio::time::Instant::now();
    let error = broker.publish(&messages(2..=20)).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable(_)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3));
    let error = broker.publish(&messages(2..=20)).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable(_)), "{error}");
    proxy.silence(false);
    until_ok(async || broker.publish(&messages(2..=20)).await).await;
    let mut deliveries = until_ok(async || broker.subscribe("b").await).await;
    see(&mut deliveries, &mut BTreeSet::new(), 20).await;
}

#[tokio::test]
async fn what_is_no_message_is_given_up_as_it_is_and_the_others_pass() {
    let Some(shop) = shop("gibberish") else {
        return;
    };
    let broker = rabbit(&shop);
    broker.publish(&messages(1..=1)).await.unwrap();
    let stranger = stranger(&shop).await;
    let confirms = ConfirmSelectOptions::default();
    stranger.confirm_select(confirms).await.unwrap();
    let queue = format!("{}a", shop.settings().prefix);
    for body in [&b"gibberish"[..], b"{\"specversion\":\"1.0\"}", b"\xff"] {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let key = queue.as_str().into();
        let published = stranger.basic_publish("".into(), key, options, body, properties);
        published.await.unwrap().await.unwrap();
    }
    broker.publish(&messages(2..=2)).await.unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let mut seen = BTreeSet::new();
    see(&mut deliveries, &mut seen, 2).await;
    assert_eq!(seen, BTreeSet::from([1, 2]));
    let dead = until_ok(async || {
        let dead = broker.dead_letters("a", None, 10).await?;
        if dead.len() == 3 {
            Ok(dead)
        } else {
            Err(BrokerError::Unavailable("not all yet".to_owned()))
        }
    })
    .await;
    assert!(dead.iter().all(|letter| letter.message().is_none()));
    assert!(broker.discard("a", dead[0].id).await.unwrap());
    assert!(broker.replay("a", dead[1].id).await.unwrap());
    // It is given up once more as soon as the consumer looks.
    let nothing = async { panic!("{:?}", deliveries.next(1).await) };
    let given_up = until_ok(async || match broker.depth("a").await?.dead {
        2 => Ok(()),
        _ => Err(BrokerError::Unavailable("not yet".to_owned())),
    });
    tokio::select! {
        biased;
        () = nothing => {}
        () = given_up => {}
    }
}

#[tokio::test]
async fn two_consumers_share_a_queue() {
    let Some(shop) = shop("two consumers") else {
        return;
    };
    let mut settings = shop.settings();
    settings.prefetch = 3;
    let (broker, replica) = (
        Rabbit::new(settings.clone()).unwrap(),
        Rabbit::new(settings).unwrap(),
    );
    broker.publish(&messages(1..=6)).await.unwrap();
    let mut one = broker.subscribe("a").await.unwrap();
    let mut other = replica.subscribe("a").await.unwrap();
    let mut seen = BTreeSet::new();
    let had = one.next(1).await.unwrap();
    // Dropped by a thread that knows nothing of runtimes, as everything of an aborted service may be.
    std::thread::scope(|scope| {
        scope.spawn(move || drop(one));
    });
    see(&mut other, &mut seen, 6).await;
    assert!(seen.contains(&number(&had[0].message)));
    assert_eq!(replica.depth("a").await.unwrap().unacked, 0);
}

fn created(n: u64) -> Message {
    Message {
        kind: "product.created".to_owned(),
        ..message(n)
    }
}

#[tokio::test]
async fn with_topic_routing_a_queue_gets_what_its_service_hears() {
    let Some(shop) = shop("topic routing") else {
        return;
    };
    let mut settings = shop.settings();
    settings.routing = Routing::Topic;
    settings.queues[1].hears = vec![EventType::ProductRestocked, EventType::ProductCreated];
    let mut tap = RabbitTap::open(&settings, TAP).await.unwrap();
    let broker = Rabbit::new(settings).unwrap();
    let nobody_hears = Message {
        kind: "order.finished".to_owned(),
        ..message(3)
    };
    let batch = [message(1), created(2), nobody_hears, message(4)];
    broker.publish(&batch).await.unwrap();
    for (queue, expected) in [("a", vec![1, 4]), ("b", vec![1, 2, 4])] {
        let mut deliveries = broker.subscribe(queue).await.unwrap();
        let mut seen = BTreeSet::new();
        see(&mut deliveries, &mut seen, expected.len() as u64).await;
        assert_eq!(seen, BTreeSet::from_iter(expected));
    }
    let mut tapped = Vec::new();
    while tapped.len() < 4 {
        tapped.extend(tap.next(10).await.unwrap());
    }
    let parsed = tapped.iter().map(|json| Message::from_json(json).unwrap());
    assert_eq!(parsed.collect::<Vec<_>>(), batch);
    tap.delete().await.unwrap();
}

#[tokio::test]
async fn what_a_service_does_not_hear_is_done_without_it() {
    let Some(shop) = shop("unheard") else { return };
    let broker = rabbit(&shop);
    let unheard = |range: std::ops::RangeInclusive<u64>| range.map(created).collect::<Vec<_>>();
    broker.publish(&unheard(1..=300)).await.unwrap();
    broker.publish(&messages(301..=302)).await.unwrap();
    broker.publish(&unheard(303..=310)).await.unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(deliveries.next(100).await.unwrap());
    }
    let numbers: Vec<u64> = heard.iter().map(|one| number(&one.message)).collect();
    assert_eq!(numbers, [301, 302]);
    deliveries
        .retry(heard[0].tag, Duration::ZERO, "not yet")
        .await
        .unwrap();
    deliveries.ack(heard[1].tag).await.unwrap();
    // The one that was put off comes back, and what was never heard does not.
    let again = deliveries.next(100).await.unwrap();
    assert_eq!((number(&again[0].message), again[0].attempts), (301, 1));
    deliveries.ack(again[0].tag).await.unwrap();
    drop(deliveries);
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_millis(100), deliveries.next(1));
    assert!(waiting.await.is_err(), "nothing is left");
    until_ok(async || match broker.depth("a").await? {
        depth if depth == platform::broker::Depth::default() => Ok(()),
        _ => Err(BrokerError::Unavailable("not yet".to_owned())),
    })
    .await;
}

#[tokio::test]
async fn something_else_under_our_name_is_named_with_the_way_out() {
    let Some(shop) = shop("other arguments") else {
        return;
    };
    let name = format!("{}a", shop.settings().prefix);
    let options = QueueDeclareOptions::durable();
    let declared = stranger(&shop).await;
    declared
        .queue_declare(name.as_str().into(), options, FieldTable::default())
        .await
        .unwrap();
    let error = rabbit(&shop).publish(&messages(1..=1)).await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused(_)));
    let said = error.to_string();
    assert!(said.contains(&name) && said.contains("delete it"), "{said}");
}

#[tokio::test]
async fn a_message_that_reaches_no_queue_is_an_error_and_the_queues_are_made_again() {
    let Some(shop) = shop("lost queues") else {
        return;
    };
    let broker = rabbit(&shop);
    broker.publish(&messages(1..=1)).await.unwrap();
    admin::delete_all(&shop.settings()).await.unwrap();
    let error = broker.publish(&messages(2..=2)).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable(_)), "{error}");
    until_ok(async || broker.publish(&messages(2..=2)).await).await;
    let mut deliveries = until_ok(async || broker.subscribe("a").await).await;
    let again = deliveries.next(10).await.unwrap();
    assert_eq!(number(&again[0].message), 2);
}

#[tokio::test]
async fn everybody_who_looks_at_the_dead_sees_all_of_them() {
    let Some(shop) = shop("two look at dead letters") else {
        return;
    };
    let (broker, replica) = (rabbit(&shop), rabbit(&shop));
    broker.publish(&messages(1..=30)).await.unwrap();
    let mut deliveries = broker.subscribe("a").await.unwrap();
    let mut buried = 0;
    while buried < 30 {
        for one in deliveries.next(100).await.unwrap() {
            deliveries.bury(one.tag, "bad").await.unwrap();
            buried += 1;
        }
    }
    for _ in 0..25 {
        let (one, other) = tokio::join!(
            broker.dead_letters("a", None, 100),
            replica.dead_letters("a", None, 100),
        );
        assert_eq!((one.unwrap().len(), other.unwrap().len()), (30, 30));
    }
    assert_eq!(replica.depth("a").await.unwrap().dead, 30);
}

#[tokio::test]
async fn a_tap_sees_everything_also_what_came_while_it_was_away() {
    let Some(shop) = shop("a tap") else { return };
    let broker = rabbit(&shop);
    let proxy = Proxy::start(&shop.settings().url).await;
    let mut settings = shop.settings();
    settings.url = proxy.url();
    let mut tap = RabbitTap::open(&settings, TAP).await.unwrap();
    broker.publish(&messages(1..=3)).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(tap.next(2).await.unwrap());
    }
    proxy.cut();
    broker.publish(&messages(4..=5)).await.unwrap();
    let mut after = BTreeSet::new();
    while !after.contains(&5) {
        let json = tap.next(10).await.unwrap();
        let parsed = json.iter().map(|json| Message::from_json(json).unwrap());
        after.extend(parsed.map(|message| number(&message)));
    }
    assert!(after.contains(&4));
    drop(tap);
    broker.publish(&messages(6..=6)).await.unwrap();
    let mut tap = RabbitTap::open(&shop.settings(), TAP).await.unwrap();
    let mut last = Vec::new();
    while last.last().map(String::as_str) != Some(&message(6).to_json().unwrap()) {
        last.extend(tap.next(10).await.unwrap());
    }
    tap.delete().await.unwrap();
}

#[test]
fn settings_that_cannot_be_used_say_so() {
    let said = |url: &str, ca: Option<&str>| {
        let mut settings = platform::broker::RabbitSettings::new(url, "story", Vec::new());
        settings.ca = ca.map(Into::into);
        let refused = Rabbit::new(settings).err();
        refused.expect("it is refused").to_string()
    };
    let about_url = said("amqp//nowhere:secret", None);
    assert!(about_url.contains("amqp://user:password@host") && !about_url.contains("secret"));
    assert!(said("amqps://x", Some("/nowhere/ca.pem")).contains("/nowhere/ca.pem"));
    assert!(said("amqps://x", Some("Cargo.toml")).contains("Cargo.toml"));
}
