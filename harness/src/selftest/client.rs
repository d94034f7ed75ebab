//! A client of a shop in a world. It writes down what it did and saw, like the clients of a real run.

use crate::client::NDJSON;
use crate::history::{Action, Operation, Outcome, Story};
use crate::load::ask::is_refusal;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use contract::http::{
    CreateProduct, Order, OrderAccepted, OrderItem, OrderStatus, PlaceOrder, Product,
};
use contract::{Cents, Line, OrderId, ProductId};
use http_body_util::BodyExt;
use platform::world::World;
use serde::Serialize;
use std::cell::RefCell;
use std::time::Duration;

/// How often a client asks before it gives up.
const TRIES: usize = 60;
/// How long it waits before it asks again.
const PAUSE: Duration = Duration::from_millis(250);

/// A client.
pub(super) struct Client {
    world: World,
    history: RefCell<Vec<Operation>>,
}

/// What a client is about to do.
pub(super) struct Intent<'a> {
    pub(super) story: Story,
    pub(super) key: Option<&'a str>,
    /// When it was meant to be done.
    pub(super) due_us: i64,
}

impl Client {
    /// Where the shop is.
    pub(super) const fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn new(world: World) -> Self {
        Self {
            world,
            history: RefCell::default(),
        }
    }

    /// What it did so far.
    pub(super) fn history(&self) -> Vec<Operation> {
        self.history.borrow().clone()
    }

