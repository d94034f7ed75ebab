//! What one client does from its start to its end, and what of it is written down.

use super::ask;
use super::figures::{Progress, Sent, add};
use super::pacer::{Due, Epoch};
use crate::client::{Answer, Call, ClientError};
use crate::history::{Action, Operation, Outcome, Story};
use crate::target::Clients;
use crate::workload::{Items, Script, lines};
use bytes::Bytes;
use contract::{OrderId, ProductId};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};

/// After a stop, what is in flight may take so long.
const GRACE: Duration = Duration::from_secs(2);
/// A settled order is looked at so often, over one second.
const REREADS: u32 = 3;

/// What all clients share.
pub(super) struct Shared {
    pub(super) orders: Clients,
    pub(super) run: String,
    pub(super) products: Vec<ProductId>,
    pub(super) permits: Semaphore,
    pub(super) epoch: Epoch,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) progress: Arc<Progress>,
    pub(super) sent: Mutex<Sent>,
    pub(super) history: mpsc::Sender<Operation>,
}

impl Shared {
    /// Whether nothing more is to be sent: somebody said so, or nobody would write it down.
    fn stopped(&self) -> bool {
        *self.stop.borrow() || self.history.is_closed()
    }

    /// Comes back when the load is stopped; never, if nobody can stop it any more.
    async fn stop(&self) {
        let mut stop = self.stop.clone();
        if stop.wait_for(|stopped| *stopped).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn note(&self, figure: impl FnOnce(&mut Sent)) {
        figure(&mut self.sent.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// When a request was meant to start, and whether the plan said so.
#[derive(Clone, Copy)]
struct Meant {
    at: Instant,
    /// Only then its lateness is the generator's, and is not counted yet.
    by_plan: bool,
}

impl Meant {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            by_plan: false,
        }
    }
}

/// One client on its way through its script.
struct Telling<'a> {
    shared: &'a Shared,
    story: Story,
    key: String,
}

/// Plays the script of a start whose time has come.
pub(super) async fn play(shared: Arc<Shared>, due: Due) {
    let at_once = if matches!(due.start.script, Script::DoubleClick(_)) {
        2
    } else {
        1
    };
    let mut meant = Meant {
        at: due.at,
        by_plan: true,
    };
    let Some(_permit) = admitted(&shared, at_once, &mut meant).await else {
        add(&shared.progress.dropped);
        return;
    };
    let telling = Telling {
        shared: &shared,
        story: due.start.story,
        key: format!("{}-{}", shared.run, due.n),
    };
    let outcome = telling.tell(meant, due.start.script).await;
    shared.progress.count(&outcome);
}

/// A place among those in flight; none when the load is stopped before there is one.
async fn admitted<'a>(
    shared: &'a Shared,
    n: u32,
    meant: &mut Meant,
) -> Option<SemaphorePermit<'a>> {
    if shared.stopped() {
        return None;
    }
    if let Ok(permit) = shared.permits.try_acquire_many(n) {
        return Some(permit);
    }
    shared.note(|sent| {
        sent.waited += 1;
        sent.late(meant.at.elapsed());
    });
    meant.by_plan = false;
    tokio::select! {
        biased;
        () = shared.stop() => None,
        permit = shared.permits.acquire_many(n) => permit.ok(),
    }
}

/// How one order ended that was sent twice: done if one request did it, and refused only if both were.
fn either(first: Outcome, second: Outcome) -> Outcome {
    match (&first, &second) {
        (Outcome::Ok { .. }, _) | (Outcome::Unknown { .. }, Outcome::Refused { .. }) => first,
        _ => second,
    }
}

