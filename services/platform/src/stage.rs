//! One service alone in a world: whoever tells the story plays all the others.
//!
//! The others are only the messages that they would have said. What the service answers is read from the tap,
//! what it keeps from its own exports: nothing in a story looks behind the boundary.

use crate::engines::Engines;
use crate::fault::{FaultyStore, Side, Site};
use crate::store::{Sqlite, Store, migrate};
use crate::world::{Engined, Unknown, World};
use crate::{Heard, Said, Service, Trace};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use contract::{Event, Message, MessageId};
use http_body_util::BodyExt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// How often to look for something that the service does on its own.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// After this many looks, a minute, it will not come any more.
const LOOKS: u32 = 1_200;

/// A service on its own, and what it is told.
pub struct Stage {
    world: World,
    service: &'static str,
    told: AtomicU64,
}

impl Stage {
    /// The stage for `service`, which is in `world` already.
    pub const fn new(world: World, service: &'static str) -> Self {
        Self {
            world,
            service,
            told: AtomicU64::new(1),
        }
    }

    /// The world around the service.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// A message with `event`, with an id and a trace of its own, as another service would say it.
    pub fn message(&self, event: impl Into<Event>) -> Message {
        let event = event.into();
        let n = self.told.fetch_add(1, Ordering::Relaxed);
        Message {
            id: MessageId(Uuid::from_u128(n.into())),
            source: "another service".to_owned(),
            kind: event.kind().as_str().to_owned(),
            subject: event.subject(),
            time_us: self.world.now_us(),
            cause: None,
            traceparent: Some(Trace::new(Uuid::from_u128(n.into()), n).traceparent()),
            tracestate: Some(format!("story={n}")),
            data: event.data(),
        }
    }

    /// Puts `messages` on the exchange, in one go.
    pub async fn publish(&self, messages: &[Message]) {
        let published = self.world.broker().publish(messages).await;
        published.expect("the broker takes every message");
    }

    /// Says `event` as another service would.
    pub async fn tell(&self, event: impl Into<Event>) -> Message {
        let message = self.message(event);
        self.publish(std::slice::from_ref(&message)).await;
        message
    }

    /// Everything that was on the exchange so far.
    pub async fn tapped(&self) -> Vec<Message> {
        let tapped = self.world.broker().tap(0, usize::MAX).await;
        let read = |json: &str| Message::from_json(json).expect("the tap carries CloudEvents");
        let tapped = tapped.expect("the broker of a world has a tap");
        tapped.iter().map(|tapped| read(&tapped.json)).collect()
    }

