//! What a world stands on: memory and virtual time, or real engines and the system's clock.
//!
//! A story does not know. Whoever runs it on engines says so around it ([`Engined::around`]), each world that begins
//! in it stands on them, and all that they were given there is removed when the story is over, however it ends.

use super::World;
use super::tapping::Tapping;
use crate::broker::rabbit::admin as rabbit;
use crate::broker::{Broker, Embedded, EmbeddedSettings, Queue, RabbitSettings};
use crate::engines::Engines;
use crate::lock::lock;
use crate::store::postgres::admin as postgres;
use crate::store::{Postgres, PostgresSettings, Sqlite, Store};
use crate::{Clock, Settings};
use contract::EventType;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A world in memory begins at this time: 2026-01-01T00:00:00Z.
const EPOCH_US: i64 = 1_767_225_600_000_000;
/// How long a message is put off the first time on engines: nobody can skip the time that it waits there.
const RETRY_AFTER: Duration = Duration::from_millis(150);
/// The name of a world's tap.
const TAP: &str = "tap";

tokio::task_local! {
    static ENGINED: Arc<Engined>;
}

/// The engines of a story, and the worlds that stand on them.
pub(crate) struct Engined {
    engines: Engines,
    worlds: Mutex<Vec<World>>,
}

impl Engined {
    /// Tells `story` on `engines`, and removes afterwards what it left there.
    pub(crate) async fn around<T>(engines: Engines, story: impl Future<Output = T>) -> T {
        let ground = Arc::new(Self {
            engines,
            worlds: Mutex::default(),
        });
        let told = ENGINED.scope(Arc::clone(&ground), story);
        let outcome = AssertUnwindSafe(told).catch_unwind().await;
        let worlds = std::mem::take(&mut *lock(&ground.worlds));
        let mut removed = Ok(());
        for world in worlds {
            removed = removed.and(world.end().await);
        }
        match outcome {
            Ok(told) => {
                removed.expect("what a story leaves on the engines can be removed");
                told
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

/// What one world stands on.
pub(super) enum Ground {
    Memory(Embedded),
    Engines(Box<Real>),
}

pub(super) struct Real {
    engines: Engines,
    /// Stands before the names of this world: a story may have several.
    prefix: String,
    rabbit: RabbitSettings,
    broker: Arc<Tapping>,
    /// The databases that were created.
    databases: Mutex<Vec<String>>,
    opened: OnceCell<()>,
}

/// Why something could not be removed.
pub(super) type Left = Box<dyn std::error::Error + Send + Sync>;

impl Ground {
    /// The ground here and its clock, with a queue for each of `queues`.
    pub(super) fn here(queues: Vec<&'static str>) -> (Self, Clock) {
        let engined = ENGINED.try_with(|engined| {
            let nth = lock(&engined.worlds).len();
            Real::new(engined.engines.clone(), nth, queues.clone())
        });
        if let Ok(real) = engined {
            return (Self::Engines(Box::new(real)), Clock::Os);
        }
        let clock = Clock::Virtual {
            start: tokio::time::Instant::now(),
            epoch_us: EPOCH_US,
        };
        let broker = Embedded::in_memory(&EmbeddedSettings::new(queues), clock);
        (Self::Memory(broker.expect("SQLite opens in memory")), clock)
    }

    /// Notes that `world` stands on the engines here, if there are any, and has to be ended.
    pub(super) fn note(world: &World) {
        // In memory there is nothing to remove.
        let _ = ENGINED.try_with(|engined| lock(&engined.worlds).push(world.clone()));
    }

    /// The settings of services that stand here: on engines nobody can skip the time in which a message waits.
    pub(super) fn adapt(&self, settings: Settings) -> Settings {
        match self {
            Self::Memory(_) => settings,
            Self::Engines(_) => Settings {
                retry_after: settings.retry_after.min(RETRY_AFTER),
                ..settings
            },
        }
    }

    pub(super) fn broker(&self) -> Arc<dyn Broker> {
        match self {
            Self::Memory(embedded) => Arc::new(embedded.clone()),
            Self::Engines(real) => Arc::clone(&real.broker) as _,
        }
    }

    /// A database for `service`.
    pub(super) async fn store(&self, service: &str) -> Arc<dyn Store> {
        match self {
            Self::Memory(_) => Arc::new(Sqlite::in_memory().expect("SQLite opens in memory")),
            Self::Engines(real) => real.store(service).await,
        }
    }

    /// Removes everything.
    pub(super) async fn clear(&self) -> Result<(), Left> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Engines(real) => real.clear().await,
        }
    }
}

impl Real {
    fn new(engines: Engines, nth: usize, queues: Vec<&'static str>) -> Self {
        let prefix = format!("{}_{nth}", engines.prefix);
        let queue = |service| Queue {
            service,
            hears: EventType::ALL.to_vec(),
        };
        let queues = queues.into_iter().map(queue).collect();
        let mut rabbit = RabbitSettings::new(engines.amqp.clone(), "a story", queues);
        rabbit.prefix = format!("{prefix}.");
        Self {
            broker: Arc::new(Tapping::new(rabbit.clone())),
            engines,
            prefix,
            rabbit,
            databases: Mutex::default(),
            opened: OnceCell::new(),
        }
    }

    async fn store(&self, service: &str) -> Arc<dyn Store> {
        self.opened.get_or_init(|| self.open()).await;
        self.create(service).await;
        let url = postgres::url_of(&self.engines.postgres, &self.database(service));
        let settings = PostgresSettings {
            writers: 2,
            readers: 2,
            ..PostgresSettings::new(url, "a story")
        };
        Arc::new(Postgres::new(settings).expect("a URL that was connected to"))
    }

    /// The tap and the databases of all who have a queue, at the same time: each takes a while. The first service
    /// is here before anybody publishes, so the tap misses nothing.
    async fn open(&self) {
        let queues = self.rabbit.queues.iter();
        let databases = join_all(queues.map(|queue| self.create(queue.service)));
        tokio::join!(self.broker.open(TAP), databases);
    }

    fn database(&self, service: &str) -> String {
        format!("{}_{service}", self.prefix)
    }

    /// Creates the database of `service`, if there is none yet.
    async fn create(&self, service: &str) {
        let name = self.database(service);
        {
            let mut databases = lock(&self.databases);
            if databases.contains(&name) {
                return;
            }
            databases.push(name.clone());
        }
        let created = postgres::create_database(&self.engines.postgres, &name).await;
        created.expect("a database can be created");
    }

    async fn clear(&self) -> Result<(), Left> {
        self.broker.close();
        let databases = std::mem::take(&mut *lock(&self.databases));
        let drops = databases
            .iter()
            .map(|name| postgres::drop_database(&self.engines.postgres, name));
        // All of it is tried, whatever fails.
        let (dropped, tap, queues) = tokio::join!(
            join_all(drops),
            rabbit::delete_tap(&self.rabbit, TAP),
            rabbit::delete_all(&self.rabbit)
        );
        dropped.into_iter().collect::<Result<(), _>>()?;
        Ok(tap.and(queues)?)
    }
}
