//! One service: a thread with a runtime, a context, and what both need to begin anew.
//!
//! The database, the dial and the port outlive the incarnations; everything else dies with a crash.

use crate::command::State;
use crate::embedded::StartError;
use crate::ports::free_ports;
use platform::broker::BrokerError;
use platform::dial::{BadSetting, Dial, FaultSettings};
use platform::fault::{FaultyBroker, FaultyStore, Site};
use platform::{Context, Parts, Running, Service};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

/// How long a stop may take before what is left is abandoned to the next start.
const DRAIN: Duration = Duration::from_secs(10);
/// How soon an engine that is not there is tried again; twice that the next time, up to the maximum.
const REACH_AGAIN_MIN: Duration = Duration::from_millis(100);
const REACH_AGAIN_MAX: Duration = Duration::from_secs(3);
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

/// A life of a service, from its start to its end.
pub(crate) struct Incarnation {
    ctx: Context,
    crash: oneshot::Sender<()>,
    /// Closed when the thread ends.
    ended: watch::Receiver<()>,
    thread: JoinHandle<()>,
}

/// Told once whether a service came up.
type Started = Box<dyn FnOnce(Result<(), StartError>) + Send>;

impl Node {
    /// A service that does not run yet, with a dial before its ports that draws from `seed`. `parts` are without
    /// faults.
    pub(crate) fn new(parts: Parts, seed: u64, make: Make, address: SocketAddr) -> Self {
        let dial = Arc::new(Dial::new(seed));
        let site: Arc<dyn Site> = Arc::clone(&dial) as _;
        let parts = Parts {
            store: Arc::new(FaultyStore::new(parts.store, Arc::clone(&site))),
            broker: Arc::new(FaultyBroker::new(parts.broker, site)),
            ..parts
        };
        Self::with(parts, make, address, dial)
    }

    /// A service that does not run yet and whose dial turns nothing.
    pub(crate) fn without_dial(parts: Parts, make: Make, address: SocketAddr) -> Self {
        Self::with(parts, make, address, Arc::new(Dial::new(0)))
    }

    fn with(parts: Parts, make: Make, address: SocketAddr, dial: Arc<Dial>) -> Self {
        let parts = move || Parts {
            store: Arc::clone(&parts.store),
            broker: Arc::clone(&parts.broker),
            dispatch: parts.dispatch.clone(),
            tracer: parts.tracer.clone(),
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

    /// Starts the next incarnation in `ctx`; returns when it is there.
    pub(crate) fn start_in(
        &mut self,
        ctx: Context,
        service: Arc<dyn Service>,
        listener: TcpListener,
    ) -> Result<(), StartError> {
        let name = ctx.service();
        let (started, start) = mpsc::channel();
        // Whoever started us waits for this, or is gone with the process.
        let started = move |how| drop(started.send(how));
        let incarnation = launch(ctx, service, listener, None, Box::new(started))?;
        start.recv().map_err(|_| died(name))??;
        self.lives(incarnation);
        Ok(())
    }

    /// Starts the first incarnation, which waits for its engines until `deadline`.
    pub(crate) fn launch(
        &mut self,
        listener: TcpListener,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Result<(), StartError>>, StartError> {
        let ctx = self.context();
        let service = (self.make)(&ctx);
        let (started, start) = oneshot::channel();
        let started = move |how| drop(started.send(how));
        let incarnation = launch(ctx, service, listener, Some(deadline), Box::new(started))?;
        self.lives(incarnation);
        Ok(start)
    }

    fn lives(&mut self, incarnation: Incarnation) {
        self.incarnation += 1;
        self.running = Some(incarnation);
    }

    /// Returns when the service has ended, however.
    pub(crate) async fn ended(&self) {
        if let Some(running) = &self.running {
            let mut ended = running.ended.clone();
            // Nothing is ever sent: the other side is gone with the thread.
            while ended.changed().await.is_ok() {}
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the service's log lines go.
    pub(crate) fn dispatch(&self) -> Dispatch {
        (self.parts)().dispatch
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

fn died(service: &'static str) -> StartError {
    StartError::Service {
        service,
        source: platform::Error::Stopped,
    }
}

/// Starts a thread that runs `service` in `ctx`.
#[expect(
    clippy::disallowed_methods,
    reason = "each service has its own thread and runtime"
)]
fn launch(
    ctx: Context,
    service: Arc<dyn Service>,
    listener: TcpListener,
    deadline: Option<Instant>,
    started: Started,
) -> Result<Incarnation, StartError> {
    let name = ctx.service();
    let (crash, crashed) = oneshot::channel();
    let (alive, ended) = watch::channel(());
    let of_thread = ctx.clone();
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _alive = alive;
            let dispatch = of_thread.dispatch().clone();
            let life = live(of_thread, service, listener, crashed, deadline, started);
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime with timers and sockets")
                .block_on(life.with_subscriber(dispatch));
        })
        .map_err(|_| died(name))?;
    Ok(Incarnation {
        ctx,
        crash,
        ended,
        thread,
    })
}

/// The life of one incarnation.
async fn live(
    ctx: Context,
    service: Arc<dyn Service>,
    listener: TcpListener,
    crashed: oneshot::Receiver<()>,
    deadline: Option<Instant>,
    started: Started,
) {
    let running = match come_up(&ctx, service, deadline).await {
        Ok(running) => running,
        Err(error) => return started(Err(error)),
    };
    let listener =
        tokio::net::TcpListener::from_std(listener).expect("a listener that does not block");
    started(Ok(()));
    tokio::select! {
        biased;
        // A sender that is gone is no crash.
        Ok(()) = crashed => ctx.aborted().await,
        () = running.serve(listener, DRAIN) => {}
    }
}

async fn come_up(
    ctx: &Context,
    service: Arc<dyn Service>,
    deadline: Option<Instant>,
) -> Result<Running, StartError> {
    if let Some(deadline) = deadline {
        reach(ctx, deadline).await?;
    }
    let running = Running::start(ctx.clone(), service).await;
    running.map_err(|source| StartError::Service {
        service: ctx.service(),
        source,
    })
}

/// Waits until the engines are there, but not longer than until `deadline`.
async fn reach(ctx: &Context, deadline: Instant) -> Result<(), StartError> {
    let mut pause = REACH_AGAIN_MIN;
    loop {
        let reached = tokio::time::timeout_at(deadline, probe(ctx)).await;
        let Err(source) = reached.unwrap_or(Err(platform::Error::NoAnswer)) else {
            return Ok(());
        };
        if Instant::now() + pause >= deadline {
            let service = ctx.service();
            return Err(StartError::Unreachable { service, source });
        }
        tracing::warn!(error = %source, ?pause, "an engine is not there yet, trying again");
        tokio::time::sleep(ctx.jittered(pause)).await;
        pause = (pause * 2).min(REACH_AGAIN_MAX);
    }
}

async fn probe(ctx: &Context) -> platform::Result<()> {
    drop(ctx.store().read().await?);
    match ctx.broker().depth(ctx.service()).await {
        // A service that hears nothing has no queue.
        Ok(_) | Err(BrokerError::NoQueue(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
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
        .map(|port| SocketAddr::new(address.ip(), port))
        .find_map(|address| bind(address).ok());
    found
        .map_or_else(|| bind(address), Ok)
        .map_err(|source| StartError::Listen {
            service,
            address,
            source,
        })
}
