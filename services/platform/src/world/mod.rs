//! A world: services in one process without ports, with crashes where we want them, on one of two grounds.
//!
//! In memory, with paused time and one seed: the same seed gives the same world, byte for byte. Call it on a
//! current-thread runtime with paused time. Or on real engines and the system's clock, when the story is run on them
//! ([`crate::stage::play_on_engines`]). The routers, reactions, statements, relay and consumers are the real ones on
//! both.

mod ground;
mod place;
mod tapping;

pub(crate) use ground::Engined;

use crate::broker::{Broker, Delivery};
use crate::fault::{Doom, FaultyBroker, FaultyStore, Site};
use crate::lock::lock;
use crate::logs::{self, Format, LogSettings, Sink};
use crate::store::Store;
use crate::telemetry::{SpanData, Tracer};
use crate::{Clock, Context, Parts, Running, Service, Settings};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use contract::Bug;
use ground::{Ground, Left};
use place::Place;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

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

/// Services, a broker and stores, in memory and virtual time, or on real engines. Cheap to clone.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    seed: u64,
    clock: Clock,
    began_us: i64,
    settings: Settings,
    planted: Option<Bug>,
    ground: Ground,
    broker: Arc<dyn Broker>,
    nodes: Mutex<BTreeMap<&'static str, Arc<Node>>>,
    log: Arc<Mutex<String>>,
    deaths: Mutex<Vec<(&'static str, i64)>>,
    last_words: Mutex<Vec<(&'static str, i64, String)>>,
}

struct Node {
    make: Make,
    store: Arc<dyn Store>,
    place: Arc<Place>,
    /// Outlives the incarnations, as a collector would.
    tracer: Tracer,
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
        let (ground, clock) = Ground::here(queues);
        let world = Self(Arc::new(Inner {
            seed,
            clock,
            began_us: clock.now_us(),
            settings: ground.adapt(settings),
            planted,
            broker: ground.broker(),
            ground,
            nodes: Mutex::default(),
            log: Arc::default(),
            deaths: Mutex::default(),
            last_words: Mutex::default(),
        }));
        Ground::note(&world);
        world
    }

    /// Adds a service and starts it.
    pub async fn add(&self, name: &'static str, mischief: Mischief, make: Make) -> Context {
        let node = Node {
            make,
            store: self.0.ground.store(name).await,
            place: Arc::new(Place::new(self, name, mischief)),
            tracer: Tracer::kept(name, self.0.seed ^ hash(name)),
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
            broker: Arc::new(FaultyBroker::new(Arc::clone(&self.0.broker), site)),
            clock: self.0.clock,
            seed: self.0.seed ^ hash(name) ^ incarnation,
            tracer: node.tracer.clone(),
            dispatch: logs::dispatch(name, &log, self.0.clock, &Tracer::off())
                .expect("a filter that parses"),
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
            lock(&self.0.deaths).push((name, self.now_us()));
            ctx.aborted().await;
            let counted = ctx.metrics().open_metrics();
            lock(&self.0.last_words).push((name, self.now_us(), counted));
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
        &*self.0.broker
    }

    /// How often the service has passed a port call.
    pub fn passed(&self, name: &'static str) -> u64 {
        self.node(name).place.passed()
    }

    /// How often mischief was done so far, in all services.
    pub fn struck(&self) -> u64 {
        let struck = |node: &Arc<Node>| node.place.struck();
        lock(&self.0.nodes).values().map(struck).sum()
    }

    /// From now on each transaction with which `name` would write fails in this way, until all is healed.
    pub fn condemn(&self, name: &'static str, doom: Doom) {
        self.node(name).place.condemn(doom);
    }

    /// Ends all mischief: nothing goes wrong any more.
    pub fn heal(&self) {
        for node in lock(&self.0.nodes).values() {
            node.place.heal();
        }
    }

    /// Whether this world stands on real engines, where everything takes time.
    pub fn is_real(&self) -> bool {
        matches!(self.0.ground, Ground::Engines(_))
    }

    /// How long to wait between two looks at whether anything still moves.
    pub fn patience(&self) -> Duration {
        if self.is_real() {
            Duration::from_millis(100)
        } else {
            Duration::from_millis(500)
        }
    }

    /// Kills every service and removes what the world has on engines. Nobody can be asked any more.
    async fn end(&self) -> Result<(), Left> {
        let nodes: Vec<&'static str> = lock(&self.0.nodes).keys().copied().collect();
        for name in nodes {
            self.crash(name).await;
        }
        self.0.ground.clear().await
    }

    /// Now in this world, microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        self.0.clock.now_us()
    }

    /// What was traced and not asked for before, by service.
    pub fn traced(&self) -> Vec<(&'static str, Vec<SpanData>)> {
        let nodes = lock(&self.0.nodes);
        let nodes = nodes.iter();
        nodes
            .map(|(name, node)| (*name, node.tracer.take()))
            .collect()
    }

    /// What services that died had counted by then: which, when, and the text.
    pub fn last_words(&self) -> Vec<(&'static str, i64, String)> {
        lock(&self.0.last_words).clone()
    }

    /// Which services died when, microseconds since 1970.
    pub fn deaths(&self) -> Vec<(&'static str, i64)> {
        lock(&self.0.deaths).clone()
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

/// A number for a name, the same in every process.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
