//! All services in this process: each on a thread of its own, SQLite files, the embedded broker.

use crate::command::{Answer, Command, State};
use crate::node::{Make, Node, listen};
use crate::{PROVIDER_PATIENCE, ProviderSettings, QUEUES};
use contract::Bug;
use orders::Orders;
use payments::Payments;
use payments::provider::Simulated;
use platform::broker::{Embedded as Broker, EmbeddedSettings};
use platform::dial::{BadSetting, FaultSettings};
use platform::logs::{self, LogSettings};
use platform::store::{Sqlite, StoreError, Synchronous};
use platform::telemetry::{self, Pipeline, TelemetryError, Tracer};
use platform::{Clock, Parts, Service, Settings};
use products::Products;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How to run the shop in this process.
#[derive(Clone)]
pub struct EmbeddedConfig {
    /// Where the databases and the broker's file are; created if it is not there.
    pub data: PathBuf,
    /// When files wait for the disk.
    pub synchronous: Synchronous,
    /// How the provider behaves.
    pub provider: ProviderSettings,
    /// Bounds and times of every service.
    pub settings: Settings,
    /// What logs look like and where they go.
    pub log: LogSettings,
    /// Where traces go; none: nowhere.
    pub telemetry: Option<telemetry::Settings>,
    /// Where ids and chance come from.
    pub seed: u64,
    /// The port of orders; products, payments and provider take the next three. None: free ones.
    pub port: Option<u16>,
    /// The bug that is switched on in all services; of no effect without the feature `planted`.
    pub planted: Option<Bug>,
    /// Where the services listen, when the shop starts again where it was; goes before `port`.
    pub addresses: Option<Addresses>,
    /// How many messages the tap keeps.
    pub tap_max: i64,
}

/// How many messages the tap keeps if nobody says otherwise.
pub const TAP_MAX: i64 = 100_000;

/// Where the services listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Addresses {
    /// Orders.
    pub orders: SocketAddr,
    /// Products.
    pub products: SocketAddr,
    /// Payments.
    pub payments: SocketAddr,
    /// The simulated provider.
    pub provider: SocketAddr,
}

