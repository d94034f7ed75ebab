//! Sends what a workload plans, at its times, whatever the shop does: the open model.
//!
//! A thread of its own gives the starts out at absolute times, another one sends. Latency counts from the
//! intended start, so a shop that stalls cannot hide it by slowing the generator down; how late the generator
//! itself is, is measured. Nothing is kept of what has ended: operations go to whoever writes them down.

pub mod ask;
mod figures;
mod pacer;
mod script;

pub use figures::{Look, Progress, Sent, histogram};

use crate::history::Operation;
use crate::target::Clients;
use crate::workload::Workload;
use contract::ProductId;
use figures::add;
use pacer::{Due, Epoch, pace};
use script::{Shared, play};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// What to send, where to, and within which bounds.
pub struct Load {
    /// The replicas of the orders service, asked in turn. The load opens connections of its own to them.
    pub orders: Clients,
    /// The plan.
    pub workload: Workload,
    /// Begins every Idempotency-Key: `{run}-{n}` for the n-th start.
    pub run: String,
    /// The products that were created, by their places in the catalogue.
    pub products: Vec<ProductId>,
    /// How much there may be of everything.
    pub limits: Limits,
    /// Stops early when it becomes true: nothing more is sent, what is in flight may end within two seconds.
    pub stop: watch::Receiver<bool>,
}

/// How much there may be of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Starts in flight at a time, and so connections. Those above it wait, and their latency shows it.
    pub in_flight_max: usize,
    /// Starts that may wait; those above it are dropped, and counted.
    pub waiting_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: 1_000,
            waiting_max: 50_000,
        }
    }
}

/// Sends the load. Each operation goes to `history` when it has ended; a reader that is slow holds up who has
/// something to tell, not who has something to send. When nobody reads it any more, nothing more is sent.
///
/// # Panics
/// When the system has no thread left, or a client of ours panics.
pub async fn send(load: Load, progress: Arc<Progress>, history: mpsc::Sender<Operation>) -> Sent {
    let (done, ended) = oneshot::channel();
    spawn("load", move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime for the load");
        let sent = runtime.block_on(send_all(load, progress, history));
        // Nobody waits for it any more: the run was given up.
        let _ = done.send(sent);
    });
    ended.await.expect("a load that does not panic")
}

async fn send_all(load: Load, progress: Arc<Progress>, history: mpsc::Sender<Operation>) -> Sent {
    let Load {
        orders,
        workload,
        run,
        products,
        limits,
        stop,
    } = load;
    let epoch = Epoch::soon();
    // A double click takes two places at once.
    let in_flight_max = limits.in_flight_max.max(2);
    let shared = Arc::new(Shared {
        orders: orders.with_own_connections(),
        run,
        products,
        permits: Semaphore::new(in_flight_max),
        epoch,
        stop: stop.clone(),
        progress: Arc::clone(&progress),
        sent: Mutex::new(Sent::new()),
        history,
    });
    let (starts, mut due) = mpsc::channel::<Due>(limits.waiting_max.max(1));
    let counted = Arc::clone(&progress);
    spawn("pacer", move || {
        pace(workload.starts, epoch, &starts, &counted, &stop);
    });
    let mut clients = JoinSet::new();
    while let Some(due) = due.recv().await {
        if clients.len() >= in_flight_max + limits.waiting_max {
            add(&progress.dropped);
            continue;
        }
        clients.spawn(play(Arc::clone(&shared), due));
        while let Some(ended) = clients.try_join_next() {
            ended.expect("a client that does not panic");
        }
    }
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client that does not panic");
    }
    let mut sent = shared.sent.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *sent, Sent::new()).with_counts(&progress)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(name.to_owned());
    drop(thread.spawn(work).expect("a thread for the load"));
}
