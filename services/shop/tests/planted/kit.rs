//! One story for all planted bugs: orders of every kind, retries and rereads, and a trouble on top.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use contract::events::PaymentProcessed;
use contract::{Bug, Cents, Message, OrderId, PaymentId};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use platform::stage::Stage;
use platform::telemetry::SpanData;
use platform::world::Mischief;
use serde_json::{Value, json};
use shop::ProviderSettings;
use shop::world::ShopMischief;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;
use uuid::Uuid;

/// What goes wrong besides the bug.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// Nothing.
    None,
    /// Messages of this type are published twice.
    Duplicates(&'static str),
    /// The provider loses half of the answers.
    LostAnswers,
    /// The provider takes longer than payments waits.
    Slow,
    /// This service crashes at a port call, the one after so many or soon after it.
    Crash(&'static str, u64),
    /// The database of products is gone for a while.
    Outage,
    /// A message says that a payment is processed for an order that nobody knows.
    Poison,
}

/// Everything that can be seen from outside when the story is over.
#[derive(Default)]
pub struct Seen {
    pub orders: Vec<Value>,
    pub products: Vec<Value>,
    pub reservations: Vec<Value>,
    pub payments: Vec<Value>,
    pub charges: Vec<Value>,
    pub events: Vec<Value>,
    pub tap: Vec<Message>,
    pub dead: Vec<Value>,
    pub retrying: i64,
    /// Key, status and order id of each answer to a POST.
    pub told: Vec<(String, u16, String)>,
    /// The status of an order that a client waited for, and that of a read right after it.
    pub read: Vec<(String, String)>,
    pub poisoned_at_us: i64,
    /// What each service traced.
    pub spans: Vec<SpanData>,
    /// What each life of each service had counted at its end.
    pub metrics: Vec<(&'static str, String)>,
}

impl Seen {
    /// The order with this key, the first if there are several; null if there is none.
    pub fn order(&self, key: &str) -> &Value {
        let mut orders = self.orders.iter();
        let found = orders.find(|order| order["idempotencyKey"] == *key);
        found.unwrap_or(&Value::Null)
    }

    /// How many orders have this key.
    pub fn orders_of(&self, key: &str) -> usize {
        let of_key = |order: &&Value| order["idempotencyKey"] == *key;
        self.orders.iter().filter(of_key).count()
    }

    /// The order ids in the answers to POSTs with this key.
    pub fn ids_told_of(&self, key: &str) -> BTreeSet<&str> {
        let told = self.told.iter().filter(|(of, _, _)| of == key);
        told.map(|(_, _, id)| id.as_str()).collect()
    }

    /// The events of this type in all logs.
    pub fn said<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events
            .iter()
            .filter(move |event| event["type"] == *kind)
    }

    /// The orders that an event of this type is about.
    pub fn subjects(&self, kind: &str) -> BTreeSet<&str> {
        self.events
            .iter()
            .filter(|event| event["type"] == *kind)
            .map(|event| text(event, "subject"))
            .collect()
    }

    /// The lines of the metrics of a service that begin like this.
    pub fn counted<'a>(
        &'a self,
        service: &'a str,
        begin: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let texts = self.metrics.iter().filter(move |(of, _)| *of == service);
        let lines = texts.flat_map(|(_, text)| text.lines());
        lines.filter(move |line| line.starts_with(begin))
    }

    /// The sum of those lines.
    pub fn sum(&self, service: &str, begin: &str) -> f64 {
        let values = self.counted(service, begin);
        let values = values.filter_map(|line| line.rsplit_once(' '));
        values
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }

    /// The payment that was charged; null if there is none.
    pub fn charged(&self, charge: &Value) -> &Value {
        let mut payments = self.payments.iter();
        let found = payments.find(|payment| payment["id"] == charge["paymentId"]);
        found.unwrap_or(&Value::Null)
    }
}

/// The text in `field`, empty if there is none.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or("")
}

/// The id in `field`.
pub fn id(value: &Value, field: &str) -> String {
    text(value, field).to_owned()
}

/// The number in `field`, -1 if there is none.
pub fn number(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap_or(-1)
}

/// The array in `field`.
pub fn under<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

struct Shop {
    stage: Stage,
    told: Mutex<Vec<(String, u16, String)>>,
    read: Mutex<Vec<(String, String)>>,
}

