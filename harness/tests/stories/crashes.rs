//! Each service dies at each of its port calls, before and after it, and the orders end as if it had not.

use crate::kit::{Shop, tell};
use contract::http::OrderStatus;
use platform::world::Mischief;
use shop::ProviderSettings;
use shop::world::ShopMischief;

/// Seeds of the worlds; a crash lands elsewhere in time with each.
const SEED: u64 = 77;

fn crash(service: &str, crash_at: Option<u64>) -> ShopMischief {
    let dawdle = Mischief {
        dawdle: true,
        ..Mischief::default()
    };
    let mut mischief = ShopMischief::everywhere(&dawdle);
    let place = match service {
        "orders" => &mut mischief.orders,
        "products" => &mut mischief.products,
        _ => &mut mischief.payments,
    };
    place.crash_at = crash_at;
    mischief
}

/// Three orders, one of each ending. Returns how often `service` passed a port call until all were settled.
async fn three_orders(service: &'static str, crash_at: Option<u64>) -> u64 {
    let shop = Shop::with(SEED, ProviderSettings::default(), crash(service, crash_at)).await;
    let (record, single) = (shop.product(1_499, 10).await, shop.product(99, 10).await);
    let paid = shop.place(&[(record, 3), (single, 1)], "paid").await;
    let cheap = shop.place(&[(single, 1)], "cheap").await;
    let greedy = shop.place(&[(record, 11)], "greedy").await;
    let crashed = || format!("{service} crashed at its port call {crash_at:?}");
    assert_eq!(
        shop.settled(paid).await.status,
        OrderStatus::Finished,
        "{}",
        crashed()
    );
    for id in [cheap, greedy] {
        assert_eq!(
            shop.settled(id).await.status,
            OrderStatus::Canceled,
            "{}",
            crashed()
        );
    }
    let passed = shop.world.passed(service);
    shop.ends_well().await;
    assert_eq!(
        (shop.available(record).await, shop.available(single).await),
        (7, 9),
        "{}",
        crashed()
    );
    let orders = shop.evidence().await.orders.len();
    assert_eq!(orders, 3, "an order came to be twice: {}", crashed());
    passed
}

fn dies_everywhere(service: &'static str, at_least: u64) {
    let places = tell(three_orders(service, None));
    assert!(
        places >= at_least,
        "only {places} port calls: the story does not reach enough of {service}"
    );
    for place in 1..=places {
        tell(three_orders(service, Some(place)));
    }
}

#[test]
fn orders_dies_at_each_port_call_and_nothing_is_lost() {
    dies_everywhere("orders", 60);
}

#[test]
fn products_dies_at_each_port_call_and_nothing_is_lost() {
    dies_everywhere("products", 60);
}

#[test]
fn payments_dies_at_each_port_call_and_nothing_is_lost() {
    dies_everywhere("payments", 60);
}

#[test]
fn all_three_die_in_one_story() {
    for place in (1..120).step_by(7) {
        let mischief = Mischief {
            dawdle: true,
            crash_at: Some(place),
            ..Mischief::default()
        };
        tell(async {
            let everywhere = ShopMischief::everywhere(&mischief);
            let shop = Shop::with(SEED + place, ProviderSettings::default(), everywhere).await;
            let record = shop.product(1_499, 10).await;
            assert_eq!(shop.outcome(&[(record, 3)], "k").await, "finished");
            shop.ends_well().await;
        });
    }
}

#[test]
fn a_service_that_is_gone_for_long_finds_its_work_when_it_is_back() {
    tell(async {
        let shop = Shop::open(SEED).await;
        let record = shop.product(1_499, 10).await;
        shop.world.crash("products").await;
        shop.world.crash("payments").await;
        let id = shop.place(&[(record, 3)], "k").await;
        tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
        shop.world.start("payments").await;
        shop.world.start("products").await;
        assert_eq!(shop.settled(id).await.status, OrderStatus::Finished);
        shop.ends_well().await;
    });
}

#[test]
fn a_database_that_is_gone_for_a_minute_costs_no_message_its_chances() {
    use std::time::Duration;
    for service in ["orders", "products", "payments"] {
        tell(async {
            let outage = Some(Duration::from_secs(2)..Duration::from_secs(62));
            let gone = Mischief {
                outage,
                ..Mischief::default()
            };
            let mut mischief = ShopMischief::default();
            match service {
                "orders" => mischief.orders = gone,
                "products" => mischief.products = gone,
                _ => mischief.payments = gone,
            }
            let unhurried = ProviderSettings {
                latency_ms_p50: 500.0,
                latency_ms_p99: 600.0,
                ..ProviderSettings::default()
            };
            let shop = Shop::with(SEED, unhurried, mischief).await;
            let record = shop.product(1_499, 10).await;
            // Placed before the outage, at the provider when it begins.
            tokio::time::sleep(Duration::from_millis(1_800)).await;
            let id = shop.place(&[(record, 3)], "k").await;
            assert_eq!(
                shop.settled(id).await.status,
                OrderStatus::Finished,
                "{service}"
            );
            shop.ends_well().await;
            for queue in shop::QUEUES {
                let (_, view) = shop.ask(queue, "/api/v1/queues", None, None).await.unwrap();
                assert_eq!(view["dead"], 0, "{service}");
            }
        });
    }
}
