//! What the stories are told with.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use contract::http::{Order, OrderAccepted, OrderStatus, Product};
use contract::{Cents, OrderId, ProductId};
use harness::check::{Verdict, judge};
use harness::evidence::{Evidence, Reader, collect};
use harness::history::{Action, Operation, Outcome, Story};
use harness::plan::Plan;
use harness::target::nothing_moves;
use http_body_util::BodyExt;
use payments::provider::Simulated;
use platform::world::{Unknown, World};
use serde_json::{Value, json};
use shop::ProviderSettings;
use shop::world::ShopMischief;
use std::sync::Mutex;
use std::time::Duration;

/// The shop in a world, and what its clients have seen.
pub struct Shop {
    pub world: World,
    pub provider: Simulated,
    history: Mutex<Vec<Operation>>,
}

/// Runs `story` in a fresh runtime with paused time.
pub fn tell<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime with a timer")
        .block_on(story)
}

/// An answer: its status and its JSON body.
pub type Answer = (StatusCode, Value);

impl Shop {
    pub async fn open(seed: u64) -> Self {
        Self::with(seed, ProviderSettings::default(), ShopMischief::default()).await
    }

    pub async fn with(seed: u64, provider: ProviderSettings, mischief: ShopMischief) -> Self {
        let (world, provider) = shop::world::build(seed, provider, mischief).await;
        Self {
            world,
            provider,
            history: Mutex::default(),
        }
    }