    /// What the service says in answer to `told`, as soon as it says it.
    pub async fn answer(&self, told: &Message) -> Message {
        for _ in 0..LOOKS {
            if let Some(answer) = self.answers_so_far(told).await.pop() {
                return answer;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("no answer to {told:?}\n{}", self.world.log());
    }

    /// Everything that the service said in answer to `told` when nothing moves any more.
    pub async fn answers(&self, told: &Message) -> Vec<Message> {
        self.at_rest().await;
        self.answers_so_far(told).await
    }

    async fn answers_so_far(&self, told: &Message) -> Vec<Message> {
        let mut answers = self.tapped().await;
        answers.retain(|message| message.cause == Some(told.id));
        for answer in &answers {
            assert_eq!(answer.source, self.service, "{answer:?}");
            assert_eq!(answer.subject, told.subject, "{answer:?}");
            assert_eq!(trace_id(answer), trace_id(told), "{answer:?}");
            assert_eq!(answer.tracestate, told.tracestate, "{answer:?}");
        }
        answers
    }

    /// Waits until nothing moves any more: log published and queue empty twice, a while apart.
    pub async fn at_rest(&self) {
        let mut quiet = 0;
        for _ in 0..LOOKS {
            tokio::time::sleep(self.world.patience()).await;
            quiet = if self.is_quiet().await { quiet + 1 } else { 0 };
            if quiet == 2 {
                return;
            }
        }
        panic!("the service does not come to rest\n{}", self.world.log());
    }

    async fn is_quiet(&self) -> bool {
        let view = self.ask(Method::GET, "/api/v1/queues", None).await;
        let moving = ["ready", "unacked", "retrying", "unpublished"];
        view.is_ok_and(|(status, view)| {
            status == StatusCode::OK && moving.iter().all(|count| view[count] == 0)
        })
    }

    /// Sends a request to the service, with a JSON body if there is one.
    ///
    /// # Errors
    /// [`Unknown`] when the service dies before it answers, or does not run.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), Unknown> {
        let request = Request::builder().method(method).uri(path);
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let (status, text) = self.send(self.service, request).await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// The items of the export at `path`; asks again when the service is down.
    pub async fn export(&self, path: &str) -> Vec<Value> {
        self.export_of(self.service, path).await
    }

    /// The items of the export of another service of the world.
    pub async fn export_of(&self, service: &'static str, path: &str) -> Vec<Value> {
        let parsed = |line: &str| serde_json::from_str(line).expect("NDJSON");
        for _ in 0..LOOKS {
            let request = Request::builder().header("accept", "application/x-ndjson");
            let answer = self.send(service, request.uri(path).body(Body::empty()));
            if let Ok((StatusCode::OK, text)) = answer.await {
                return text.lines().map(parsed).collect();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("{service} does not export {path}\n{}", self.world.log());
    }

    async fn send(
        &self,
        service: &'static str,
        request: axum::http::Result<Request<Body>>,
    ) -> Result<(StatusCode, String), Unknown> {
        let request = request.expect("a path and headers that are valid");
        let response = self.world.request(service, request).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|_| Unknown)?;
        Ok((
            status,
            String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        ))
    }

    /// How often the service has seen `message` when it wanted it; 0: it was not applied.
    pub async fn seen(&self, message: &Message) -> i64 {
        let id = message.id.to_string();
        let inbox = self.export("/api/v1/inbox").await;
        let entry = inbox.iter().find(|entry| entry["messageId"] == id.as_str());
        entry.map_or(0, |entry| entry["seen"].as_i64().expect("a count"))
    }

    /// The messages that the service gave up.
    pub async fn dead(&self) -> Vec<Value> {
        self.export("/api/v1/dead-letters").await
    }

    /// Gives a message that was given up all its chances again.
    pub async fn replay(&self, message: &Message) -> StatusCode {
        let path = format!("/api/v1/dead-letters/{}/replay", message.id);
        let answer = self.ask(Method::POST, &path, None).await;
        answer.expect("the service runs").0
    }

    /// Removes a message that was given up.
    pub async fn discard(&self, message: &Message) -> StatusCode {
        let path = format!("/api/v1/dead-letters/{}", message.id);
        let answer = self.ask(Method::DELETE, &path, None).await;
        answer.expect("the service runs").0
    }
}

/// Runs `story` in a runtime of its own with paused time. The tasks of its world end with it.
pub fn play<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime with a timer")
        .block_on(story)
}

/// Stories that are on the engines of this process at the same time: each has a few dozen connections.
static ROOM: Semaphore = Semaphore::const_new(3);

/// Runs `story` on real engines and in real time, in a runtime of its own: each [`World`] in it stands on them, and
/// everything that it had there is removed at the end. On a machine without engines the story is skipped, which
/// `test` is the name for.
pub fn play_on_engines<T>(test: &str, story: impl Future<Output = T>) -> Option<T> {
    let engines = Engines::find(test)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime with a timer and sockets");
    Some(runtime.block_on(async {
        let _room = ROOM.acquire().await.expect("nobody closes it");
        Engined::around(engines, story).await
    }))
}

/// Makes two tests of each story, an `async fn` of the module: `in_a_world` in memory and virtual time, and
/// `on_real_engines`. A story with `each of` is told once for each number; on engines for the first few of them. What
/// is told `in_virtual_time_only` says why.
#[macro_export]
macro_rules! stories {
    (
        on_both { $($both:ident,)* }
        $(for_each_number { $($each:ident: $numbers:expr, on_engines $few:literal;)* })?
        $(in_virtual_time_only { $($alone:ident: $why:literal,)* })?
    ) => {
        mod in_a_world {
            $(#[test] fn $both() { $crate::stage::play(super::$both()) })*
            $($(#[test] fn $each() {
                $numbers.for_each(|n| $crate::stage::play(super::$each(n)));
            })*)?
            $($(#[doc = $why] #[test] fn $alone() { $crate::stage::play(super::$alone()) })*)?
        }
        mod on_real_engines {
            $(#[test] fn $both() {
                let name = concat!(module_path!(), "::", stringify!($both));
                $crate::stage::play_on_engines(name, super::$both());
            })*
            $($(#[test] fn $each() {
                let name = concat!(module_path!(), "::", stringify!($each));
                for n in $numbers.take($few) {
                    $crate::stage::play_on_engines(name, super::$each(n));
                }
            })*)?
        }
    };
}

/// The id of the trace that `message` belongs to.
pub fn trace_id(message: &Message) -> String {
    let trace = Trace::parse(message.traceparent.as_deref().unwrap_or(""), None);
    trace.expect("a message carries its trace").id()
}

/// Whether `service` does anything when it hears `event`, on an empty store: asks the store, says something, or
/// leaves something to be done after the commit. A refusal counts: the service had to look.
pub async fn reacts(service: &dyn Service, event: Event) -> bool {
    let calls = Arc::new(Calls::default());
    let sqlite = Sqlite::in_memory().expect("SQLite opens in memory");
    let store = FaultyStore::new(Arc::new(sqlite), Arc::clone(&calls) as _);
    let migrated = migrate(&store, service.migrations()).await;
    migrated.expect("a schema that SQLite takes");
    let tx = store.begin().await.expect("SQLite begins");
    let before = calls.total();
    let heard = Heard {
        id: MessageId(Uuid::nil()),
        event,
        time_us: 0,
        trace: Trace::new(Uuid::nil(), 1),
        parent: 0,
    };
    let mut said = Said::default();
    let _ = service.react(&heard, &*tx, &mut said).await;
    calls.total() > before || !said.is_empty()
}

/// A site at which nothing goes wrong; it counts the port calls, by name.
#[derive(Default)]
pub struct Calls(Mutex<BTreeMap<&'static str, u64>>);

impl Calls {
    /// How often `call` was made.
    pub fn of(&self, call: &str) -> u64 {
        self.lock().get(call).copied().unwrap_or(0)
    }

    /// How many calls were made.
    pub fn total(&self) -> u64 {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Site for Calls {
    async fn pass(&self, call: &'static str, side: Side) {
        if side == Side::Before {
            *self.lock().entry(call).or_default() += 1;
        }
    }
}
