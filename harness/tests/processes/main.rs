//! The services as processes of their own on PostgreSQL and RabbitMQ: one of each, two of each, stopped, cut off.

mod kit;
mod line;

use futures_util::future::{join, join_all};
use kit::{Starting, endpoint, orders, tell};
use line::Line;
use serde_json::json;

#[tokio::test]
async fn an_order_goes_through_four_processes_and_settles() {
    let name = "an_order_goes_through_four_processes_and_settles";
    tell(name, |place| async move {
        let [orders, products, _payments, provider] = place.start_all();
        let product = products.product(10).await;
        let order = orders.order(&product, "a-key").await.expect("accepted");
        assert_eq!(orders.settled(&order).await, "finished");
        let (_, charges) = provider.get("/api/v1/charges").await;
        assert_eq!(charges["items"][0]["orderId"], json!(order), "{charges}");
        let (_, stock) = products.get(&format!("/api/v1/products/{product}")).await;
        assert_eq!(stock["available"], json!(9), "{stock}");
    })
    .await;
}

#[tokio::test]
async fn all_services_in_one_process_settle_an_order_too() {
    let name = "all_services_in_one_process_settle_an_order_too";
    tell(name, |place| async move {
        let all = place.start("all", &[]);
        let product = all.at("products").product(1).await;
        let order = all.at("orders").order(&product, "a-key").await;
        let order = order.expect("accepted");
        assert_eq!(all.at("orders").settled(&order).await, "finished");
    })
    .await;
}

#[tokio::test]
async fn two_of_each_start_together_and_settle_what_the_other_accepted() {
    let name = "two_of_each_start_together_and_settle_what_the_other_accepted";
    tell(name, |place| async move {
        // Both bring the schema up to date at the same time.
        let begin = |service: &str, more: &[&str]| [(); 2].map(|()| place.begin(service, more));
        let providers = begin("provider", &[]).map(Starting::started);
        let url = providers[0].url();
        let starting = [
            begin("orders", &[]),
            begin("products", &[]),
            begin("payments", &["--provider", &url]),
        ];
        let [one, products, _payments] = starting.map(|two| two.map(Starting::started));
        let product = products[0].product(100).await;
        let placed = orders(&[&*one[0], &*one[1]], &product, 60).await;
        assert_eq!(placed.len(), 60);
        for (k, order) in placed.iter().enumerate() {
            // Accepted by one, asked of the other.
            assert_eq!(one[(k + 1) % 2].settled(order).await, "finished");
        }
        for replica in &one {
            assert_eq!(replica.metric("crashcart_sagas_in_flight ").await, "0");
        }
        let (_, stock) = products[1]
            .get(&format!("/api/v1/products/{product}"))
            .await;
        assert_eq!(stock["available"], json!(40), "{stock}");
        let (_, charges) = providers[1].get("/api/v1/charges?limit=1000").await;
        assert_eq!(charges["items"].as_array().map(Vec::len), Some(60));
    })
    .await;
}

