//! What every test here does: wait, ask once, and place orders again and again.

use bytes::Bytes;
use harness::client::{Call, Client};
use harness::target::Places;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long one answer may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Between two orders.
const PAUSE: Duration = Duration::from_millis(40);

/// Looks again and again until there is something; ends the test if that takes too long.
pub fn until<T>(what: impl Display, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(LOOK);
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

/// The status and the text of an answer; none if there is none.
pub fn ask(address: SocketAddr, call: Call<'_>) -> Option<(StatusCode, String)> {
    let client = Client::new(address, ANSWERS_WITHIN);
    let (status, body) = block_on(client.send(call)).ok()?;
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Makes the provider behave like this; what is not given is as usual.
pub fn behave(provider: SocketAddr, settings: &Value) {
    let call = Call {
        method: Method::PUT,
        body: Some(Bytes::from(settings.to_string())),
        ..Call::get("/api/v1/settings")
    };
    let (status, said) = ask(provider, call).expect("an answer");
    assert_eq!(status, 200, "{said}");
}

/// The shop as `--target` takes it.
pub fn target(places: &Places) -> String {
    let services = harness::target::SERVICES;
    let addresses = services.map(|service| format!("{service}=http://{}", places.of(service)[0]));
    addresses.join(",")
}

/// Orders that keep coming, whatever becomes of them, until it is dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Of one product, at the shop that is there.
    pub fn start(places: &Places) -> Self {
        let product = product(places.of("products")[0]);
        let order = json!({"items": [{"productId": product, "quantity": 1}]});
        let orders = Client::new(places.of("orders")[0], ANSWERS_WITHIN);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            block_on(place_orders(
                &orders,
                &Bytes::from(order.to_string()),
                &stopped,
            ));
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// The id of a new product of which there is enough.
fn product(products: SocketAddr) -> String {
    let product = json!({"name": "a record", "priceCents": 500, "stock": 100_000});
    let call = Call::post("/api/v1/products", product.to_string().into(), "a-product");
    let (status, body) = ask(products, call).expect("an answer");
    assert_eq!(status, 201, "{body}");
    let product: Value = serde_json::from_str(&body).expect("JSON");
    product["id"].as_str().expect("an id").to_owned()
}

/// The pace does not depend on the answers.
async fn place_orders(orders: &Client, order: &Bytes, stop: &AtomicBool) {
    let mut asked = tokio::task::JoinSet::new();
    let mut due = tokio::time::interval(PAUSE);
    for n in 0_u32.. {
        due.tick().await;
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (orders, order) = (orders.clone(), order.clone());
        asked.spawn(async move {
            let key = format!("order-{n}");
            // Whether it was accepted is what the shop is asked about.
            let _ = orders.send(Call::post("/api/v1/orders", order, &key)).await;
        });
        while asked.try_join_next().is_some() {}
    }
}
