//! How orders end when nobody crashes.

use crate::kit::{Shop, accepted};
use axum::http::StatusCode;
use contract::ProductId;
use contract::http::{Order, OrderStatus};
use shop::ProviderSettings;
use shop::world::ShopMischief;
use std::time::Duration;
use uuid::Uuid;

platform::stories! {
    on_both {
        an_order_that_is_paid_is_finished_and_the_stock_is_sold,
        an_order_tells_its_amount_and_its_times_when_it_is_settled,
        ninety_nine_cents_fail_and_a_hundred_do_not,
        two_lines_of_fifty_cents_are_a_dollar,
        a_declined_payment_gives_the_stock_back,
        what_is_not_in_stock_is_not_sold,
        a_product_that_does_not_exist_cancels_the_order,
        an_amount_above_the_largest_cancels_the_order,
        of_several_lines_all_are_reserved_or_none,
        fifty_lines_are_one_order,
        the_last_unit_is_sold_once,
        a_double_click_with_a_key_is_one_order,
        a_double_click_without_a_key_is_two_orders,
        a_key_with_another_body_is_refused_and_nothing_else_suffers,
        a_charge_whose_answer_is_lost_is_not_made_twice,
        a_trace_flows_from_the_request_to_the_last_event,
        a_provider_slower_than_our_patience_charges_once_all_the_same,
        a_long_poll_is_answered_when_the_service_is_told_to_stop,
    }
    in_virtual_time_only {
        a_provider_that_hears_nothing_for_a_while_is_asked_again: "it lets half a minute pass",
    }
}

async fn an_order_that_is_paid_is_finished_and_the_stock_is_sold() {
    let shop = Shop::open(1).await;
    let record = shop.product(1_499, 10).await;
    assert_eq!(shop.outcome(&[(record, 3)], "k").await, "finished");
    assert_eq!(shop.available(record).await, 7);
    shop.ends_well().await;
}

async fn an_order_tells_its_amount_and_its_times_when_it_is_settled() {
    let shop = Shop::open(1).await;
    let record = shop.product(1_499, 10).await;
    let id = shop.place(&[(record, 3)], "k").await;
    let order: Order = shop.settled(id).await;
    assert_eq!((order.status, order.version), (OrderStatus::Finished, 2));
    assert_eq!(order.amount_cents.map(i64::from), Some(4_497));
    assert!(order.settled_at_us.unwrap() > order.created_at_us);
    assert_eq!(order.idempotency_key.as_deref(), Some("k"));
}

async fn ninety_nine_cents_fail_and_a_hundred_do_not() {
    let shop = Shop::open(2).await;
    for (cents, expected) in [
        (0, "under_minimum"),
        (1, "under_minimum"),
        (99, "under_minimum"),
        (100, "finished"),
        (101, "finished"),
        (1_000_000_000_000, "finished"),
    ] {
        let record = shop.product(cents, 5).await;
        assert_eq!(
            shop.outcome(&[(record, 1)], &format!("k{cents}")).await,
            expected,
            "{cents} cents"
        );
        let left = if expected == "finished" { 4 } else { 5 };
        assert_eq!(shop.available(record).await, left, "{cents} cents");
    }
    shop.ends_well().await;
}

async fn two_lines_of_fifty_cents_are_a_dollar() {
    let shop = Shop::open(3).await;
    let (one, other) = (shop.product(50, 5).await, shop.product(49, 5).await);
    assert_eq!(
        shop.outcome(&[(one, 1), (other, 1)], "k1").await,
        "under_minimum"
    );
    assert_eq!(shop.outcome(&[(one, 2)], "k2").await, "finished");
    shop.ends_well().await;
}

async fn a_declined_payment_gives_the_stock_back() {
    let declines = ProviderSettings {
        decline_amounts_cents: vec![4_002.try_into().unwrap()],
        ..ProviderSettings::default()
    };
    let shop = Shop::with(4, declines, ShopMischief::default()).await;
    let record = shop.product(4_002, 3).await;
    assert_eq!(shop.outcome(&[(record, 1)], "k").await, "declined");
    assert_eq!(shop.available(record).await, 3);
    shop.ends_well().await;
}

async fn what_is_not_in_stock_is_not_sold() {
    let shop = Shop::open(5).await;
    let record = shop.product(500, 2).await;
    assert_eq!(shop.outcome(&[(record, 3)], "k").await, "out_of_stock");
    assert_eq!(shop.available(record).await, 2);
    shop.holds().await;
}