impl Telling<'_> {
    /// Does what the script says; how its first request ended.
    async fn tell(&self, meant: Meant, script: Script) -> Outcome {
        match script {
            Script::Once(items) => self.place(meant, &items).await,
            Script::Retry(items) => {
                let first = self.place(meant, &items).await;
                self.place_again(&items).await;
                first
            }
            Script::DoubleClick(items) => {
                let first = self.place(meant, &items);
                let second = self.place(meant, &items);
                let (first, second) = futures_util::future::join(first, second).await;
                either(first, second)
            }
            Script::KeyReused(items, others) => {
                let first = self.place(meant, &items).await;
                self.place_again(&others).await;
                first
            }
            Script::Badly(body) => self.place_badly(meant, &body).await,
            Script::HangUp(items, after) => self.hang_up(meant, &items, after).await,
            Script::Reread(items) => {
                let first = self.place(meant, &items).await;
                if let Outcome::Ok { order_id, .. } = first {
                    self.reread(order_id).await;
                }
                first
            }
        }
    }

    async fn place(&self, meant: Meant, items: &Items) -> Outcome {
        let items = lines(items, &self.shared.products);
        let call = Call::post(ask::ORDERS, ask::body(&items), &self.key);
        self.ask(meant, Action::Place { items }, call, ask::placed)
            .await
    }

    /// Places `items` under the key that was just used, unless the load was stopped in between.
    async fn place_again(&self, items: &Items) {
        if !self.shared.stopped() {
            self.place(Meant::now(), items).await;
        }
    }

    async fn place_badly(&self, meant: Meant, body: &str) -> Outcome {
        let action = Action::PlaceBadly {
            body: body.to_owned(),
        };
        let body = Bytes::copy_from_slice(body.as_bytes());
        let call = Call::post(ask::ORDERS, body, &self.key);
        self.ask(meant, action, call, ask::placed).await
    }

    async fn hang_up(&self, meant: Meant, items: &Items, after: Duration) -> Outcome {
        let items = lines(items, &self.shared.products);
        let call = Call::post(ask::ORDERS, ask::body(&items), &self.key);
        let mut began = Instant::now();
        let error = self
            .shared
            .orders
            .next()
            .hang_up(call, after, &mut began)
            .await;
        let outcome = ask::placed(Err(error));
        self.ended(meant, began, Action::Place { items }, outcome)
            .await
    }

    /// Waits until the order is settled, and looks at it again and again: it must not change any more.
    async fn reread(&self, order_id: OrderId) {
        self.read(Meant::now(), order_id, "?wait=settled").await;
        let mut meant = Meant::now();
        for _ in 0..REREADS {
            meant.at += Duration::from_secs(1) / REREADS;
            tokio::select! {
                biased;
                () = self.shared.stop() => return,
                () = tokio::time::sleep_until(meant.at.into()) => {}
            }
            self.read(meant, order_id, "").await;
        }
    }

    async fn read(&self, meant: Meant, order_id: OrderId, query: &str) -> Outcome {
        let path = format!("{}/{order_id}{query}", ask::ORDERS);
        self.ask(
            meant,
            Action::Read { order_id },
            Call::get(&path),
            ask::seen,
        )
        .await
    }

    /// Sends `call` and writes down how it ended; `read` says what the answer means.
    async fn ask(
        &self,
        meant: Meant,
        action: Action,
        call: Call<'_>,
        read: fn(Result<Answer, ClientError>) -> Outcome,
    ) -> Outcome {
        let mut began = Instant::now();
        let cut = async {
            self.shared.stop().await;
            tokio::time::sleep(GRACE).await;
        };
        let outcome = tokio::select! {
            biased;
            answer = self.shared.orders.next().send_at(call, &mut began) => read(answer),
            () = cut => Outcome::Unknown { why: "the load was stopped".to_owned() },
        };
        self.ended(meant, began, action, outcome).await
    }

    async fn ended(
        &self,
        meant: Meant,
        began: Instant,
        action: Action,
        outcome: Outcome,
    ) -> Outcome {
        let (shared, ended) = (self.shared, Instant::now());
        let is_order = matches!(action, Action::Place { .. });
        shared.note(|sent| {
            if meant.by_plan {
                sent.late(began.saturating_duration_since(meant.at));
            }
            if is_order && matches!(outcome, Outcome::Ok { .. }) {
                let (corrected, raw) = (ended - meant.at, ended - began);
                sent.accepted_after((corrected, raw), &shared.progress);
            }
        });
        let has_key = !matches!(action, Action::Read { .. });
        let operation = Operation {
            story: self.story,
            action,
            key: has_key.then(|| self.key.clone()),
            due_us: shared.epoch.us(meant.at),
            start_us: shared.epoch.us(began),
            end_us: shared.epoch.us(ended),
            outcome: outcome.clone(),
        };
        // When nobody writes it down any more, the load is stopped.
        let _ = shared.history.send(operation).await;
        outcome
    }
}