/// Plays the story with `bug` and under `trouble`; a crash comes `place` passages of a port call later.
pub async fn story(bug: Option<Bug>, trouble: Trouble, place: u64) -> Seen {
    let (world, _) = shop::world::build(7, provider(trouble), mischief(bug, trouble, place)).await;
    let shop = Shop {
        stage: Stage::new(world, orders::NAME),
        told: Mutex::default(),
        read: Mutex::default(),
    };
    let (record, single) = (shop.product(1_499, 20).await, shop.product(99, 20).await);
    let (dollar, gold) = (
        shop.product(100, 5).await,
        shop.product(Cents::MAX_PRICE.get(), 5).await,
    );
    let rare = shop.product(4_002, 3).await;
    let poisoned_at_us = shop.stage.world().now_us();
    if matches!(trouble, Trouble::Poison) {
        shop.poison().await;
    }
    let lines = [
        ("paid", vec![(&record, 3), (&single, 1)]),
        ("paid too", vec![(&record, 2)]),
        ("cheap", vec![(&single, 1)]),
        ("dollar", vec![(&dollar, 1)]),
        ("gold", vec![(&gold, 1)]),
        ("greedy", vec![(&record, 50)]),
        ("declined", vec![(&rare, 2)]),
    ];
    join_all(lines.iter().map(|(key, lines)| shop.place(key, key, lines))).await;
    shop.place("paid", "paid", &lines[0].1).await;
    shop.place("paid, other body", "paid", &lines[1].1).await;
    for n in 0..8 {
        let key = format!("one by one {n}");
        shop.place(&key, &key, &[(&record, 1)]).await;
    }
    shop.rest().await;
    shop.seen(poisoned_at_us).await
}

fn provider(trouble: Trouble) -> ProviderSettings {
    let mut settings = ProviderSettings {
        decline_amounts_cents: vec![8_004.try_into().expect("an amount")],
        ..ProviderSettings::default()
    };
    match trouble {
        Trouble::LostAnswers => settings.lost_answer_rate = 0.5,
        Trouble::Slow => {
            settings.latency_ms_p50 = 1_500.0;
            settings.latency_ms_p99 = 1_600.0;
        }
        _ => {}
    }
    settings
}

fn mischief(bug: Option<Bug>, trouble: Trouble, place: u64) -> ShopMischief {
    let mut mischief = ShopMischief::default();
    match trouble {
        Trouble::Duplicates(kind) => {
            let duplicate = vec![(kind, 1)];
            mischief = ShopMischief::everywhere(&Mischief {
                duplicate,
                ..Mischief::default()
            });
        }
        Trouble::Crash(service, from) => {
            let crash = Mischief {
                crash_at: Some(from + place),
                dawdle: true,
                ..Mischief::default()
            };
            match service {
                orders::NAME => mischief.orders = crash,
                _ => mischief.products = crash,
            }
        }
        Trouble::Outage => {
            mischief.products.outage = Some(Duration::from_millis(10)..Duration::from_secs(5));
        }
        _ => {}
    }
    mischief.planted = bug;
    mischief
}

