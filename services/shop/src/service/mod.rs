//! Services as processes of their own, on PostgreSQL and RabbitMQ: `shop orders`, `shop all`, …
//!
//! Each service is a thread with a runtime, like in the embedded shop; what they share is only what any two replicas
//! share: the databases, the broker, and HTTP.

mod args;
mod config;
mod health;
mod obey;

pub use args::{ShopArgs, parse};

use crate::embedded::{FLUSH, StartError, pipeline};
use crate::node::{Make, Node, listen};
use crate::{PROVIDER_PATIENCE, ProviderSettings};
use args::What;
use config::{Config, ServiceConfig};
use contract::Bug;
use futures_util::future::{join_all, select_all};
use orders::Orders;
use payments::Payments;
use payments::provider::{self, Http, ProviderUrl, Simulated};
use platform::broker::{Broker, Nowhere};
use platform::logs::{self, LogSettings};
use platform::telemetry::Pipeline;
use platform::{Clock, Parts, Settings};
use products::Products;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;
use tracing::dispatcher::with_default;

/// The services of this process, by name.
type Nodes = BTreeMap<&'static str, Node>;

/// A flag or a variable cannot be used.
pub const USAGE: u8 = 64;
/// Something that is needed is not there.
const UNAVAILABLE: u8 = 69;
/// A service ended by itself.
const SOFTWARE: u8 = 70;

/// Runs what `args` ask for, until it is told to stop.
pub fn main(args: &ShopArgs) -> ExitCode {
    if let What::Health(args) = &args.what {
        return health::main(args);
    }
    match Config::read(&args.what) {
        Ok(config) => run(config),
        Err(wrongs) => {
            eprintln!("shop: nothing was started, because these cannot be used:");
            for wrong in wrongs {
                eprintln!("  {wrong}");
            }
            eprintln!("`shop orders --help` tells what can be used");
            ExitCode::from(USAGE)
        }
    }
}

fn run(config: Config) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime.map_err(End::System).and_then(|runtime| {
        let ended = runtime.block_on(live(config));
        // Names are looked up on threads of the runtime, and nobody waits for those any more.
        runtime.shutdown_background();
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(end) => {
            eprintln!("shop: {end}");
            ExitCode::from(end.code())
        }
    }
}

/// Why it ended, other than by being told.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(
        "{service} cannot listen on {address}: {source}; --listen (SHOP_LISTEN) gives another address"
    )]
    Listen {
        service: &'static str,
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error(
        "{0}; check --postgres (SHOP_POSTGRES) and --amqp (SHOP_AMQP), or give more time with --start-timeout (SHOP_START_TIMEOUT)"
    )]
    Unreachable(StartError),
    #[error(transparent)]
    Start(StartError),
    #[error("{0} ended by itself")]
    Service(&'static str),
    #[error("the system does not let us run: {0}")]
    System(#[from] std::io::Error),
}

impl End {
    const fn code(&self) -> u8 {
        match self {
            Self::Listen { .. } | Self::Unreachable(_) | Self::Start(_) => UNAVAILABLE,
            Self::Service(_) | Self::System(_) => SOFTWARE,
        }
    }
}

impl From<StartError> for End {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Listen {
                service,
                address,
                source,
            } => Self::Listen {
                service,
                address,
                source,
            },
            error @ StartError::Unreachable { .. } => Self::Unreachable(error),
            error => Self::Start(error),
        }
    }
}

/// The signals that stop a process.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn live(config: Config) -> Result<(), End> {
    // First of all: the first process of a container has no other way to hear signals.
    let mut stop = Stop::new()?;
    let obeys = config.obey;
    let (nodes, telemetry) = tokio::select! {
        biased;
        () = stop.asked() => return Ok(()),
        started = start(config) => started?,
    };
    tokio::select! {
        biased;
        () = stop.asked() => {}
        told = obey::obey(&nodes, obeys) => told?,
        name = any_ended(&nodes) => return Err(End::Service(name)),
    }
    if !obeys {
        eprintln!("shop: stopping: answering what is in work (again to stop at once)");
    }
    nodes.values().for_each(Node::stop);
    tokio::select! {
        biased;
        _ = join_all(nodes.values().map(Node::ended)) => {}
        () = stop.asked() => {}
    }
    telemetry.finish(FLUSH);
    Ok(())
}

