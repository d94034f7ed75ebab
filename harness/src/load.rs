//! Sends orders at a rate, whatever the shop does: the open model.
//!
//! A thread of its own gives the starts out at absolute times. Latency counts from the intended start, so a
//! shop that stalls cannot hide it by slowing the generator down; how late the generator itself is, is measured.

use crate::client::{Call, Client, ClientError};
use crate::evidence::{Operation, Outcome};
use bytes::Bytes;
use contract::Line;
use contract::http::{OrderAccepted, OrderItem, PlaceOrder};
use hdrhistogram::Histogram;
use hyper::StatusCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{Semaphore, mpsc};

/// Requests in flight at a time. More wait, and their latency shows it.
const IN_FLIGHT_MAX: usize = 1_000;
/// Latencies are kept up to this many microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// An order to send, ready to be sent.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its Idempotency-Key.
    pub key: String,
    /// Its lines.
    pub items: Vec<Line>,
}

/// What the load has done so far; read while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    /// Orders whose start was due.
    pub offered: AtomicU64,
    /// Orders that were acknowledged.
    pub accepted: AtomicU64,
    /// Orders that certainly were not taken.
    pub refused: AtomicU64,
    /// Orders that nobody knows of.
    pub unknown: AtomicU64,
}

/// What the load has seen in the end.
#[derive(Debug)]
pub struct Sent {
    /// Each order, how it ended, and its intended start in microseconds since 1970, in the order of sending.
    pub operations: Vec<(Operation, i64)>,
    /// From the intended start to the answer of accepted orders, microseconds.
    pub accept_us: Histogram<u64>,
    /// From the intended start to the actual one, microseconds.
    pub late_us: Histogram<u64>,
}

struct Start {
    order: Planned,
    due: Instant,
    due_us: i64,
}

/// Sends `orders` to the orders service, `rate` a second.
///
/// # Panics
/// When the system has no thread for the pacer.
pub async fn send(
    orders: Client,
    planned: Vec<Planned>,
    rate: f64,
    progress: Arc<Progress>,
) -> Sent {
    let (starts, mut due) = mpsc::channel(planned.len().max(1));
    let pacer = std::thread::Builder::new()
        .name("pacer".to_owned())
        .spawn(move || pace(planned, rate, &starts));
    pacer.expect("a thread for the pacer");
    let sent = Arc::new(Mutex::new(Sent {
        operations: Vec::new(),
        accept_us: histogram(),
        late_us: histogram(),
    }));
    let permits = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    while let Some(start) = due.recv().await {
        progress.offered.fetch_add(1, Ordering::Relaxed);
        let permit = Arc::clone(&permits).acquire_owned().await;
        let (client, progress, sent) = (orders.clone(), Arc::clone(&progress), Arc::clone(&sent));
        let slot = reserve(&sent, &start);
        tokio::spawn(async move {
            let outcome = place(&client, &start.order).await;
            progress.count(&outcome);
            let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(outcome, Outcome::Ok(_)) {
                sent.accept_us
                    .saturating_record(micros(start.due.elapsed()));
            }
            sent.operations[slot].0.outcome = outcome;
            drop(permit);
        });
    }
    // All permits back means that every request has ended; nobody closes the semaphore.
    let all = u32::try_from(IN_FLIGHT_MAX).unwrap_or(u32::MAX);
    drop(permits.acquire_many(all).await);
    let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(
        &mut *sent,
        Sent {
            operations: Vec::new(),
            accept_us: histogram(),
            late_us: histogram(),
        },
    )
}

/// Notes the order before it is sent: should nobody ever hear of it again, it is unknown.
fn reserve(sent: &Mutex<Sent>, start: &Start) -> usize {
    let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
    sent.late_us.saturating_record(micros(start.due.elapsed()));
    let Planned { key, items } = start.order.clone();
    let outcome = Outcome::Unknown("never ended".to_owned());
    sent.operations.push((
        Operation {
            key,
            items,
            outcome,
        },
        start.due_us,
    ));
    sent.operations.len() - 1
}

/// Gives each order out when it is due. Sleeps to absolute times, so that delays do not add up.
fn pace(planned: Vec<Planned>, rate: f64, starts: &mpsc::Sender<Start>) {
    let (began, began_us) = (Instant::now(), now_us());
    for (n, order) in (0_u32..).zip(planned) {
        let after = Duration::from_secs_f64(f64::from(n) / rate);
        std::thread::sleep(after.saturating_sub(began.elapsed()));
        let due_us = began_us + i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
        if starts
            .try_send(Start {
                order,
                due: began + after,
                due_us,
            })
            .is_err()
        {
            return;
        }
    }
}

/// Places one order and says how it ended.
pub async fn place(client: &Client, order: &Planned) -> Outcome {
    let item = |line: &Line| OrderItem {
        product_id: line.product_id,
        quantity: line.quantity,
    };
    let body = PlaceOrder {
        items: order.items.iter().map(item).collect(),
    };
    let body = serde_json::to_vec(&body).map(Bytes::from);
    let Ok(body) = body else {
        return Outcome::Refused(0);
    };
    match client
        .send(Call::post("/api/v1/orders", body, &order.key))
        .await
    {
        Ok((StatusCode::CREATED, body)) => match serde_json::from_slice::<OrderAccepted>(&body) {
            Ok(accepted) => Outcome::Ok(accepted.id),
            Err(error) => Outcome::Unknown(format!("a 201 that cannot be read: {error}")),
        },
        // Overloaded is said before any effect; every other 5xx may have happened.
        Ok((StatusCode::SERVICE_UNAVAILABLE, body))
            if body.windows(10).any(|part| part == b"overloaded") =>
        {
            Outcome::Refused(503)
        }
        Ok((status, _)) if status.is_client_error() => Outcome::Refused(status.as_u16()),
        Ok((status, _)) => Outcome::Unknown(status.to_string()),
        Err(ClientError::NotSent { .. }) => Outcome::Refused(0),
        Err(error @ ClientError::Unknown(_)) => Outcome::Unknown(error.to_string()),
    }
}

impl Progress {
    fn count(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Ok(_) => &self.accepted,
            Outcome::Refused(_) => &self.refused,
            Outcome::Unknown(_) => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A histogram of microseconds with three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 3).expect("bounds that a histogram can have")
}

/// Now, microseconds since 1970.
fn now_us() -> i64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