    /// Sends a request; a body makes it a POST.
    pub async fn ask(
        &self,
        service: &'static str,
        path: &str,
        body: Option<Value>,
        key: Option<&str>,
    ) -> Result<Answer, Unknown> {
        let mut request = Request::builder().uri(path);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = match body {
            Some(body) => {
                let request = request
                    .method("POST")
                    .header("content-type", "application/json");
                request.body(Body::from(body.to_string()))
            }
            None => request.body(Body::empty()),
        };
        let response = self.world.request(service, request.unwrap()).await?;
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|_| Unknown)?
            .to_bytes();
        Ok((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    }

    /// Creates a product; asks again until it is answered.
    pub async fn product(&self, price_cents: i64, stock: i64) -> ProductId {
        let body = json!({ "name": "a record", "priceCents": price_cents, "stock": stock });
        let key = format!("product-{price_cents}-{stock}-{}", self.world.now_us());
        for _ in 0..100 {
            if let Ok((StatusCode::CREATED, product)) = self
                .ask(
                    "products",
                    "/api/v1/products",
                    Some(body.clone()),
                    Some(&key),
                )
                .await
            {
                let product: Product = serde_json::from_value(product).unwrap();
                let price_cents = Cents::try_from(price_cents).unwrap();
                let action = Action::CreateProduct { price_cents, stock };
                let outcome = Outcome::Created {
                    product_id: product.id,
                };
                self.note(action, Some(&key), outcome, self.world.now_us());
                return product.id;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("no product after 100 tries");
    }

    /// Sends `POST /orders` once.
    pub async fn order(
        &self,
        lines: &[(ProductId, i64)],
        key: Option<&str>,
    ) -> Result<Answer, Unknown> {
        let line =
            |(id, quantity): &(ProductId, i64)| json!({ "productId": id, "quantity": quantity });
        let items: Vec<Value> = lines.iter().map(line).collect();
        let start_us = self.world.now_us();
        let body = Some(json!({ "items": items }));
        let answer = self.ask("orders", "/api/v1/orders", body, key).await;
        let outcome = match &answer {
            Ok((StatusCode::CREATED, body)) => {
                let accepted = accepted(body);
                let (order_id, status, version) = (accepted.id, accepted.status, accepted.version);
                Outcome::Ok {
                    order_id,
                    status,
                    version,
                }
            }
            Ok((status, _)) if status.is_client_error() => Outcome::Refused {
                status: status.as_u16(),
            },
            Ok((status, _)) => Outcome::Unknown {
                why: status.to_string(),
            },
            Err(unknown) => Outcome::Unknown {
                why: unknown.to_string(),
            },
        };
        let items = serde_json::from_value(json!(items)).unwrap_or_default();
        self.note(Action::Place { items }, key, outcome, start_us);
        answer
    }

    fn note(&self, action: Action, key: Option<&str>, outcome: Outcome, start_us: i64) {
        self.history.lock().unwrap().push(Operation {
            story: Story::Happy,
            action,
            key: key.map(str::to_owned),
            due_us: start_us,
            start_us,
            end_us: self.world.now_us(),
            outcome,
        });
    }

    /// Places an order with a key; asks again until it is answered.
    pub async fn place(&self, lines: &[(ProductId, i64)], key: &str) -> OrderId {
        for _ in 0..100 {
            match self.order(lines, Some(key)).await {
                Ok((StatusCode::CREATED, body)) => return accepted(&body).id,
                Ok((status, body)) if status.is_client_error() => panic!("{status}: {body}"),
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
        panic!("no order after 100 tries");
    }

    /// Waits until the order is settled; asks again when the service dies meanwhile.
    pub async fn settled(&self, id: OrderId) -> Order {
        for _ in 0..100 {
            let path = format!("/api/v1/orders/{id}?wait=settled&timeoutMs=30000");
            if let Ok((StatusCode::OK, body)) = self.ask("orders", &path, None, None).await {
                let order: Order = serde_json::from_value(body).unwrap();
                if order.status.is_settled() {
                    return order;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("order {id} does not settle\n{}", self.world.log());
    }

    /// Places an order and waits for its end: `finished`, or the reason why it was canceled.
    pub async fn outcome(&self, lines: &[(ProductId, i64)], key: &str) -> String {
        let id = self.place(lines, key).await;
        let order = self.settled(id).await;
        match (order.status, order.reason) {
            (OrderStatus::Finished, None) => "finished".to_owned(),
            (OrderStatus::Canceled, Some(reason)) => reason.as_str().to_owned(),
            other => panic!("order {id} ended as {other:?}"),
        }
    }

    /// Waits until the provider has made `n` charges.
    pub async fn charged(&self, n: usize) {
        for _ in 0..300 {
            if self.evidence().await.charges.len() >= n {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("fewer than {n} charges\n{}", self.world.log());
    }

    /// How many units of a product can be reserved.
    pub async fn available(&self, id: ProductId) -> i64 {
        let (_, body) = self
            .ask("products", &format!("/api/v1/products/{id}"), None, None)
            .await
            .unwrap();
        body["available"].as_i64().unwrap()
    }

    /// Waits until nothing moves any more: logs published and queues empty twice, a while apart.
    pub async fn at_rest(&self) {
        let mut quiet = 0;
        for _ in 0..1_000 {
            tokio::time::sleep(self.world.patience()).await;
            quiet = if self.is_quiet().await { quiet + 1 } else { 0 };
            if quiet == 2 {
                return;
            }
        }
        panic!("the world does not come to rest\n{}", self.world.log());
    }

    async fn is_quiet(&self) -> bool {
        for service in shop::SERVICES {
            let Ok((StatusCode::OK, view)) = self.ask(service, "/api/v1/queues", None, None).await
            else {
                return false;
            };
            if !nothing_moves(&view) {
                return false;
            }
        }
        let evidence = self.evidence().await;
        evidence.missing.is_empty() && evidence.orders.iter().all(|row| row.status.is_settled())
    }

    pub async fn evidence(&self) -> Evidence {
        let plan = Plan {
            starts: 1,
            rest_us: self.world.now_us(),
            attempts_max: 3,
            attempts_us: 10_000_000,
            ..Plan::default()
        };
        let history = self.history.lock().unwrap().clone();
        collect(Reader::default(), plan, history, |service, path| {
            self.export(service, path)
        })
        .await
    }

    /// The NDJSON export at `path`.
    pub async fn export(
        &self,
        service: &'static str,
        path: impl AsRef<str>,
    ) -> Result<String, String> {
        let request = Request::builder()
            .uri(path.as_ref())
            .header("accept", "application/x-ndjson");
        let response = self
            .world
            .request(service, request.body(Body::empty()).unwrap())
            .await;
        let body = response
            .map_err(|error| error.to_string())?
            .into_body()
            .collect()
            .await;
        String::from_utf8(body.map_err(|error| error.to_string())?.to_bytes().to_vec())
            .map_err(|e| e.to_string())
    }

    /// What must hold after every story.
    pub async fn holds(&self) {
        self.holds_but(&[]).await;
    }

    /// Like [`Shop::holds`], without these checks: the story itself has put something on the exchange.
    pub async fn holds_but(&self, checks: &[&str]) {
        self.at_rest().await;
        let findings = judge(&self.evidence().await);
        for finding in findings
            .iter()
            .filter(|finding| !checks.contains(&finding.id.as_str()))
        {
            assert_ne!(
                finding.verdict,
                Verdict::Invalid,
                "{finding:#?}\n{}",
                self.world.log()
            );
        }
    }

    /// Like [`Shop::holds`], and every check had something to look at.
    pub async fn ends_well(&self) {
        self.holds().await;
        for finding in judge(&self.evidence().await) {
            let is_well = [Verdict::Valid, Verdict::NotApplicable].contains(&finding.verdict);
            assert!(is_well, "{finding:#?}");
        }
    }
}

/// The body of a 201.
pub fn accepted(body: &Value) -> OrderAccepted {
    serde_json::from_value(body.clone()).expect("a 201 has this body")
}
