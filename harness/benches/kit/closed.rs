//! A closed model: so many clients place an order, wait until it is settled, and place the next.

use contract::http::{CreateProduct, Product};
use contract::{Line, Quantity};
use harness::client::{Call, Client};
use harness::history::Outcome;
use harness::load::{ask::place, histogram};
use harness::target::Clients;
use hdrhistogram::Histogram;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// Orders on their way at a time.
pub(crate) const IN_FLIGHT: usize = 256;
const PRODUCTS: i64 = 100;

/// Where orders are placed, and where products are created.
pub(crate) struct Doors {
    pub(crate) orders: Clients,
    pub(crate) products: Clients,
}

/// Settles `total` orders with a fixed number in flight; returns sagas a second.
pub(crate) async fn closed(doors: &Doors, total: u64, name: &str, in_flight: usize) -> f64 {
    timed(doors, total, name, in_flight).await.0
}

/// Like [`closed`], and tells from the request to the settled order, microseconds.
pub(crate) async fn timed(
    doors: &Doors,
    total: u64,
    name: &str,
    in_flight: usize,
) -> (f64, Histogram<u64>) {
    let took = Rc::new(RefCell::new(histogram()));
    let mut ids = Vec::new();
    for n in 0..PRODUCTS {
        ids.push(create(doors.products.first(), name, n).await.id);
    }
    let next = Rc::new(Cell::new(0));
    let began = Instant::now();
    let clients: Vec<_> = (0..in_flight)
        .map(|_| {
            let (orders, next, ids) = (doors.orders.clone(), Rc::clone(&next), ids.clone());
            let (took, name) = (Rc::clone(&took), name.replace(' ', "-"));
            tokio::task::spawn_local(async move {
                while next.get() < total {
                    let n = next.get();
                    next.set(n + 1);
                    let line = |at: u64| Line {
                        product_id: ids[usize::try_from(at).unwrap_or(0) % ids.len()],
                        quantity: Quantity::try_from(1).expect("one is a quantity"),
                    };
                    let items = if n % 3 == 0 {
                        vec![line(n), line(n + 1)]
                    } else {
                        vec![line(n)]
                    };
                    let placed = Instant::now();
                    one(orders.next(), &format!("{name}-{n:09}"), &items).await;
                    let us = u64::try_from(placed.elapsed().as_micros()).unwrap_or(u64::MAX);
                    took.borrow_mut().saturating_record(us);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.expect("a client that does not panic");
    }
    let rate = total as f64 / began.elapsed().as_secs_f64();
    let took = took.borrow().clone();
    (rate, took)
}

async fn create(products: &Client, name: &str, n: i64) -> Product {
    let new = CreateProduct {
        name: format!("record {n}"),
        price_cents: (1_000 + n).try_into().expect("a price"),
        stock: 100_000_000,
    };
    let body = serde_json::to_vec(&new).expect("JSON").into();
    let key = format!("{}-product-{n}", name.replace(' ', "-"));
    let (_, body) = products
        .send(Call::post("/api/v1/products", body, &key))
        .await
        .expect("a product");
    serde_json::from_slice(&body).expect("a product")
}

/// One order from the request to its end.
async fn one(orders: &Client, key: &str, items: &[Line]) {
    let Outcome::Ok { order_id: id, .. } = place(orders, key, items).await else {
        panic!("an order was not taken")
    };
    let path = format!("/api/v1/orders/{id}?wait=settled&timeoutMs=30000");
    let (status, body) = orders.send(Call::get(&path)).await.expect("an answer");
    let finished = body
        .windows(20)
        .any(|part| part == br#""status":"finished","#);
    assert!(
        status.is_success() && finished,
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
}
