//! All services in this process: each on a thread of its own, SQLite files, the embedded broker.

use crate::{PROVIDER_PATIENCE, ProviderSettings, QUEUES};
use contract::Bug;
use orders::Orders;
use payments::Payments;
use payments::provider::Simulated;
use platform::broker::{Embedded as Broker, EmbeddedSettings};
use platform::logs::{self, LogSettings};
use platform::store::{Sqlite, StoreError, Synchronous};
use platform::{Clock, Context, Parts, Running, Service, Settings};
use products::Products;
use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
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
    /// Where ids and chance come from.
    pub seed: u64,
    /// The port of orders; products, payments and provider take the next three. None: free ones.
    pub port: Option<u16>,
    /// The bug that is switched on in all services; of no effect without the feature `planted`.
    pub planted: Option<Bug>,
}

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
    /// A service did not come up.
    #[error("{service} did not start: {source}")]
    Service {
        /// Which.
        service: &'static str,
        /// Why.
        source: platform::Error,
    },
}

/// The running shop. Dropping it without [`Embedded::stop`] leaves the threads running.
pub struct Embedded {
    /// Where the services listen.
    pub addresses: Addresses,
    contexts: Vec<Context>,
    threads: Vec<JoinHandle<()>>,
    /// Held as long as the databases are in use; the system lets go of it when the process dies, however.
    _lock: File,
}

/// How long a stop may take before what is left is abandoned to the next start.
const DRAIN: Duration = Duration::from_secs(10);

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
        let listen = |service, offset| {
            listen(
                service,
                config.port.map_or(0, |port| port.saturating_add(offset)),
            )
        };
        let listeners = [
            listen(orders::NAME, 0)?,
            listen(products::NAME, 1)?,
            listen(payments::NAME, 2)?,
            listen(payments::provider::NAME, 3)?,
        ];
        let path = config.data.join("broker.db");
        let settings = EmbeddedSettings {
            synchronous: config.synchronous,
            ..EmbeddedSettings::new(QUEUES.to_vec())
        };
        let broker = Broker::open(&path, &settings, Clock::Os)
            .map_err(|source| StartError::Open { path, source })?;
        let context = |service| context(service, config, &broker);
        let provider_ctx = context(payments::provider::NAME)?;
        let provider = Simulated::new(&provider_ctx, config.provider.clone());
        let [orders_ctx, products_ctx, payments_ctx] =
            [orders::NAME, products::NAME, payments::NAME].map(context);
        let (orders_ctx, products_ctx, payments_ctx) = (orders_ctx?, products_ctx?, payments_ctx?);
        let services: [(Context, Arc<dyn Service>); 4] = [
            (orders_ctx.clone(), Orders::new(&orders_ctx)),
            (products_ctx.clone(), Products::new(&products_ctx)),
            (
                payments_ctx.clone(),
                Payments::new(&payments_ctx, Arc::new(provider.clone()), PROVIDER_PATIENCE),
            ),
            (provider_ctx, Arc::new(provider)),
        ];
        let [orders, products, payments, provider] =
            [0, 1, 2, 3].map(|index: usize| listeners[index].1);
        let mut shop = Self {
            addresses: Addresses {
                orders,
                products,
                payments,
                provider,
            },
            contexts: Vec::new(),
            threads: Vec::new(),
            _lock: lock,
        };
        for ((ctx, service), (listener, _)) in services.into_iter().zip(listeners) {
            shop.spawn(ctx, service, listener)?;
        }
        Ok(shop)
    }

    /// Runs one service on a thread of its own; returns when it is there.
    #[expect(
        clippy::disallowed_methods,
        reason = "each embedded service has its own thread and runtime"
    )]
    fn spawn(
        &mut self,
        ctx: Context,
        service: Arc<dyn Service>,
        listener: TcpListener,
    ) -> Result<(), StartError> {
        let name = ctx.service();
        let failed = |source| StartError::Service {
            service: name,
            source,
        };
        let (started, start) = mpsc::channel();
        self.contexts.push(ctx.clone());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime
                    .expect("a runtime with timers and sockets")
                    .block_on(async {
                        let listener = tokio::net::TcpListener::from_std(listener)
                            .expect("a listener that does not block");
                        match Running::start(ctx, service).await {
                            Ok(running) => {
                                // Whoever started us waits for this, or is gone with the process.
                                let _ = started.send(Ok(()));
                                running.serve(listener, DRAIN).await;
                            }
                            Err(error) => drop(started.send(Err(error))),
                        }
                    });
            });
        self.threads
            .push(thread.map_err(|_| failed(platform::Error::Stopped))?);
        start
            .recv()
            .map_err(|_| failed(platform::Error::Stopped))?
            .map_err(failed)
    }

    /// Stops taking requests, answers those in work, publishes what was said, and ends the threads.
    pub fn stop(self) {
        for ctx in &self.contexts {
            ctx.stop();
        }
        for thread in self.threads {
            // A thread that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
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

fn listen(service: &'static str, port: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|source| StartError::Listen {
        service,
        address,
        source,
    })
}

fn context(
    service: &'static str,
    config: &EmbeddedConfig,
    broker: &Broker,
) -> Result<Context, StartError> {
    let store = open(
        &config.data.join(format!("{service}.db")),
        config.synchronous,
    )?;
    let dispatch = logs::dispatch(service, &config.log, Clock::Os).map_err(StartError::Filter)?;
    Ok(Context::new(Parts {
        service,
        store: Arc::new(store),
        broker: Arc::new(broker.clone()),
        clock: Clock::Os,
        // Services draw from sequences of their own; the same one would give two of them the same ids.
        seed: service.bytes().fold(config.seed, |seed, byte| {
            seed.rotate_left(7) ^ u64::from(byte)
        }),
        dispatch,
        settings: config.settings.clone(),
        planted: config.planted,
    }))
}

fn open(path: &Path, synchronous: Synchronous) -> Result<Sqlite, StartError> {
    Sqlite::open(path, synchronous).map_err(|source| StartError::Open {
        path: path.to_owned(),
        source,
    })
}
