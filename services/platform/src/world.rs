//! A world: services in one process without ports, with paused time, one seed, and crashes where we want them.
//!
//! The routers, reactions, statements, relay and consumers in it are the real ones; only time, chance and the
//! outside are replaced. Call it on a current-thread runtime with paused time.

use crate::broker::{Broker, Delivery, Embedded, EmbeddedSettings};
use crate::fault::{Doom, FaultyBroker, FaultyStore, Side, Site};
use crate::logs::{self, Format, LogSettings, Sink};
use crate::store::{Sqlite, Store};
use crate::{Clock, Context, Parts, Running, Service, Settings};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use contract::{Bug, Message};
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tower::ServiceExt;

/// A world begins at this time: 2026-01-01T00:00:00Z.
const EPOCH_US: i64 = 1_767_225_600_000_000;

/// What goes wrong in a world, by service. Nothing by default.
#[derive(Debug, Clone, Default)]
pub struct Mischief {
    /// Crash the service at its `n`-th passage of a port call (each call has two: before and after).
    pub crash_at: Option<u64>,
    /// Crash the service before its `n`-th call of this name.
    pub crash_before: Option<(&'static str, u64)>,
    /// Publish messages of these types this many more times, the last time much later.
    pub duplicate: Vec<(&'static str, u32)>,
    /// Publish messages of these types late, and everything one by one in another order.
    pub delay: Vec<&'static str>,
    /// Shuffle each batch that is delivered.
    pub shuffle: bool,
    /// Wait at each port call.
    pub dawdle: bool,
    /// No transaction can be begun in this time since the beginning of the world.
    pub outage: Option<Range<Duration>>,
    /// Statements fail in this time since the beginning of the world, through nobody else's fault.
    pub refuses: Option<Range<Duration>>,
    /// Deliver some messages with other data.
    pub spoil: Option<Spoil>,
}

/// The data with which a message is delivered instead of its own; none leaves it as it is.
pub type Spoil = fn(&Delivery) -> Option<String>;

/// Makes a service for each of its incarnations.
pub type Make = Box<dyn Fn(&Context) -> Arc<dyn Service> + Send + Sync>;

/// Services, a broker and stores that live in memory, in virtual time. Cheap to clone.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    seed: u64,
    clock: Clock,
    settings: Settings,
    planted: Option<Bug>,
    broker: Embedded,
    nodes: Mutex<BTreeMap<&'static str, Arc<Node>>>,
    log: Arc<Mutex<String>>,
}

struct Node {
    make: Make,
    store: Arc<dyn Store>,
    place: Arc<Place>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ctx: Option<Context>,
    router: Option<Router>,
    incarnation: u64,
}

/// No answer: the service died, or was not there. What was asked for may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer")]
pub struct Unknown;

impl World {
    /// An empty world whose chance is `seed`, with a broker that has a queue for each of `queues`.
    pub fn new(seed: u64, queues: Vec<&'static str>, settings: Settings) -> Self {
        Self::with_bug(seed, queues, settings, None)
    }

    /// Like [`World::new`], with this bug switched on in all its services.
    pub fn with_bug(
        seed: u64,
        queues: Vec<&'static str>,
        settings: Settings,
        planted: Option<Bug>,
    ) -> Self {
        let clock = Clock::Virtual {
            start: tokio::time::Instant::now(),
            epoch_us: EPOCH_US,
        };
        let broker = Embedded::in_memory(&EmbeddedSettings::new(queues), clock)
            .expect("SQLite opens in memory");
        Self(Arc::new(Inner {
            seed,
            clock,
            settings,
            planted,
            broker,
            nodes: Mutex::default(),
            log: Arc::default(),
        }))
    }

    /// Adds a service and starts it.
    pub async fn add(&self, name: &'static str, mischief: Mischief, make: Make) -> Context {
        let place = Arc::new(Place {
            world: Arc::downgrade(&self.0),
            service: name,
            mischief,
            chance: Mutex::new(ChaCha8Rng::seed_from_u64(self.0.seed ^ hash(name))),
            passed: Mutex::default(),
            calls: Mutex::default(),
            healed: AtomicBool::new(false),
            struck: AtomicU64::new(0),
        });
        let store = Arc::new(Sqlite::in_memory().expect("SQLite opens in memory"));
        let node = Node {
            make,
            store,
            place,
            state: Mutex::default(),
        };
        lock(&self.0.nodes).insert(name, Arc::new(node));
        self.start(name).await
    }