async fn a_product_that_does_not_exist_cancels_the_order() {
    let shop = Shop::open(6).await;
    let record = shop.product(500, 2).await;
    let nothing = ProductId(Uuid::from_u128(404));
    assert_eq!(
        shop.outcome(&[(record, 1), (nothing, 1)], "k").await,
        "unknown_product"
    );
    assert_eq!(shop.available(record).await, 2);
    shop.holds().await;
}

async fn an_amount_above_the_largest_cancels_the_order() {
    let shop = Shop::open(7).await;
    let mut lines = Vec::new();
    for n in 0..10 {
        lines.push((shop.product(1_000_000_000_000 - n, 1_000).await, 1_000));
    }
    assert_eq!(shop.outcome(&lines, "k1").await, "amount_too_large");
    assert_eq!(shop.outcome(&lines[..9], "k2").await, "finished");
    shop.ends_well().await;
}

async fn of_several_lines_all_are_reserved_or_none() {
    let shop = Shop::open(8).await;
    let (plenty, scarce) = (shop.product(300, 100).await, shop.product(700, 1).await);
    assert_eq!(
        shop.outcome(&[(plenty, 5), (scarce, 2)], "k1").await,
        "out_of_stock"
    );
    assert_eq!(
        (shop.available(plenty).await, shop.available(scarce).await),
        (100, 1)
    );
    assert_eq!(
        shop.outcome(&[(plenty, 5), (scarce, 1)], "k2").await,
        "finished"
    );
    assert_eq!(
        (shop.available(plenty).await, shop.available(scarce).await),
        (95, 0)
    );
    shop.ends_well().await;
}

async fn fifty_lines_are_one_order() {
    let shop = Shop::open(9).await;
    let mut lines = Vec::new();
    for n in 0..50 {
        lines.push((shop.product(100 + n, 1).await, 1));
    }
    assert_eq!(shop.outcome(&lines, "k").await, "finished");
    shop.ends_well().await;
}

async fn the_last_unit_is_sold_once() {
    let shop = Shop::open(10).await;
    let record = shop.product(999, 1).await;
    let keys: Vec<String> = (0..20).map(|n| format!("k{n}")).collect();
    let line = [(record, 1)];
    let race = keys.iter().map(|key| shop.outcome(&line, key));
    let mut outcomes = futures_util::future::join_all(race).await;
    outcomes.sort();
    assert_eq!(outcomes[0], "finished");
    assert!(
        outcomes[1..]
            .iter()
            .all(|outcome| outcome == "out_of_stock"),
        "{outcomes:?}"
    );
    assert_eq!(shop.available(record).await, 0);
    shop.ends_well().await;
}

async fn a_double_click_with_a_key_is_one_order() {
    let shop = Shop::open(11).await;
    let record = shop.product(999, 5).await;
    let line = [(record, 1)];
    let (first, second) = tokio::join!(shop.order(&line, Some("k")), shop.order(&line, Some("k")));
    let ((status, first), (again, second)) = (first.unwrap(), second.unwrap());
    assert_eq!((status, again), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!(first, second);
    shop.settled(accepted(&first).id).await;
    let (_, much_later) = shop.order(&line, Some("k")).await.unwrap();
    assert_eq!(first, much_later);
    assert_eq!(shop.available(record).await, 4);
    shop.ends_well().await;
}

async fn a_double_click_without_a_key_is_two_orders() {
    let shop = Shop::open(12).await;
    let record = shop.product(999, 5).await;
    let line = [(record, 1)];
    let (first, second) = tokio::join!(shop.order(&line, None), shop.order(&line, None));
    let ids = [first, second].map(|answer| accepted(&answer.unwrap().1).id);
    assert_ne!(ids[0], ids[1]);
    for id in ids {
        shop.settled(id).await;
    }
    assert_eq!(shop.available(record).await, 3);
    shop.ends_well().await;
}

async fn a_key_with_another_body_is_refused_and_nothing_else_suffers() {
    let shop = Shop::open(13).await;
    let record = shop.product(999, 5).await;
    // All in one group of the committer: the refused one must not take the others along.
    let (one, two) = ([(record, 1)], [(record, 2)]);
    let (first, other, bystander) = tokio::join!(
        shop.order(&one, Some("k")),
        shop.order(&two, Some("k")),
        shop.order(&one, Some("b"))
    );
    assert_eq!(first.unwrap().0, StatusCode::CREATED);
    let (status, problem) = other.unwrap();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");
    assert_eq!(bystander.unwrap().0, StatusCode::CREATED);
    shop.at_rest().await;
    assert_eq!(shop.available(record).await, 3);
    shop.ends_well().await;
}

async fn a_charge_whose_answer_is_lost_is_not_made_twice() {
    let deaf = ProviderSettings {
        lost_answer_rate: 0.7,
        ..ProviderSettings::default()
    };
    let shop = Shop::with(14, deaf, ShopMischief::default()).await;
    let record = shop.product(999, 20).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        ids.push(shop.place(&[(record, 1)], &format!("k{n}")).await);
    }
    if shop.world.is_real() {
        // Nobody can skip the time in which it is asked again and again: once for each charge must do.
        shop.charged(ids.len()).await;
        shop.provider.set(ProviderSettings::default());
    }
    for id in ids {
        assert_eq!(shop.settled(id).await.status, OrderStatus::Finished);
    }
    shop.ends_well().await;
}