/// Starts all services side by side, and returns when all are there.
async fn start(config: Config) -> Result<(Nodes, Pipeline), End> {
    let deadline = Instant::now() + config.start_timeout;
    let mut listeners = Vec::with_capacity(config.services.len());
    for service in &config.services {
        listeners.push(listen(service.name, service.listen)?);
    }
    let own = config.services.iter().zip(&listeners);
    let own = own.filter(|(service, _)| service.name == provider::NAME);
    let own = own.map(|(_, (_, address))| reached_at(*address)).next();
    let (mut nodes, mut starting) = (Nodes::new(), Vec::new());
    let shared = Shared {
        provider: config.provider.or(own),
        settings: config.settings,
        telemetry: pipeline(config.telemetry, &config.log)?,
        log: config.log,
        seed: config.seed.unwrap_or_else(platform::os_seed),
        planted: config.planted,
        obey: config.obey,
    };
    for (service, (listener, address)) in config.services.into_iter().zip(listeners) {
        let name = service.name;
        let mut node = shared.node(service, address)?;
        starting.push((name, node.launch(listener, deadline)?));
        nodes.insert(name, node);
    }
    for (name, started) in starting {
        // A service that died as it started has said so on standard error.
        started.await.map_err(|_| End::Service(name))??;
    }
    for node in nodes.values() {
        let address = node.address();
        with_default(&node.dispatch(), || tracing::info!(%address, "listening"));
    }
    Ok((nodes, shared.telemetry))
}

/// The provider that runs in this process, as the other services of it find it.
fn reached_at(address: SocketAddr) -> ProviderUrl {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    ProviderUrl::from(SocketAddr::new(ip, address.port()))
}

/// What the services of a process have in common.
struct Shared {
    provider: Option<ProviderUrl>,
    settings: Settings,
    log: LogSettings,
    telemetry: Pipeline,
    seed: u64,
    planted: Option<Bug>,
    obey: bool,
}

impl Shared {
    fn node(&self, service: ServiceConfig, address: SocketAddr) -> Result<Node, StartError> {
        let name = service.name;
        let tracer = self
            .telemetry
            .tracer(name, "rabbitmq", platform::os_seed())?;
        let dispatch =
            logs::dispatch(name, &self.log, Clock::Os, &tracer).map_err(StartError::Filter)?;
        let broker: Arc<dyn Broker> = match service.broker {
            Some(rabbit) => Arc::new(rabbit),
            None => Arc::new(Nowhere),
        };
        let parts = Parts {
            service: name,
            store: Arc::new(service.store),
            broker,
            clock: Clock::Os,
            // Never from a flag: two replicas, or two lives of one, must not draw the same ids.
            seed: platform::os_seed(),
            dispatch,
            tracer,
            settings: self.settings.clone(),
            planted: self.planted,
        };
        let make = self.make(name);
        Ok(if self.obey {
            Node::new(parts, self.seed, make, address)
        } else {
            Node::without_dial(parts, make, address)
        })
    }

    fn make(&self, name: &str) -> Make {
        match name {
            orders::NAME => Box::new(|ctx| Orders::new(ctx)),
            products::NAME => Box::new(|ctx| Products::new(ctx)),
            payments::NAME => {
                let url = self.provider.clone().expect("read for payments");
                Box::new(move |ctx| {
                    let provider = Http::new(ctx, url.clone());
                    Payments::new(ctx, Arc::new(provider), PROVIDER_PATIENCE)
                })
            }
            _ => Box::new(|ctx| Arc::new(Simulated::new(ctx, ProviderSettings::default()))),
        }
    }
}

/// Returns the name of the first service that ends.
async fn any_ended(nodes: &Nodes) -> &'static str {
    let endings = nodes.iter().map(|(name, node)| {
        Box::pin(async {
            node.ended().await;
            *name
        })
    });
    select_all(endings).await.0
}