impl Shop {
    async fn ask(&self, service: &'static str, path: &str, body: Option<(&str, Value)>) -> Answer {
        let mut request = Request::builder().uri(path);
        let mut text = Body::empty();
        if let Some((key, body)) = body {
            request = request
                .method(Method::POST)
                .header("content-type", "application/json")
                .header("idempotency-key", key.replace(' ', "-"));
            text = Body::from(body.to_string());
        }
        let request = request.body(text).expect("a request");
        let response = self.stage.world().request(service, request).await.ok()?;
        let status = response.status();
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// Sends a POST until it is created or refused.
    async fn post(&self, service: &'static str, path: &str, key: &str, body: &Value) -> Answer {
        for _ in 0..50 {
            match self.ask(service, path, Some((key, body.clone()))).await {
                Some((status, _)) if status.is_server_error() => {}
                Some(answer) => return Some(answer),
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        None
    }

    async fn product(&self, price_cents: i64, stock: i64) -> String {
        let body = json!({ "name": "a record", "priceCents": price_cents, "stock": stock });
        let key = format!("product {price_cents}");
        let path = "/api/v1/products";
        let answer = self.post(products::NAME, path, &key, &body).await;
        let (status, product) = answer.expect("products answers");
        assert_eq!(status, StatusCode::CREATED, "{product}");
        id(&product, "id")
    }

    /// Places an order under `key`, told of as `name`; then waits for its end, and looks once more.
    async fn place(&self, name: &str, key: &str, lines: &[(&String, i64)]) {
        let line =
            |(id, quantity): &(&String, i64)| json!({ "productId": id, "quantity": quantity });
        let body = json!({ "items": lines.iter().map(line).collect::<Vec<_>>() });
        let path = "/api/v1/orders";
        let Some((status, answer)) = self.post(orders::NAME, path, key, &body).await else {
            return;
        };
        let order = id(&answer, "id");
        let told = (name.to_owned(), status.as_u16(), order.clone());
        self.told.lock().expect("no panic").push(told);
        if status == StatusCode::CREATED {
            let path = format!("{path}/{order}");
            let wait = format!("{path}?wait=settled&timeoutMs=1000");
            let first = self.ask(orders::NAME, &wait, None).await;
            let then = self.ask(orders::NAME, &path, None).await;
            if let (Some((_, first)), Some((_, then))) = (first, then) {
                let read = (id(&first, "status"), id(&then, "status"));
                self.read.lock().expect("no panic").push(read);
            }
        }
    }

    async fn poison(&self) {
        let order_id = OrderId(Uuid::from_u128(0xbad));
        let processed = PaymentProcessed {
            order_id,
            payment_id: PaymentId::of(order_id),
            amount_cents: Cents::ZERO,
            version: 2,
        };
        self.stage.tell(processed).await;
    }

    /// Waits until nothing moves any more, or until nothing will ever come to rest.
    async fn rest(&self) {
        let mut quiet = 0;
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            quiet = if self.is_quiet().await { quiet + 1 } else { 0 };
            if quiet == 2 {
                return;
            }
        }
    }

    async fn is_quiet(&self) -> bool {
        for service in shop::QUEUES {
            let Some((StatusCode::OK, view)) = self.ask(service, "/api/v1/queues", None).await
            else {
                return false;
            };
            let moving = ["ready", "unacked", "retrying", "unpublished"];
            if moving.iter().any(|count| view[count] != 0) {
                return false;
            }
        }
        let orders = self.stage.export("/api/v1/orders").await;
        orders.iter().all(|order| order["status"] != "created")
    }

    async fn seen(self, poisoned_at_us: i64) -> Seen {
        let stage = &self.stage;
        let mut seen = Seen {
            orders: stage.export("/api/v1/orders").await,
            products: stage.export_of(products::NAME, "/api/v1/products").await,
            reservations: stage
                .export_of(products::NAME, "/api/v1/reservations")
                .await,
            payments: stage.export_of(payments::NAME, "/api/v1/payments").await,
            charges: stage
                .export_of(payments::provider::NAME, "/api/v1/charges")
                .await,
            tap: stage.tapped().await,
            poisoned_at_us,
            spans: stage
                .world()
                .traced()
                .into_iter()
                .flat_map(|(_, spans)| spans)
                .collect(),
            metrics: counted(stage),
            ..Seen::default()
        };
        for service in shop::QUEUES {
            seen.events
                .extend(stage.export_of(service, "/api/v1/events").await);
            seen.dead
                .extend(stage.export_of(service, "/api/v1/dead-letters").await);
            if let Some((_, view)) = self.ask(service, "/api/v1/queues", None).await {
                seen.retrying += number(&view, "retrying");
            }
        }
        seen.told = self.told.into_inner().expect("no panic");
        seen.read = self.read.into_inner().expect("no panic");
        seen
    }
}

/// What each life of each service counted: those that died, and those that live.
fn counted(stage: &Stage) -> Vec<(&'static str, String)> {
    let world = stage.world();
    let died = world.last_words().into_iter();
    let died = died.map(|(service, _, text)| (service, text));
    let live = shop::SERVICES.map(|service| {
        let text = world.context(service).metrics().open_metrics();
        (service, text)
    });
    died.chain(live).collect()
}

/// An answer: its status and its JSON body; none when there was none.
type Answer = Option<(StatusCode, Value)>;