async fn a_provider_that_hears_nothing_for_a_while_is_asked_again() {
    let gone = ProviderSettings {
        lost_request_rate: 1.0,
        ..ProviderSettings::default()
    };
    let shop = Shop::with(15, gone, ShopMischief::default()).await;
    let record = shop.product(999, 20).await;
    let id = shop.place(&[(record, 1)], "k").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let open = shop
        .ask("orders", &format!("/api/v1/orders/{id}"), None, None)
        .await
        .unwrap()
        .1;
    assert_eq!(open["status"], "created");
    shop.provider.set(ProviderSettings::default());
    assert_eq!(shop.settled(id).await.status, OrderStatus::Finished);
    shop.ends_well().await;
}

async fn a_trace_flows_from_the_request_to_the_last_event() {
    let shop = Shop::open(16).await;
    let record = shop.product(999, 20).await;
    let (_, body) = shop.order(&[(record, 1)], None).await.unwrap();
    let accepted = accepted(&body);
    shop.settled(accepted.id).await;
    let id = accepted.id.to_string();
    let mut types = Vec::new();
    for service in ["orders", "products", "payments"] {
        for line in shop
            .export(service, "/api/v1/events")
            .await
            .unwrap()
            .lines()
        {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            if event["subject"] == id.as_str() {
                let parent = event["traceparent"].as_str().unwrap();
                assert!(
                    parent.contains(&accepted.trace_id),
                    "{parent} is not in {}",
                    accepted.trace_id
                );
                types.push(event["type"].as_str().unwrap().to_owned());
            }
        }
    }
    types.sort();
    let expected = [
        "order.created",
        "order.finished",
        "payment.created",
        "payment.processed",
        "reservation.consumed",
        "reservation.created",
    ];
    assert_eq!(types, expected);
}

async fn a_provider_slower_than_our_patience_charges_once_all_the_same() {
    let slow = ProviderSettings {
        latency_ms_p50: 2_000.0,
        latency_ms_p99: 2_500.0,
        ..ProviderSettings::default()
    };
    let shop = Shop::with(17, slow, ShopMischief::default()).await;
    let record = shop.product(999, 20).await;
    let id = shop.place(&[(record, 1)], "k").await;
    // Nobody waits for its answer any more when it has charged. It is asked again, and a quick day settles it.
    shop.charged(1).await;
    shop.provider.set(ProviderSettings::default());
    assert_eq!(shop.settled(id).await.status, OrderStatus::Finished);
    shop.ends_well().await;
}

async fn a_long_poll_is_answered_when_the_service_is_told_to_stop() {
    let gone = ProviderSettings {
        lost_request_rate: 1.0,
        ..ProviderSettings::default()
    };
    let shop = Shop::with(18, gone, ShopMischief::default()).await;
    let record = shop.product(999, 20).await;
    let id = shop.place(&[(record, 1)], "k").await;
    let path = format!("/api/v1/orders/{id}?wait=settled&timeoutMs=30000");
    let began_us = shop.world.now_us();
    let (answer, ()) = tokio::join!(shop.ask("orders", &path, None, None), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        shop.world.context("orders").stop();
    });
    let (status, order) = answer.unwrap();
    assert_eq!(
        (status, &order["status"]),
        (StatusCode::OK, &"created".into())
    );
    assert!(shop.world.now_us() - began_us < 10_000_000);
}