    /// Creates a product; asks again until it is answered.
    pub(super) async fn create(
        &self,
        price_cents: Cents,
        stock: i64,
        key: &str,
    ) -> Option<ProductId> {
        let body = CreateProduct {
            name: "a record".to_owned(),
            price_cents,
            stock,
        };
        for _ in 0..TRIES {
            let intent = Intent {
                story: Story::Catalogue,
                key: Some(key),
                due_us: self.world.now_us(),
            };
            let start_us = self.world.now_us();
            let answer = self
                .post("products", "/api/v1/products", key, &json(&body))
                .await;
            let (outcome, id) = match answer {
                Ok((StatusCode::CREATED, text)) => match serde_json::from_str::<Product>(&text) {
                    Ok(product) => (
                        Outcome::Created {
                            product_id: product.id,
                        },
                        Some(product.id),
                    ),
                    Err(error) => (
                        Outcome::Unknown {
                            why: error.to_string(),
                        },
                        None,
                    ),
                },
                other => (not_done(other), None),
            };
            self.note(
                &intent,
                Action::CreateProduct { price_cents, stock },
                start_us,
                outcome,
            );
            if id.is_some() {
                return id;
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// Places an order; asks again until it is answered. None: it was refused, or there was no answer in all tries.
    pub(super) async fn place(&self, intent: &Intent<'_>, items: &[Line]) -> Option<OrderId> {
        for _ in 0..TRIES {
            match self.place_once(intent, items).await {
                Outcome::Ok { order_id, .. } => return Some(order_id),
                Outcome::Refused { status } if status < 500 => return None,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        None
    }

    async fn place_once(&self, intent: &Intent<'_>, items: &[Line]) -> Outcome {
        let start_us = self.world.now_us();
        let body = order_body(items);
        let outcome = match self
            .post(
                "orders",
                "/api/v1/orders",
                intent.key.unwrap_or_default(),
                &body,
            )
            .await
        {
            Ok((StatusCode::CREATED, text)) => accepted(&text),
            other => not_done(other),
        };
        self.note(
            intent,
            Action::Place {
                items: items.to_vec(),
            },
            start_us,
            outcome.clone(),
        );
        outcome
    }

    /// Sends a body that must be refused; asks again until it is answered.
    pub(super) async fn place_badly(&self, intent: &Intent<'_>, body: &str) {
        for _ in 0..TRIES {
            let start_us = self.world.now_us();
            let outcome = match self
                .post(
                    "orders",
                    "/api/v1/orders",
                    intent.key.unwrap_or_default(),
                    body,
                )
                .await
            {
                Ok((StatusCode::CREATED, text)) => accepted(&text),
                other => not_done(other),
            };
            let is_answered = !matches!(
                outcome,
                Outcome::Unknown { .. } | Outcome::Refused { status: 500.. }
            );
            self.note(
                intent,
                Action::PlaceBadly {
                    body: body.to_owned(),
                },
                start_us,
                outcome,
            );
            if is_answered {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends an order and hangs up at once.
    pub(super) async fn abandon(&self, intent: &Intent<'_>, items: &[Line]) {
        let start_us = self.world.now_us();
        let body = order_body(items);
        let sent = self.post(
            "orders",
            "/api/v1/orders",
            intent.key.unwrap_or_default(),
            &body,
        );
        // Polled once, which is enough to send it; nobody can answer before the clock has moved.
        let _ = tokio::time::timeout(Duration::ZERO, sent).await;
        let outcome = Outcome::Unknown {
            why: "hung up".to_owned(),
        };
        self.note(
            intent,
            Action::Place {
                items: items.to_vec(),
            },
            start_us,
            outcome,
        );
    }

    /// Looks at an order, or waits until it is settled; asks again until it is answered.
    pub(super) async fn read(
        &self,
        intent: &Intent<'_>,
        order_id: OrderId,
        wait: bool,
    ) -> Option<OrderStatus> {
        let query = if wait {
            "?wait=settled&timeoutMs=10000"
        } else {
            ""
        };
        for _ in 0..TRIES {
            let start_us = self.world.now_us();
            let answer = self
                .get(
                    "orders",
                    &format!("/api/v1/orders/{order_id}{query}"),
                    "application/json",
                )
                .await;
            let outcome = match answer {
                Ok((StatusCode::OK, text)) => match serde_json::from_str::<Order>(&text) {
                    Ok(order) => Outcome::Ok {
                        order_id,
                        status: order.status,
                        version: order.version,
                    },
                    Err(error) => Outcome::Unknown {
                        why: error.to_string(),
                    },
                },
                other => not_done(other),
            };
            self.note(intent, Action::Read { order_id }, start_us, outcome.clone());
            if let Outcome::Ok { status, .. } = outcome {
                return Some(status);
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// The lines of an export; asks again until it is answered.
    pub(super) async fn export(&self, service: &'static str, path: &str) -> Result<String, String> {
        let mut why = String::new();
        for _ in 0..TRIES {
            match self.get(service, path, NDJSON).await {
                Ok((StatusCode::OK, text)) => return Ok(text),
                Ok((status, text)) => why = format!("{status} {text}"),
                Err(error) => why = error,
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(why)
    }

    async fn post(
        &self,
        service: &'static str,
        path: &str,
        key: &str,
        body: &str,
    ) -> Result<(StatusCode, String), String> {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .header("idempotency-key", key);
        self.send(service, request.body(Body::from(body.to_owned())))
            .await
    }

    pub(super) async fn get(
        &self,
        service: &'static str,
        path: &str,
        accept: &str,
    ) -> Result<(StatusCode, String), String> {
        self.send(
            service,
            Request::get(path)
                .header("accept", accept)
                .body(Body::empty()),
        )
        .await
    }

    async fn send(
        &self,
        service: &'static str,
        request: Result<Request<Body>, axum::http::Error>,
    ) -> Result<(StatusCode, String), String> {
        let request = request.map_err(|error| error.to_string())?;
        let response = self
            .world
            .request(service, request)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?;
        let text =
            String::from_utf8(body.to_bytes().to_vec()).map_err(|error| error.to_string())?;
        Ok((status, text))
    }

    fn note(&self, intent: &Intent<'_>, action: Action, start_us: i64, outcome: Outcome) {
        let operation = Operation {
            story: intent.story,
            action,
            key: intent.key.map(str::to_owned),
            due_us: intent.due_us,
            start_us,
            end_us: self.world.now_us(),
            outcome,
        };
        self.history.borrow_mut().push(operation);
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn order_body(items: &[Line]) -> String {
    let item = |line: &Line| OrderItem {
        product_id: line.product_id,
        quantity: line.quantity,
    };
    json(&PlaceOrder {
        items: items.iter().map(item).collect(),
    })
}

fn accepted(text: &str) -> Outcome {
    match serde_json::from_str::<OrderAccepted>(text) {
        Ok(OrderAccepted {
            id,
            status,
            version,
            ..
        }) => Outcome::Ok {
            order_id: id,
            status,
            version,
        },
        Err(error) => Outcome::Unknown {
            why: error.to_string(),
        },
    }
}

/// What an answer that is no success says of the outcome.
fn not_done(answer: Result<(StatusCode, String), String>) -> Outcome {
    match answer {
        Ok((status, text)) if is_refusal(status, text.as_bytes()) => Outcome::Refused {
            status: status.as_u16(),
        },
        Ok((status, _)) => Outcome::Unknown {
            why: status.to_string(),
        },
        Err(why) => Outcome::Unknown { why },
    }
}
