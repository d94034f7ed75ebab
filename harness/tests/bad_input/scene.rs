//! A running shop with something in it to lose, and a way to tell whether anything in it has changed.

use crate::wire::{Answer, Request, exchange, get, post};
use platform::Settings;
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use serde_json::Value;
use shop::{Embedded, EmbeddedConfig, ProviderSettings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// How long the shop waits for headers, and again for a body.
pub const READ_TIMEOUT: Duration = Duration::from_millis(300);

/// An id that nothing has.
pub const NOBODY: &str = "01900000-0000-7000-8000-00000000dead";

/// The Idempotency-Key under which the scene's own product, restock and order were sent.
pub const USED_KEY: &str = "used-before";

/// The key of the first good requests after all bad ones; bad ones were sent under it too.
pub const GOOD_KEY: &str = "good-at-last";

/// Everything whose change would be an effect.
const EXPORTS: [(&str, &str); 19] = [
    ("orders", "/api/v1/orders"),
    ("orders", "/api/v1/events"),
    ("orders", "/api/v1/inbox"),
    ("orders", "/api/v1/queues"),
    ("orders", "/api/v1/dead-letters"),
    ("products", "/api/v1/products"),
    ("products", "/api/v1/reservations"),
    ("products", "/api/v1/events"),
    ("products", "/api/v1/inbox"),
    ("products", "/api/v1/queues"),
    ("products", "/api/v1/dead-letters"),
    ("payments", "/api/v1/payments"),
    ("payments", "/api/v1/events"),
    ("payments", "/api/v1/inbox"),
    ("payments", "/api/v1/queues"),
    ("payments", "/api/v1/dead-letters"),
    ("provider", "/api/v1/charges"),
    ("provider", "/api/v1/events"),
    ("provider", "/api/v1/settings"),
];

type Exports = BTreeMap<(&'static str, &'static str), String>;

/// The shop, and what was in it at the beginning.
pub struct Scene {
    shop: Embedded,
    _data: TempDir,
    log: Arc<Mutex<String>>,
    pub product: String,
    pub other_product: String,
    pub order: String,
    pub payment: String,
    before: Exports,
}

impl Scene {
    /// Starts a shop on free ports, sells something in it, and waits until it is at rest.
    pub async fn open() -> Self {
        let data = tempfile::tempdir().expect("a directory for the databases");
        let log: Arc<Mutex<String>> = Arc::default();
        let provider = ProviderSettings {
            latency_ms_p50: 0.0,
            ..ProviderSettings::default()
        };
        let config = EmbeddedConfig {
            data: data.path().to_owned(),
            synchronous: Synchronous::Normal,
            provider,
            settings: Settings {
                read_timeout: READ_TIMEOUT,
                ..Settings::default()
            },
            log: LogSettings {
                format: Format::Human,
                filter: "info".to_owned(),
                sink: Sink::Memory(Arc::clone(&log)),
            },
            telemetry: None,
            seed: 1,
            port: None,
            planted: None,
            addresses: None,
            tap_max: shop::TAP_MAX,
        };
        let mut scene = Self {
            shop: Embedded::start(&config).expect("a shop on free ports"),
            _data: data,
            log,
            product: String::new(),
            other_product: String::new(),
            order: String::new(),
            payment: String::new(),
            before: Exports::new(),
        };
        scene.furnish().await;
        scene.before = scene.at_rest().await;
        scene
    }

    async fn furnish(&mut self) {
        let product = r#"{"name":"a record","priceCents":1499,"stock":1000}"#;
        let keyed = post("products", "/api/v1/products", product).with("idempotency-key", USED_KEY);
        self.product = text(&self.done(&keyed, 201).await.json(), "id");
        let plain = post("products", "/api/v1/products", product);
        self.other_product = text(&self.done(&plain, 201).await.json(), "id");
        self.restocks(&format!("{USED_KEY}-restock")).await;
        self.order = self.sells(USED_KEY).await;
        let payments = self.done(&get("payments", "/api/v1/payments"), 200).await;
        self.payment = text(&payments.json()["items"][0], "id");
    }

    /// Orders one unit and follows the order to its end; returns its id.
    async fn sells(&self, key: &str) -> String {
        let body = self.fill(r#"{"items":[$line]}"#);
        let order = post("orders", "/api/v1/orders", body).with("idempotency-key", key);
        let created = self.done(&order, 201).await;
        let place = created.header("location").expect("a 201 tells where");
        let wait = get("orders", &format!("{place}?wait=settled&timeoutMs=10000"));
        let settled = self.done(&wait, 200).await.json();
        assert_eq!(settled["status"], "finished", "{settled}");
        text(&settled, "id")
    }

    async fn restocks(&self, key: &str) {
        let path = self.fill("/api/v1/products/$P/restock");
        let restock = post("products", &path, r#"{"quantity":5}"#);
        self.done(&restock.with("idempotency-key", key), 200).await;
    }

    /// `text` with the scene's own ids and lines in it.
    pub fn fill(&self, text: &str) -> String {
        text.replace("$line", r#"{"productId":"$P","quantity":1}"#)
            .replace("$other", r#"{"productId":"$Q","quantity":1}"#)
            .replace("$P", &self.product)
            .replace("$Q", &self.other_product)
            .replace("$O", &self.order)
            .replace("$Y", &self.payment)
            .replace("$N", NOBODY)
    }

    /// Sends a request that should succeed.
    async fn done(&self, request: &Request, status: u16) -> Answer {
        let answer = self.send(request).await.expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
        answer
    }

    /// Sends a request. None: the connection was closed without an answer.
    pub async fn send(&self, request: &Request) -> Option<Answer> {
        exchange(self.address(request.service), &request.bytes()).await
    }

    /// Where a service listens.
    pub fn address(&self, service: &str) -> SocketAddr {
        let all = self.shop.addresses.all();
        let found = all.iter().find(|(name, _)| *name == service);
        found.expect("one of the four").1
    }

    async fn exports(&self) -> Exports {
        let mut exports = Exports::new();
        for (service, path) in EXPORTS {
            let request = get(service, path).with("accept", "application/x-ndjson");
            exports.insert((service, path), self.done(&request, 200).await.text());
        }
        exports
    }

    /// The exports, when nothing moves any more: everything published, all queues empty, twice the same.
    async fn at_rest(&self) -> Exports {
        let mut last = Exports::new();
        for _ in 0..1_000 {
            let exports = self.exports().await;
            let quiet = exports
                .iter()
                .filter(|((_, path), _)| *path == "/api/v1/queues")
                .all(|(_, text)| is_empty(text));
            if quiet && exports == last {
                return exports;
            }
            last = exports;
        }
        panic!("the shop does not come to rest: {last:#?}");
    }

    /// The value of a metric: the number at the end of the line that begins with `series`; 0 if there is none.
    pub async fn metric(&self, service: &'static str, series: &str) -> f64 {
        let text = self.done(&get(service, "/metrics"), 200).await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0.0, |number| number.trim().parse().expect("a number"))
    }

    /// Panics unless everything is as it was at the beginning, byte by byte, and the shop still sells.
    pub async fn ends_unchanged(self) {
        for (export, now) in &self.at_rest().await {
            assert_eq!(*now, self.before[export], "{export:?} has changed");
        }
        self.sells(GOOD_KEY).await;
        self.restocks(GOOD_KEY).await;
        self.shop.stop();
        let log = self.log.lock().unwrap();
        let failed = log.lines().find(|line| line.contains("ERROR"));
        assert_eq!(failed, None, "bad input is the client's error, not ours");
    }
}

/// Whether a view of a queue shows nothing that still has to move.
fn is_empty(view: &str) -> bool {
    let view: Value = serde_json::from_str(view).expect("a view of a queue");
    let counts = ["ready", "unacked", "retrying", "unpublished"];
    counts.iter().all(|count| view[count] == 0)
}

/// A field that is a text.
fn text(json: &Value, name: &str) -> String {
    json[name].as_str().expect("a text").to_owned()
}
