//! One service of an embedded shop: a thread with a runtime, a context, and what both need to begin anew.
//!
//! The database, the dial and the port outlive the incarnations; everything else dies with a crash.

use crate::command::State;
use crate::embedded::StartError;
use platform::dial::{BadSetting, Dial, FaultSettings};
use platform::fault::{FaultyBroker, FaultyStore, Site};
use platform::{Context, Parts, Running, Service};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a stop may take before what is left is abandoned to the next start.
const DRAIN: Duration = Duration::from_secs(10);
/// Free ports are looked for from here on. Below where systems take the ports of clients from: a client that
/// asks for a port while nobody listens there could be given that very port, and meet itself.
const FREE_FROM: u16 = 10_000;
/// So many ports are looked at.
const FREE_PORTS: u16 = 20_000;

/// Makes a service for each of its incarnations.
pub(crate) type Make = Box<dyn Fn(&Context) -> Arc<dyn Service> + Send>;

/// A service, where it lives, and whether it does.
pub(crate) struct Node {
    /// Made anew from these, with a seed of its own.
    parts: Box<dyn Fn() -> Parts + Send>,
    make: Make,
    dial: Arc<Dial>,
    address: SocketAddr,
    incarnation: u64,
    running: Option<Incarnation>,
}

struct Incarnation {
    ctx: Context,
    crash: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Node {
    /// A service that does not run yet. `parts` are without faults.
    pub(crate) fn new(parts: Parts, make: Make, address: SocketAddr) -> Self {
        let dial = Arc::new(Dial::new(parts.seed));
        let site: Arc<dyn Site> = Arc::clone(&dial) as _;
        let parts = Parts {
            store: Arc::new(FaultyStore::new(parts.store, Arc::clone(&site))),
            broker: Arc::new(FaultyBroker::new(parts.broker, site)),
            ..parts
        };
        let parts = move || Parts {
            store: Arc::clone(&parts.store),
            broker: Arc::clone(&parts.broker),
            dispatch: parts.dispatch.clone(),
            settings: parts.settings.clone(),
            ..parts
        };
        Self {
            parts: Box::new(parts),
            make,
            dial,
            address,
            incarnation: 0,
            running: None,
        }
    }

    /// The context of the next incarnation.
    pub(crate) fn context(&self) -> Context {
        let parts = (self.parts)();
        // A later incarnation must not draw the ids of an earlier one again.
        let seed = parts.seed ^ self.incarnation.rotate_right(16);
        Context::new(Parts { seed, ..parts })
    }

    /// Starts the next incarnation on `listener`; returns when it is there.
    pub(crate) fn start(&mut self, listener: TcpListener) -> Result<(), StartError> {
        let ctx = self.context();
        let service = (self.make)(&ctx);
        self.start_in(ctx, service, listener)
    }

    /// Starts the next incarnation in `ctx`.
    #[expect(
        clippy::disallowed_methods,
        reason = "each embedded service has its own thread and runtime"
    )]
    pub(crate) fn start_in(
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
        let (crash, crashed) = oneshot::channel();
        let of_thread = ctx.clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || live(&of_thread, service, listener, crashed, &started))
            .map_err(|_| failed(platform::Error::Stopped))?;
        start
            .recv()
            .map_err(|_| failed(platform::Error::Stopped))?
            .map_err(failed)?;
        self.incarnation += 1;
        self.running = Some(Incarnation { ctx, crash, thread });
        Ok(())
    }

    /// Starts the service again, where it was.
    pub(crate) fn restart(&mut self) -> Result<(), StartError> {
        let service = (self.parts)().service;
        let (listener, _) = listen(service, self.address)?;
        self.start(listener)
    }

    /// Kills the service where it stands; returns when nothing of it is left. False: it does not run.
    pub(crate) fn crash(&mut self) -> bool {
        let Some(Incarnation { crash, thread, .. }) = self.running.take() else {
            return false;
        };
        // An error means that it has ended by itself.
        let _ = crash.send(());
        // A thread that panicked has said so on standard error.
        let _ = thread.join();
        true
    }

    /// Tells the service to take no more requests.
    pub(crate) fn stop(&self) {
        if let Some(running) = &self.running {
            running.ctx.stop();
        }
    }

    /// Waits until a service that was told to stop has done so.
    pub(crate) fn join(self) {
        if let Some(running) = self.running {
            // A thread that panicked has said so on standard error.
            let _ = running.thread.join();
        }
    }

    /// Turns the dial.
    pub(crate) fn turn(&self, settings: FaultSettings) -> Result<(), BadSetting> {
        self.dial.turn(settings)
    }

    pub(crate) fn runs(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) fn state(&self) -> State {
        State {
            incarnation: self.incarnation,
            runs: self.runs(),
            fired: self.dial.fired(),
        }
    }
}

/// The life of one incarnation.
fn live(
    ctx: &Context,
    service: Arc<dyn Service>,
    listener: TcpListener,
    crashed: oneshot::Receiver<()>,
    started: &mpsc::Sender<platform::Result<()>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime with timers and sockets");
    runtime.block_on(async {
        let listener =
            tokio::net::TcpListener::from_std(listener).expect("a listener that does not block");
        let running = match Running::start(ctx.clone(), service).await {
            Ok(running) => running,
            // Whoever started us waits for this, or is gone with the process.
            Err(error) => return drop(started.send(Err(error))),
        };
        let _ = started.send(Ok(()));
        tokio::select! {
            biased;
            // A sender that is gone is no crash.
            Ok(()) = crashed => ctx.aborted().await,
            () = running.serve(listener, DRAIN) => {}
        }
    });
}

/// Listens on `address`; port 0 stands for any that is free.
pub(crate) fn listen(
    service: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let bind = |address| {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    let free = (address.port() == 0).then(free_ports).into_iter().flatten();
    let found = free
        .map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .find_map(|address| bind(address).ok());
    found
        .map_or_else(|| bind(address), Ok)
        .map_err(|source| StartError::Listen {
            service,
            address,
            source,
        })
}

/// Ports that may be free, beginning anywhere, so that shops which start at once seldom try the same.
fn free_ports() -> impl Iterator<Item = u16> {
    let first = platform::os_seed() % u64::from(FREE_PORTS);
    let first = u16::try_from(first).unwrap_or(0);
    (0..100).map(move |n| FREE_FROM + (first + n) % FREE_PORTS)
}
