//! Messages come twice, late, in another order, or cannot be understood; the orders end all the same.

use crate::kit::Shop;
use contract::{EventType, Message, MessageId};
use platform::world::Mischief;
use shop::ProviderSettings;
use shop::world::ShopMischief;
use uuid::Uuid;

platform::stories! {
    on_both {
        a_message_that_cannot_be_understood_does_not_stop_those_behind_it,
        a_message_of_an_unknown_type_is_let_pass,
    }
    for_each_number {
        every_event_may_come_three_times: 0..contract::EventType::ALL.len(), on_engines 1;
        every_event_may_come_late_and_among_others: 0..contract::EventType::ALL.len(), on_engines 1;
        everything_may_come_twice_late_and_shuffled: 300..320, on_engines 1;
    }
}

/// One order of each ending, all on their way at the same time.
async fn five_orders(seed: u64, mischief: Mischief) -> Shop {
    let strict = ProviderSettings {
        decline_amounts_cents: vec![4_002.try_into().unwrap()],
        ..ProviderSettings::default()
    };
    let shop = Shop::with(seed, strict, ShopMischief::everywhere(&mischief)).await;
    let (record, single, declined) = (
        shop.product(1_499, 7).await,
        shop.product(99, 10).await,
        shop.product(4_002, 2).await,
    );
    let expected = [
        (vec![(record, 3), (single, 1)], "finished"),
        (vec![(single, 1)], "under_minimum"),
        (vec![(declined, 1)], "declined"),
        (vec![(record, 2)], "finished"),
        (vec![(record, 8)], "out_of_stock"),
    ];
    let keys = ["paid", "cheap", "declined", "paid too", "greedy"].map(|key| key.replace(' ', "-"));
    let orders = keys
        .iter()
        .zip(&expected)
        .map(|(key, (lines, _))| shop.outcome(lines, key));
    for ((_, expected), ended) in expected
        .iter()
        .zip(futures_util::future::join_all(orders).await)
    {
        assert_eq!(ended, *expected);
    }
    shop.ends_well().await;
    assert_eq!(shop.available(record).await, 2);
    assert_eq!(shop.available(single).await, 9);
    assert_eq!(shop.available(declined).await, 2);
    shop
}

/// How often the inboxes saw a message again.
async fn repeats(shop: &Shop) -> i64 {
    let mut repeats = 0;
    for service in shop::QUEUES {
        for line in shop.export(service, "/api/v1/inbox").await.unwrap().lines() {
            let applied: serde_json::Value = serde_json::from_str(line).unwrap();
            repeats += applied["seen"].as_i64().unwrap() - 1;
        }
    }
    repeats
}

async fn every_event_may_come_three_times(n: usize) {
    let kind = EventType::ALL[n];
    let seed = 100 + u64::try_from(n).unwrap();
    let mischief = Mischief {
        duplicate: vec![(kind.as_str(), 2)],
        ..Mischief::default()
    };
    let shop = five_orders(seed, mischief).await;
    let nobody_hears = matches!(
        kind,
        EventType::OrderFinished
            | EventType::OrderCanceled
            | EventType::ProductCreated
            | EventType::ProductRestocked
    );
    let repeats = repeats(&shop).await;
    assert_eq!(
        repeats == 0,
        nobody_hears,
        "{} was seen again {repeats} times",
        kind.as_str()
    );
}

async fn every_event_may_come_late_and_among_others(n: usize) {
    let kind = EventType::ALL[n];
    let mischief = Mischief {
        delay: vec![kind.as_str()],
        shuffle: true,
        dawdle: true,
        ..Mischief::default()
    };
    five_orders(200 + u64::try_from(n).unwrap(), mischief).await;
}

async fn everything_may_come_twice_late_and_shuffled(seed: u64) {
    let mischief = Mischief {
        duplicate: EventType::ALL
            .iter()
            .map(|kind| (kind.as_str(), 1))
            .collect(),
        delay: EventType::ALL.iter().map(|kind| kind.as_str()).collect(),
        shuffle: true,
        dawdle: true,
        ..Mischief::default()
    };
    five_orders(seed, mischief).await;
}

fn poison(kind: EventType) -> Message {
    Message {
        id: MessageId(Uuid::from_u128(0xbad)),
        source: "somebody".to_owned(),
        kind: kind.as_str().to_owned(),
        subject: Uuid::from_u128(0xbad),
        time_us: 0,
        cause: None,
        traceparent: None,
        tracestate: None,
        data: r#"{"orderId":"not an id"}"#.to_owned(),
    }
}

async fn a_message_that_cannot_be_understood_does_not_stop_those_behind_it() {
    let shop = Shop::open(400).await;
    let record = shop.product(1_499, 10).await;
    for kind in [
        EventType::OrderCreated,
        EventType::ReservationCreated,
        EventType::ReservationConsumed,
    ] {
        shop.world.broker().publish(&[poison(kind)]).await.unwrap();
    }
    assert_eq!(shop.outcome(&[(record, 3)], "k").await, "finished");
    shop.holds_but(&["D2", "S14"]).await;
    for service in shop::QUEUES {
        let (_, dead) = shop
            .ask(service, "/api/v1/dead-letters", None, None)
            .await
            .unwrap();
        let letters = dead["items"].as_array().unwrap();
        assert_eq!(letters.len(), 1, "{service}: {dead}");
        assert!(
            letters[0]["reason"]
                .as_str()
                .unwrap()
                .contains("does not fit"),
            "{dead}"
        );
    }
}

async fn a_message_of_an_unknown_type_is_let_pass() {
    let shop = Shop::open(401).await;
    let record = shop.product(1_499, 10).await;
    let strange = Message {
        kind: "order.teleported".to_owned(),
        ..poison(EventType::OrderCreated)
    };
    shop.world.broker().publish(&[strange]).await.unwrap();
    assert_eq!(shop.outcome(&[(record, 3)], "k").await, "finished");
    shop.holds_but(&["D2"]).await;
}