    /// Starts a service, again if it ran before, on the store that it left behind.
    pub async fn start(&self, name: &'static str) -> Context {
        let node = self.node(name);
        let incarnation = {
            let mut state = lock(&node.state);
            state.incarnation += 1;
            state.incarnation
        };
        let log = LogSettings {
            format: Format::Json,
            filter: "info".to_owned(),
            sink: Sink::Memory(Arc::clone(&self.0.log)),
        };
        let site: Arc<dyn Site> = Arc::clone(&node.place) as _;
        let ctx = Context::new(Parts {
            service: name,
            store: Arc::new(FaultyStore::new(Arc::clone(&node.store), Arc::clone(&site))),
            broker: Arc::new(FaultyBroker::new(Arc::new(self.0.broker.clone()), site)),
            clock: self.0.clock,
            seed: self.0.seed ^ hash(name) ^ incarnation,
            dispatch: logs::dispatch(name, &log, self.0.clock).expect("a filter that parses"),
            settings: self.0.settings.clone(),
            planted: self.0.planted,
        });
        // The start passes port calls too, so it runs as a task of the service and may be crashed.
        let (service, starting) = ((node.make)(&ctx), ctx.clone());
        lock(&node.state).ctx = Some(ctx.clone());
        let (started, start) = tokio::sync::oneshot::channel();
        ctx.spawn("start", async move {
            drop(started.send(Running::start(starting, service).await));
        });
        if let Ok(running) = start.await {
            lock(&node.state).router =
                Some(running.expect("a service starts on a healthy store").router);
        }
        ctx
    }

    /// Kills a service where it stands: its tasks are gone, its transactions rolled back.
    pub async fn crash(&self, name: &'static str) {
        let ctx = {
            let node = self.node(name);
            let mut state = lock(&node.state);
            state.router = None;
            state.ctx.take()
        };
        if let Some(ctx) = ctx {
            ctx.aborted().await;
        }
    }

    /// Sends a request to a service.
    ///
    /// # Errors
    /// [`Unknown`] when the service dies before it answers, or does not run.
    pub async fn request(
        &self,
        name: &'static str,
        request: Request<Body>,
    ) -> Result<Response<Body>, Unknown> {
        let (ctx, router) = {
            let node = self.node(name);
            let state = lock(&node.state);
            let ctx = state.ctx.as_ref().ok_or(Unknown)?;
            (ctx.clone(), state.router.clone().ok_or(Unknown)?)
        };
        let (reply, answer) = tokio::sync::oneshot::channel();
        ctx.spawn("request", async move {
            // A router never fails; when nobody waits for the answer any more, that is the client's business.
            let Ok(response) = router.oneshot(request).await;
            let _ = reply.send(response);
        });
        answer.await.map_err(|_| Unknown)
    }

    /// The context of a service that runs.
    pub fn context(&self, name: &'static str) -> Context {
        let ctx = lock(&self.node(name).state).ctx.clone();
        ctx.expect("the service runs")
    }

    /// The database of a service, without the faults.
    pub fn store(&self, name: &'static str) -> Arc<dyn Store> {
        Arc::clone(&self.node(name).store)
    }

    /// The broker, without the faults.
    pub fn broker(&self) -> &dyn Broker {
        &self.0.broker
    }

    /// How often the service has passed a port call.
    pub fn passed(&self, name: &'static str) -> u64 {
        *lock(&self.node(name).place.passed)
    }

    /// How often mischief was done so far, in all services.
    pub fn struck(&self) -> u64 {
        let struck = |node: &Arc<Node>| node.place.struck.load(Ordering::Relaxed);
        lock(&self.0.nodes).values().map(struck).sum()
    }

    /// Ends all mischief: nothing goes wrong any more.
    pub fn heal(&self) {
        for node in lock(&self.0.nodes).values() {
            node.place.healed.store(true, Ordering::Relaxed);
        }
    }

    /// Now in this world, microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        self.0.clock.now_us()
    }

    /// All log lines of all services so far.
    pub fn log(&self) -> String {
        lock(&self.0.log).clone()
    }