#[tokio::test]
async fn a_payment_that_is_asked_for_many_times_at_once_is_charged_once_with_one_answer() {
    let name = "a_payment_that_is_asked_for_many_times_at_once_is_charged_once_with_one_answer";
    tell(name, |place| async move {
        let providers = [(); 2].map(|()| place.start("provider", &[]));
        for provider in &providers {
            provider
                .behave(&json!({"declineRate": 0.5, "latencyMsP50": 0}))
                .await;
        }
        for n in 0..8 {
            let charge = json!({
                "paymentId": format!("01890000-0000-7000-8000-00000000000{n}"),
                "orderId": "01890000-0000-7000-8000-000000000010",
                "amountCents": 500,
            });
            let ask = |k: usize| providers[k % 2].post("/api/v1/charges", "a-key", &charge);
            let answers = join_all((0..40).map(ask)).await;
            let first = answers[0].clone().expect("an answer");
            assert_eq!(first.0, 200, "{first:?}");
            assert!(answers.iter().all(|answer| answer.as_ref() == Some(&first)));
        }
        let (_, charges) = providers[0].get("/api/v1/charges").await;
        assert_eq!(charges["items"].as_array().map(Vec::len), Some(8));
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_payment_open_until_asked_again_and_is_charged_once() {
    let name =
        "an_answer_that_is_lost_leaves_the_payment_open_until_asked_again_and_is_charged_once";
    tell(name, |place| async move {
        let [orders, products, _payments, provider] = place.start_all();
        provider.behave(&json!({"lostAnswerRate": 1})).await;
        let product = products.product(1).await;
        let order = orders.order(&product, "a-key").await.expect("accepted");
        // The charge is made, and nobody but the provider knows.
        loop {
            let (_, charges) = provider.get("/api/v1/charges").await;
            if charges["items"]
                .as_array()
                .is_some_and(|items| !items.is_empty())
            {
                break;
            }
        }
        let (_, open) = orders.get(&format!("/api/v1/orders/{order}")).await;
        assert_eq!(open["status"], json!("created"));
        provider.behave(&json!({})).await;
        assert_eq!(orders.settled(&order).await, "finished");
        let (_, charges) = provider.get("/api/v1/charges").await;
        assert_eq!(charges["items"].as_array().map(Vec::len), Some(1));
        // What nobody waits for any more is let go.
        provider
            .until_metric_is("http_server_active_requests ", "1")
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_is_told_to_stop_keeps_what_it_accepted_and_ends_with_0() {
    let name = "a_service_that_is_told_to_stop_keeps_what_it_accepted_and_ends_with_0";
    tell(name, |place| async move {
        let [first, products, _payments, _provider] = place.start_all();
        let product = products.product(1_000).await;
        let replicas = [&*first];
        let sending = orders(&replicas, &product, 200);
        let stopping = async { first.terminate() };
        let (placed, ()) = join(sending, stopping).await;
        assert_eq!(first.code(), Some(0));
        let second = place.start("orders", &[]);
        for order in &placed {
            assert_eq!(second.settled(order).await, "finished");
        }
    })
    .await;
}

#[tokio::test]
async fn who_obeys_turns_its_dial_counts_what_it_did_and_ends_with_its_input() {
    let name = "who_obeys_turns_its_dial_counts_what_it_did_and_ends_with_its_input";
    tell(name, |place| async move {
        let mut products = place.start("products", &["--seed", "1"]);
        let twice =
            json!({"do": "faults", "service": "products", "settings": {"duplicateRate": 1.0}});
        assert_eq!(products.obey(&twice), json!("done"));
        products.product(1).await;
        let fired = loop {
            let fired = products.obey(&json!({"do": "fired"}));
            if fired["fired"]["products"]["fired"]["duplicated"] == json!(1) {
                break fired;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        assert_eq!(fired["fired"]["products"]["incarnation"], json!(1));
        let other = json!({"do": "faults", "service": "orders", "settings": {}});
        let crash = json!({"do": "crash", "service": "products"});
        for (command, why) in [
            (other, "there is no service \"orders\" in this process"),
            (crash, "a service crashes with its process"),
            (json!({"do": "dance"}), "unknown variant"),
        ] {
            let answer = products.obey(&command);
            let failed = answer["failed"].as_str().expect("a failure");
            assert!(failed.contains(why), "{failed}");
        }
        assert_eq!(products.input_ends(), Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_service_without_its_database_or_its_broker_is_not_ready_and_says_what_is_missing() {
    let name = "a_service_without_its_database_or_its_broker_is_not_ready_and_says_what_is_missing";
    tell(name, |place| async move {
        let database = Line::to(endpoint(&place.engines.postgres));
        let broker = Line::to(endpoint(&place.engines.amqp));
        let postgres = place.postgres_at(database.address);
        let amqp = place.amqp_at(broker.address);
        let products = place.start("products", &["--postgres", &postgres, "--amqp", &amqp]);
        products.until_ready_is(200).await;
        database.cut();
        let body = products.until_ready_is(503).await;
        assert_eq!(
            body["missing"],
            json!(["the database does not answer"]),
            "{body}"
        );
        // Who watches an outage sees it.
        products.until_metric_is("crashcart_store_up", "0").await;
        let body = json!({ "name": "a record", "priceCents": 100, "stock": 1 });
        let answer = products.post("/api/v1/products", "outage", &body).await;
        let (status, problem) = answer.expect("the service itself is there");
        assert_eq!(
            (status, &problem["type"]),
            (503, &json!("/problems/outage"))
        );
        database.mend();
        products.until_ready_is(200).await;
        products.until_metric_is("crashcart_store_up", "1").await;
        broker.cut();
        let body = products.until_ready_is(503).await;
        let missing = body["missing"][0].as_str().expect("a reason");
        assert!(missing.contains("the broker is not there"), "{body}");
        broker.mend();
        products.until_ready_is(200).await;
        products.product(1).await;
    })
    .await;
}