impl Addresses {
    /// Names and addresses, in the order of their ports.
    pub fn all(&self) -> [(&'static str, SocketAddr); 4] {
        [
            (orders::NAME, self.orders),
            (products::NAME, self.products),
            (payments::NAME, self.payments),
            (payments::provider::NAME, self.provider),
        ]
    }
}

/// Why the shop did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot use {path} for the data: {source}", path = path.display())]
    Data {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process uses the data directory.
    #[error(
        "{path} is in use by another crashcart: stop that one, or give another --data",
        path = path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// An address cannot be listened on.
    #[error("{service} cannot listen on {address}: {source} (another --port would help)")]
    Listen {
        /// Who wants to.
        service: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// A database cannot be opened.
    #[error("cannot open {path}: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the engine says.
        source: StoreError,
    },
    /// The log filter cannot be read.
    #[error("the log filter (RUST_LOG) is not valid: {0}")]
    Filter(String),
    /// An engine could not be reached for as long as was said.
    #[error("{service} cannot reach what it needs: {source}")]
    Unreachable {
        /// Which.
        service: &'static str,
        /// What the last try met.
        source: platform::Error,
    },
    /// Traces cannot be sent.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// A service did not come up.
    #[error("{service} did not start: {source}")]
    Service {
        /// Which.
        service: &'static str,
        /// Why.
        source: platform::Error,
    },
}

/// Why a service cannot be crashed, restarted or made to fail.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such service.
    #[error("there is no service {0:?}")]
    NoService(String),
    /// The provider is the outside: what happens to it is in its settings.
    #[error("the provider does not crash")]
    Outside,
    /// It does not run.
    #[error("{0} does not run")]
    Down(String),
    /// It runs.
    #[error("{0} runs already")]
    Up(String),
    /// A setting out of its range.
    #[error(transparent)]
    Setting(#[from] BadSetting),
    /// It did not start again.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// The running shop. Dropping it without [`Embedded::stop`] leaves the threads running.
pub struct Embedded {
    /// Where the services listen.
    pub addresses: Addresses,
    nodes: BTreeMap<&'static str, Node>,
    telemetry: Pipeline,
    /// Held as long as the databases are in use; the system lets go of it when the process dies, however.
    _lock: File,
}

impl Embedded {
    /// Starts everything and returns when all services are there.
    ///
    /// # Errors
    /// [`StartError`], with what would help.
    pub fn start(config: &EmbeddedConfig) -> Result<Self, StartError> {
        std::fs::create_dir_all(&config.data).map_err(|source| StartError::Data {
            path: config.data.clone(),
            source,
        })?;
        let lock = lock(&config.data)?;
        let listen = |index| {
            let (service, address) = wanted(config)[index];
            listen(service, address)
        };
        let (orders, products) = (listen(0)?, listen(1)?);
        let (payments, provider) = (listen(2)?, listen(3)?);
        let path = config.data.join("broker.db");
        let settings = EmbeddedSettings {
            synchronous: config.synchronous,
            tap_max: config.tap_max,
            ..EmbeddedSettings::new(QUEUES.to_vec())
        };
        let broker = Broker::open(&path, &settings, Clock::Os)
            .map_err(|source| StartError::Open { path, source })?;
        let telemetry = pipeline(config.telemetry.clone(), &config.log)?;
        let node = |pipeline: &Pipeline, service, make: Make, address| {
            let parts = parts(service, config, &broker, pipeline)?;
            let seed = parts.seed;
            Ok::<_, StartError>(Node::new(parts, seed, make, address))
        };
        let mut shop = Self {
            addresses: Addresses {
                orders: orders.1,
                products: products.1,
                payments: payments.1,
                provider: provider.1,
            },
            nodes: BTreeMap::new(),
            telemetry,
            _lock: lock,
        };
        // It is made before payments, which talks to it without a detour, and it is never made again.
        let unused: Make = Box::new(|_| unreachable!("the provider starts once"));
        let mut outside = node(
            &shop.telemetry,
            payments::provider::NAME,
            unused,
            provider.1,
        )?;
        let ctx = outside.context();
        let simulated = Simulated::new(&ctx, config.provider.clone());
        outside.start_in(ctx, Arc::new(simulated.clone()), provider.0)?;
        shop.nodes.insert(payments::provider::NAME, outside);
        let charging = Arc::new(simulated);
        let makes: [(&'static str, Make, _); 3] = [
            (orders::NAME, Box::new(|ctx| Orders::new(ctx)), orders),
            (products::NAME, Box::new(|ctx| Products::new(ctx)), products),
            (
                payments::NAME,
                Box::new(move |ctx| -> Arc<dyn Service> {
                    Payments::new(ctx, Arc::clone(&charging) as _, PROVIDER_PATIENCE)
                }),
                payments,
            ),
        ];
        for (service, make, (listener, address)) in makes {
            let mut node = node(&shop.telemetry, service, make, address)?;
            node.start(listener)?;
            shop.nodes.insert(service, node);
        }
        Ok(shop)
    }

    /// Does what `command` says.
    pub fn obey(&mut self, command: Command) -> Answer {
        let done = match command {
            Command::Fired => return Answer::Fired(self.fired()),
            Command::Faults { service, settings } => self.set_faults(&service, settings),
            Command::Crash { service } => self.crash(&service),
            Command::Restart { service } => self.restart(&service),
        };
        done.map_or_else(|error| Answer::Failed(error.to_string()), |()| Answer::Done)
    }

    /// Kills a service where it stands: its tasks are gone, its connections cut, nobody listens on its port.
    ///
    /// # Errors
    /// When there is no such service, or it does not run, or it is the provider.
    pub fn crash(&mut self, service: &str) -> Result<(), CommandError> {
        if service == payments::provider::NAME {
            return Err(CommandError::Outside);
        }
        let crashed = self.node(service)?.crash();
        crashed
            .then_some(())
            .ok_or_else(|| CommandError::Down(service.to_owned()))
    }

    /// Starts a service that crashed: a new incarnation on the same database and the same port.
    ///
    /// # Errors
    /// When there is no such service, or it runs, or it cannot start.
    pub fn restart(&mut self, service: &str) -> Result<(), CommandError> {
        let node = self.node(service)?;
        if node.runs() {
            return Err(CommandError::Up(service.to_owned()));
        }
        Ok(node.restart()?)
    }

    /// Makes the ports of a service fail like this from now on.
    ///
    /// # Errors
    /// When there is no such service, or a setting is out of its range.
    pub fn set_faults(
        &mut self,
        service: &str,
        settings: FaultSettings,
    ) -> Result<(), CommandError> {
        Ok(self.node(service)?.turn(settings)?)
    }

    /// How often each thing went wrong in each service, and which incarnation of it runs.
    pub fn fired(&self) -> BTreeMap<String, State> {
        let states = self.nodes.iter();
        states
            .map(|(name, node)| ((*name).to_owned(), node.state()))
            .collect()
    }

    fn node(&mut self, service: &str) -> Result<&mut Node, CommandError> {
        let node = self.nodes.get_mut(service);
        node.ok_or_else(|| CommandError::NoService(service.to_owned()))
    }

    /// Stops taking requests, answers those in work, publishes what was said, and ends the threads.
    pub fn stop(self) {
        self.nodes.values().for_each(Node::stop);
        self.nodes.into_values().for_each(Node::join);
        self.telemetry.finish(FLUSH);
    }
}

/// Where each service is to listen; port 0 is any that is free.
fn wanted(config: &EmbeddedConfig) -> [(&'static str, SocketAddr); 4] {
    let port = |offset| config.port.map_or(0, |port| port.saturating_add(offset));
    let address = |offset| SocketAddr::from((Ipv4Addr::LOCALHOST, port(offset)));
    config
        .addresses
        .unwrap_or_else(|| Addresses {
            orders: address(0),
            products: address(1),
            payments: address(2),
            provider: address(3),
        })
        .all()
}

/// Two processes on the same files would each believe that they are alone.
fn lock(data: &Path) -> Result<File, StartError> {
    let failed = |source| StartError::Data {
        path: data.to_owned(),
        source,
    };
    let file = File::create(data.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::InUse {
            path: data.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn parts(
    service: &'static str,
    config: &EmbeddedConfig,
    broker: &Broker,
    pipeline: &Pipeline,
) -> Result<Parts, StartError> {
    let store = open(
        &config.data.join(format!("{service}.db")),
        config.synchronous,
    )?;
    // Services draw from sequences of their own; the same one would give two of them the same ids.
    let seed = service.bytes().fold(config.seed, |seed, byte| {
        seed.rotate_left(7) ^ u64::from(byte)
    });
    let tracer = pipeline.tracer(service, "crashcart", platform::os_seed())?;
    let dispatch = logs::dispatch(service, &config.log, Clock::Os, &tracer);
    Ok(Parts {
        service,
        store: Arc::new(store),
        broker: Arc::new(broker.clone()),
        clock: Clock::Os,
        seed,
        dispatch: dispatch.map_err(StartError::Filter)?,
        tracer,
        settings: config.settings.clone(),
        planted: config.planted,
    })
}

/// The telemetry thread of this process.
pub(crate) fn pipeline(
    settings: Option<telemetry::Settings>,
    log: &LogSettings,
) -> Result<Pipeline, StartError> {
    let dispatch = logs::dispatch("telemetry", log, Clock::Os, &Tracer::off());
    Ok(Pipeline::start(
        settings,
        dispatch.map_err(StartError::Filter)?,
    )?)
}

/// How long what was recorded may take to be sent when the services have stopped.
pub(crate) const FLUSH: Duration = Duration::from_secs(5);

fn open(path: &Path, synchronous: Synchronous) -> Result<Sqlite, StartError> {
    Sqlite::open(path, synchronous).map_err(|source| StartError::Open {
        path: path.to_owned(),
        source,
    })
}
