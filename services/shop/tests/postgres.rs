//! The same shop on SQLite and on PostgreSQL: every statement of every service runs on both, with the same outcome,
//! and on PostgreSQL with two replicas of each service as well.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use contract::Bug;
use futures_util::future::join_all;
use http_body_util::BodyExt;
use orders::Orders;
use payments::Payments;
use payments::provider::{self, Simulated};
use platform::broker::{Broker, Embedded, EmbeddedSettings};
use platform::engines::Engines;
use platform::logs::{Format, LogSettings, Sink};
use platform::store::postgres::admin;
use platform::store::{Postgres, PostgresSettings, Sqlite, Store};
use platform::telemetry::Tracer;
use platform::{Clock, Context, Parts, Running, Service, Settings, logs};
use products::Products;
use serde_json::{Value, json};
use shop::{PROVIDER_PATIENCE, ProviderSettings, QUEUES};
use std::collections::BTreeMap;
use std::sync::Arc;
use tower::ServiceExt;

/// Makes the store of a service.
type Stores<'a> = &'a dyn Fn(&str) -> Arc<dyn Store>;

/// A shop that runs in this test, with all replicas of each service.
struct Shop(BTreeMap<&'static str, Vec<Running>>);

impl Shop {
    async fn start(stores: Stores<'_>, replicas: u64, planted: Option<Bug>) -> Self {
        let log = LogSettings {
            format: Format::Human,
            filter: "warn".to_owned(),
            sink: Sink::Stderr,
        };
        let settings = EmbeddedSettings::new(QUEUES.to_vec());
        let broker: Arc<dyn Broker> = Arc::new(Embedded::in_memory(&settings, Clock::Os).unwrap());
        let context = |service: &'static str, replica: u64| {
            Context::new(Parts {
                service,
                store: stores(service),
                broker: Arc::clone(&broker),
                clock: Clock::Os,
                seed: replica * 31 + service.len() as u64,
                dispatch: logs::dispatch(service, &log, Clock::Os, &Tracer::off()).unwrap(),
                tracer: Tracer::off(),
                settings: Settings::default(),
                planted,
            })
        };
        let mut shop = Self(BTreeMap::new());
        let outside = context(provider::NAME, 0);
        let simulated = Arc::new(Simulated::new(&outside, ProviderSettings::default()));
        shop.add(outside, Arc::clone(&simulated) as _).await;
        for replica in 0..replicas {
            let ctx = context(orders::NAME, replica);
            let service = Orders::new(&ctx);
            shop.add(ctx, service).await;
            let ctx = context(products::NAME, replica);
            let service = Products::new(&ctx);
            shop.add(ctx, service).await;
            let ctx = context(payments::NAME, replica);
            let service = Payments::new(&ctx, Arc::clone(&simulated) as _, PROVIDER_PATIENCE);
            shop.add(ctx, service).await;
        }
        shop
    }

    async fn add(&mut self, ctx: Context, service: Arc<dyn Service>) {
        let name = ctx.service();
        let running = Running::start(ctx, service).await.unwrap();
        self.0.entry(name).or_default().push(running);
    }

    /// Sends a request to one replica; status and body.
    async fn send(&self, service: &str, replica: usize, request: Request<Body>) -> (u16, Vec<u8>) {
        let replicas = &self.0[service];
        let router = replicas[replica % replicas.len()].router.clone();
        let answer = router.oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, body.to_vec())
    }

    async fn post(&self, service: &str, n: usize, path: &str, body: &Value) -> (u16, Value) {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("idempotency-key", format!("{path}:{n}"))
            .body(Body::from(body.to_string()));
        let (status, body) = self.send(service, n, request.unwrap()).await;
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, service: &str, path: &str) -> Value {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (status, body) = self.send(service, 0, request).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        serde_json::from_slice(&body).unwrap()
    }

    /// Every line of an export.
    async fn export(&self, service: &str, path: &str) -> Vec<Value> {
        let request = Request::get(path).header("accept", "application/x-ndjson");
        let (status, body) = self
            .send(service, 1, request.body(Body::empty()).unwrap())
            .await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let lines = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// Waits until nothing of what was said is on its way.
    async fn at_rest(&self) {
        for replica in self.0.values().flatten() {
            let ctx = replica.context();
            loop {
                let request = Request::get("/api/v1/queues").body(Body::empty()).unwrap();
                let (_, body) = self.send(ctx.service(), 0, request).await;
                let counts: Value = serde_json::from_slice(&body).unwrap();
                let left =
                    ["ready", "unacked", "retrying", "unpublished"].map(|of| counts[of].as_i64());
                if left == [Some(0); 4] {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    async fn stop(self) {
        for running in self.0.into_values().flatten() {
            running.context().aborted().await;
        }
    }
}

const ORDERS: usize = 120;

/// Sells what there is of three products, and more; how each order ended and what is left.
async fn trade(shop: &Shop) -> (BTreeMap<String, usize>, Vec<i64>) {
    let mut ids = Vec::new();
    for (n, (price, stock)) in [(1_000, 10_000), (20, 10_000), (500, 30)]
        .iter()
        .enumerate()
    {
        let body = json!({"name": format!("product {n}"), "priceCents": price, "stock": stock});
        let (status, product) = shop.post("products", n, "/api/v1/products", &body).await;
        assert_eq!(status, 201, "{product}");
        ids.push(product["id"].as_str().unwrap().to_owned());
    }
    let more = format!("/api/v1/products/{}/restock", ids[0]);
    let five = json!({"quantity": 5});
    let restocks = (0..10).map(|n| shop.post("products", n, &more, &five));
    for (status, body) in join_all(restocks).await {
        assert_eq!(status, 200, "{body}");
    }
    let (status, _) = shop
        .post("products", 0, &more, &json!({"quantity": 5}))
        .await;
    assert_eq!(status, 200, "the answer to a key that was used");
    let (status, _) = shop
        .post("products", 0, &more, &json!({"quantity": 6}))
        .await;
    assert_eq!(status, 422, "a key that was used for something else");
    let nothing = format!("/api/v1/products/{}/restock", uuid::Uuid::nil());
    let (status, _) = shop
        .post("products", 0, &nothing, &json!({"quantity": 6}))
        .await;
    assert_eq!(status, 404);
    let placed = (0..ORDERS).map(|n| {
        // Forwards and backwards; too little money for every third.
        let mut lines = match n % 3 {
            0 => vec![(&ids[0], 2), (&ids[2], 1)],
            1 => vec![(&ids[1], 1)],
            _ => vec![(&ids[0], 1), (&ids[1], 3)],
        };
        if n % 2 == 0 {
            lines.reverse();
        }
        let lines: Vec<Value> = lines
            .into_iter()
            .map(|(id, quantity)| json!({"productId": id, "quantity": quantity}))
            .collect();
        let body = json!({ "items": lines });
        async move {
            let (status, placed) = shop.post("orders", n, "/api/v1/orders", &body).await;
            assert_eq!(status, 201, "{placed}");
            let id = placed["id"].as_str().unwrap();
            let path = format!("/api/v1/orders/{id}?wait=settled&timeoutMs=30000");
            let order = shop.get("orders", &path).await;
            format!("{} {}", order["status"], order["reason"])
        }
    });
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for outcome in join_all(placed).await {
        *outcomes.entry(outcome).or_default() += 1;
    }
    shop.at_rest().await;
    let mut left = Vec::new();
    for id in &ids {
        let product = shop
            .get("products", &format!("/api/v1/products/{id}"))
            .await;
        left.push(product["available"].as_i64().unwrap());
    }
    (outcomes, left)
}

/// Reads every list in both ways, page by page and as one export.
async fn lists(shop: &Shop) -> BTreeMap<String, usize> {
    let mut lengths = BTreeMap::new();
    for (service, list) in [
        ("orders", "orders"),
        ("orders", "events"),
        ("orders", "inbox"),
        ("products", "products"),
        ("products", "reservations"),
        ("products", "events"),
        ("products", "inbox"),
        ("payments", "payments"),
        ("payments", "events"),
        ("provider", "charges"),
    ] {
        let path = format!("/api/v1/{list}");
        let exported = shop.export(service, &path).await;
        let mut paged = Vec::new();
        let mut after = String::new();
        loop {
            let page = shop.get(service, &format!("{path}?limit=7{after}")).await;
            paged.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(paged, exported, "{service} {list}");
        lengths.insert(format!("{service} {list}"), paged.len());
    }
    lengths
}

/// How many orders ended how, what is left of each product, and how long each list is.
type Told = (BTreeMap<String, usize>, Vec<i64>, BTreeMap<String, usize>);

/// Trades in a shop on these stores; what came of it.
async fn told(stores: Stores<'_>, replicas: u64) -> Told {
    let shop = Shop::start(stores, replicas, None).await;
    let (outcomes, left) = trade(&shop).await;
    let lengths = lists(&shop).await;
    for replica in shop.0.values().flatten() {
        let (service, metrics) = (replica.context().service(), replica.context().metrics());
        assert_eq!(metrics.loops_ended.get(), 0, "{service}");
    }
    shop.stop().await;
    // Thirty of the last product are there for forty orders.
    assert_eq!(left, [10_050 - 60 - 40, 9_880, 0]);
    (outcomes, left, lengths)
}

#[tokio::test]
async fn the_shop_on_postgres_comes_to_the_same_end_as_on_sqlite() {
    let in_memory = |_: &str| Arc::new(Sqlite::in_memory().unwrap()) as Arc<dyn Store>;
    let expected = told(&in_memory, 1).await;
    let Some(engines) = Engines::find("the shop on PostgreSQL") else {
        return;
    };
    for replicas in [1, 2] {
        let name = |service: &str| format!("{}_{service}_{replicas}", engines.prefix);
        for service in shop::SERVICES {
            admin::create_database(&engines.postgres, &name(service))
                .await
                .unwrap();
        }
        let on_server = |service: &str| {
            let url = admin::url_of(&engines.postgres, &name(service));
            let store = Postgres::new(PostgresSettings::new(url, service)).unwrap();
            Arc::new(store) as Arc<dyn Store>
        };
        let found = told(&on_server, replicas).await;
        for service in shop::SERVICES {
            admin::drop_database(&engines.postgres, &name(service))
                .await
                .unwrap();
        }
        assert_eq!(found, expected, "{replicas} of each service");
    }
}
