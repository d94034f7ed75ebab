//! Every story, told to the real shop.

use crate::kit::{config, runtime, send_all, send_to};
use contract::http::{CreateProduct, Order, OrderStatus, Product};
use contract::{Cents, ProductId, Reason};
use harness::client::Call;
use harness::history::{Action, Operation, Outcome, Story};
use harness::target::{Target, export};
use harness::workload::{DECLINED_CENTS, NewProduct, Workload, WorkloadConfig, plan};
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use shop::{Embedded, EmbeddedConfig, ProviderSettings};
use std::collections::{BTreeMap, BTreeSet};

fn start(data: &std::path::Path) -> Embedded {
    let declined = Cents::try_from(DECLINED_CENTS).unwrap();
    let config = EmbeddedConfig {
        data: data.to_owned(),
        synchronous: Synchronous::Normal,
        provider: ProviderSettings {
            decline_amounts_cents: vec![declined],
            ..ProviderSettings::default()
        },
        settings: platform::Settings::default(),
        log: LogSettings {
            format: Format::Human,
            filter: "error".to_owned(),
            sink: Sink::Stderr,
        },
        telemetry: None,
        seed: 1,
        port: None,
        addresses: None,
        tap_max: shop::TAP_MAX,
        planted: None,
    };
    Embedded::start(&config).unwrap()
}

async fn create(target: &Target, n: usize, new: &NewProduct) -> ProductId {
    let body = CreateProduct {
        name: new.name.clone(),
        price_cents: new.price_cents,
        stock: new.stock,
    };
    let body = serde_json::to_vec(&body).unwrap().into();
    let key = format!("product-{n}");
    let call = Call::post("/api/v1/products", body, &key);
    let (_, body) = target.client("products").send(call).await.unwrap();
    serde_json::from_slice::<Product>(&body).unwrap().id
}

async fn create_all(target: &Target, workload: &Workload) -> Vec<ProductId> {
    let mut products = Vec::new();
    for (n, new) in workload.catalogue.iter().enumerate() {
        products.push(create(target, n, new).await);
    }
    products
}

/// What became of the orders of a story: canceled for this reason, or finished.
type Ends = BTreeMap<Story, Vec<Option<Reason>>>;

fn ends(operations: &[Operation], orders: &[Order]) -> Ends {
    let story = |key: &String| operations.iter().find(|op| op.key.as_ref() == Some(key));
    let mut ends = Ends::new();
    for order in orders {
        let story = story(order.idempotency_key.as_ref().unwrap())
            .unwrap()
            .story;
        assert!(order.status.is_settled(), "{order:?}");
        assert_eq!(
            order.reason.is_none(),
            order.status == OrderStatus::Finished
        );
        ends.entry(story).or_default().push(order.reason);
    }
    ends
}

#[test]
fn each_story_ends_as_it_is_meant_to() {
    let data = tempfile::tempdir().unwrap();
    let shop = start(data.path());
    let target = Target::new(&shop.addresses);
    let mut config = config(200.0, 4.0);
    // Few prices, so that few products are to be created.
    config.orders.truncate(50);
    let workload = plan(&config);
    let told = workload.told();
    let (seen, orders) = runtime().block_on(async {
        let products = create_all(&target, &workload).await;
        let seen = send_to(&target.client("orders"), workload, products).await;
        target.at_rest().await.unwrap();
        (
            seen,
            export(&target.client("orders"), "/api/v1/orders")
                .await
                .unwrap(),
        )
    });
    shop.stop();
    let orders: Vec<Order> = orders
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ends = ends(&seen.operations, &orders);
    let all = |story: Story, reason: Option<Reason>| {
        assert!(
            ends[&story].iter().all(|end| *end == reason),
            "{story:?}: {ends:?}"
        );
    };
    all(Story::Real, None);
    all(Story::Happy, None);
    all(Story::SeveralLines, None);
    all(Story::Retry, None);
    all(Story::DoubleClick, None);
    all(Story::Reread, None);
    all(Story::UnderMinimum, Some(Reason::UnderMinimum));
    all(Story::Declined, Some(Reason::Declined));
    all(Story::UnknownProduct, Some(Reason::UnknownProduct));
    assert!(
        ends[&Story::OutOfStock].contains(&Some(Reason::OutOfStock)),
        "{ends:?}"
    );
    // 0, 1 and 99 cents, and 100, 101 and the largest.
    assert!(ends[&Story::PriceEdge].contains(&Some(Reason::UnderMinimum)));
    assert!(ends[&Story::PriceEdge].contains(&None));
    for story in [Story::Retry, Story::DoubleClick, Story::KeyReused] {
        assert_eq!(ends[&story].len(), told[&story], "one order a key");
    }
    assert_eq!(ends.get(&Story::InvalidBody), None);
}

#[test]
fn every_bad_body_is_refused_with_a_4xx() {
    let data = tempfile::tempdir().unwrap();
    let shop = start(data.path());
    let workload = plan(&WorkloadConfig {
        orders: Vec::new(),
        stories: [Story::InvalidBody].into(),
        ..config(100.0, 0.5)
    });
    let seen = send_all(shop.addresses.orders, workload);
    shop.stop();
    let mut bodies = BTreeSet::new();
    for operation in &seen.operations {
        let Action::PlaceBadly { body } = &operation.action else {
            panic!("{operation:?}")
        };
        bodies.insert(body);
        let Outcome::Refused { status } = operation.outcome else {
            panic!("{operation:?}")
        };
        assert!([400, 413, 415, 422].contains(&status), "{operation:?}");
    }
    assert!(bodies.len() > 15, "{} bodies", bodies.len());
}