    fn node(&self, name: &'static str) -> Arc<Node> {
        Arc::clone(
            lock(&self.0.nodes)
                .get(name)
                .expect("the service was added to the world"),
        )
    }
}

/// Where one service meets its ports.
struct Place {
    world: std::sync::Weak<Inner>,
    service: &'static str,
    mischief: Mischief,
    chance: Mutex<ChaCha8Rng>,
    passed: Mutex<u64>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
    healed: AtomicBool,
    struck: AtomicU64,
}

impl Place {
    fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    fn strike(&self) {
        self.struck.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this passage is the one at which the service is to crash.
    fn is_last(&self, call: &'static str, side: Side) -> bool {
        let passed = {
            let mut passed = lock(&self.passed);
            *passed += 1;
            *passed
        };
        let mut is_due = self.mischief.crash_at == Some(passed);
        if side == Side::Before {
            let mut calls = lock(&self.calls);
            let count = calls.entry(call).or_default();
            *count += 1;
            is_due |= self.mischief.crash_before == Some((call, *count));
        }
        is_due && !self.is_healed()
    }

    /// Whether a time since the beginning of the world is now.
    fn is_now(&self, time: Option<&Range<Duration>>) -> bool {
        let now_us = self
            .world
            .upgrade()
            .map_or(0, |world| world.clock.now_us() - EPOCH_US);
        let now = Duration::from_micros(u64::try_from(now_us).unwrap_or(0));
        let is_now = !self.is_healed() && time.is_some_and(|time| time.contains(&now));
        if is_now {
            self.strike();
        }
        is_now
    }

    fn millis(&self, below: u64) -> Duration {
        Duration::from_millis(lock(&self.chance).random_range(0..below))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "who restarts a service cannot be one of its tasks"
    )]
    fn crash_and_restart(&self) {
        let Some(world) = self.world.upgrade().map(World) else {
            return;
        };
        let (service, pause) = (self.service, self.millis(500));
        tokio::spawn(async move {
            world.crash(service).await;
            tokio::time::sleep(pause).await;
            world.start(service).await;
        });
    }
}

#[async_trait]
impl Site for Place {
    async fn pass(&self, call: &'static str, side: Side) {
        if self.mischief.dawdle && !self.is_healed() {
            let pause = self.millis(4);
            tokio::time::sleep(pause).await;
        }
        if self.is_last(call, side) {
            self.strike();
            self.crash_and_restart();
            std::future::pending::<()>().await;
        }
    }

    fn doom(&self) -> Option<Doom> {
        self.is_now(self.mischief.outage.as_ref())
            .then_some(Doom::Begin)
    }

    fn refuses(&self) -> bool {
        self.is_now(self.mischief.refuses.as_ref())
    }

    fn publishes(&self, batch: &[Message]) -> Vec<(Duration, Vec<Message>)> {
        let Mischief {
            duplicate, delay, ..
        } = &self.mischief;
        if (duplicate.is_empty() && delay.is_empty()) || self.is_healed() {
            return vec![(Duration::ZERO, batch.to_vec())];
        }
        let mut parts = Vec::new();
        for message in batch {
            let late = delay.contains(&message.kind.as_str());
            let pause = if late {
                self.strike();
                self.millis(3_000)
            } else {
                Duration::ZERO
            };
            parts.push((pause, vec![message.clone()]));
            let times = duplicate
                .iter()
                .find(|(kind, _)| *kind == message.kind)
                .map_or(0, |(_, times)| *times);
            (0..times).for_each(|_| self.strike());
            parts.extend((0..times).map(|_| (self.millis(1_000), vec![message.clone()])));
        }
        if !delay.is_empty() {
            parts.shuffle(&mut *lock(&self.chance));
        }
        parts
    }

    fn deliver(&self, batch: &mut Vec<Delivery>) {
        if self.is_healed() {
            return;
        }
        if self.mischief.shuffle {
            batch.shuffle(&mut *lock(&self.chance));
        }
        for delivery in batch {
            if let Some(data) = self.mischief.spoil.and_then(|spoil| spoil(delivery)) {
                self.strike();
                Arc::make_mut(&mut delivery.message).data = data;
            }
        }
    }
}

/// A number for a name, the same in every process.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
