//! A shop on PostgreSQL and RabbitMQ: a child process of ours for each replica of each service.
//!
//! A replica that died is started again on the same address. The provider is the outside: there is one, and it
//! outlives everything that happens to the shop.

use super::process::Process;
use super::{Places, ShopError};
use ::shop::{Answer, Command, FaultSettings, Fired, State};
use contract::Bug;
use platform::broker::Routing;
use platform::telemetry;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a process waits for its engines, if nobody says otherwise.
pub const STARTS_WITHIN: Duration = Duration::from_secs(40);
/// So much longer we wait for it: it knows better what is missing.
const MARGIN: Duration = Duration::from_secs(20);
/// How long a replica may take to answer; one that is stopped does not.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long all of them may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at whether the start was given up.
const LOOK: Duration = Duration::from_millis(100);
/// The outside of the shop, which starts first.
const PROVIDER: &str = "provider";
/// The services that have replicas.
const REPLICATED: [&str; 3] = ["orders", "products", "payments"];

/// Where a service finds its database and the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineUrls {
    /// Its database.
    pub postgres: String,
    /// The broker.
    pub amqp: String,
}

/// Where the traces of a shop go.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The collector, without the path of the signal.
    pub endpoint: String,
    /// The share of the traces that is recorded, from 0 to 1.
    pub share: f64,
}

impl Traces {
    /// What a shop in this process, or a child, is told.
    pub fn settings(&self) -> telemetry::Settings {
        let endpoint = format!("{}/v1/traces", self.endpoint);
        telemetry::Settings {
            sampling: telemetry::Sampling::ratio(self.share),
            ..telemetry::Settings::to(endpoint, telemetry::Protocol::Http)
        }
    }
}

/// How to run the shop in processes of their own.
#[derive(Debug, Clone)]
pub struct DistributedConfig {
    /// The `crashcart` whose `shop` is started.
    pub program: PathBuf,
    /// Clients of each service but the provider.
    pub replicas: usize,
    /// The engines of each service, by its name; something may stand between the two.
    pub engines: BTreeMap<&'static str, EngineUrls>,
    /// Stands before every name on the broker.
    pub prefix: String,
    /// Which queues get what.
    pub routing: Routing,
    /// The most messages of a batch; as many as the service likes if not given.
    pub batch_max: Option<usize>,
    /// How long a process waits for its engines as it starts.
    pub starts_within: Duration,
    /// Where traces go; none: nowhere.
    pub traces: Option<Traces>,
    /// Which log lines are written, in the syntax of `RUST_LOG`.
    pub log_filter: String,
    /// A bug to switch on; of no effect in a build without the feature `planted`.
    pub planted: Option<Bug>,
}

/// The running shop. Dropped, its processes are killed.
pub struct Distributed {
    config: DistributedConfig,
    /// The provider first, then the services by name and number.
    replicas: Vec<Replica>,
    /// Whose turn it is when something is to happen to one replica of a service.
    turns: BTreeMap<&'static str, usize>,
}

/// One replica of a service: where it is, and its process as long as it lives.
pub struct Replica {
    /// The service.
    pub service: &'static str,
    /// Its number among the replicas of its service, from 1.
    pub number: usize,
    /// Where it listens; the same in all its incarnations.
    pub address: SocketAddr,
    config: ReplicaConfig,
    process: Option<Process>,
    incarnation: u64,
    /// What went wrong at its ports in this incarnation, as far as it said.
    fired: Fired,
    /// And in those before it.
    fired_before: Fired,
    /// The processor time that its dead incarnations took.
    spent: Duration,
}

/// What a replica needs to be started, but its address.
#[derive(Clone)]
struct ReplicaConfig {
    program: PathBuf,
    log_filter: String,
    args: Vec<String>,
}

impl Distributed {
    /// Starts all processes and returns when each of them listens. Ends early when `give_up` becomes true.
    ///
    /// # Errors
    /// [`ShopError::ServiceStart`]: which service did not come up, and its last words.
    pub fn start(config: DistributedConfig, give_up: &AtomicBool) -> Result<Self, ShopError> {
        let until = Instant::now() + config.starts_within + MARGIN;
        let started = |config: ReplicaConfig, service, number| {
            Replica::spawn(config, service, number, any_port())
        };
        let provider = started(replica(&config, PROVIDER, None), PROVIDER, 1)?;
        let mut replicas = vec![provider.there(until, give_up)?];
        let at = replicas[0].address;
        let mut starting = Vec::new();
        for service in REPLICATED {
            for number in 1..=config.replicas.max(1) {
                starting.push(started(
                    replica(&config, service, Some(at)),
                    service,
                    number,
                )?);
            }
        }
        for replica in starting {
            replicas.push(replica.there(until, give_up)?);
        }
        Ok(Self {
            config,
            replicas,
            turns: BTreeMap::new(),
        })
    }

    /// How it was started.
    pub const fn config(&self) -> &DistributedConfig {
        &self.config
    }

    /// All replicas of all services, the provider first.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// The replicas of a service, to do something to them.
    pub fn replicas_of(&mut self, service: &str) -> impl Iterator<Item = &mut Replica> {
        let replicas = self.replicas.iter_mut();
        replicas.filter(move |replica| replica.service == service)
    }

    /// The replica of a service whose turn it is to suffer something.
    ///
    /// # Errors
    /// When there is no such service, or it is the provider.
    pub fn next_of(&mut self, service: &str) -> Result<&mut Replica, ShopError> {
        if service == PROVIDER {
            return Err(ShopError::Refused("the provider does not crash".to_owned()));
        }
        let unknown = || ShopError::Refused(format!("there is no service {service:?}"));
        let known = REPLICATED.into_iter().find(|name| *name == service);
        let turn = self.turns.entry(known.ok_or_else(unknown)?).or_default();
        let n = *turn % self.config.replicas.max(1);
        *turn += 1;
        self.replicas_of(service).nth(n).ok_or_else(unknown)
    }

    /// Where the services listen.
    pub fn places(&self) -> Places {
        let mut places = Places::default();
        for replica in &self.replicas {
            places.add(replica.service, replica.address);
        }
        places
    }

    /// Does what `command` says: faults and crashes hit one replica, each time the next one.
    ///
    /// # Errors
    /// [`ShopError`] when it cannot be done.
    pub fn obey(&mut self, command: Command) -> Result<Answer, ShopError> {
        match command {
            Command::Fired => return Ok(Answer::Fired(self.fired())),
            Command::Faults { service, settings } if settings == FaultSettings::default() => {
                for replica in self.replicas_of(&service).filter(|one| one.pid().is_some()) {
                    replica.turn(settings.clone())?;
                }
            }
            Command::Faults { service, settings } => self.next_of(&service)?.turn(settings)?,
            Command::Crash { service } => self.next_of(&service)?.kill(),
            Command::Restart { service } => {
                for replica in self.replicas_of(&service).filter(|one| one.pid().is_none()) {
                    replica.start_again()?;
                }
            }
        }
        Ok(Answer::Done)
    }

    /// Kills all replicas of all services; the provider is the outside.
    pub fn kill(&mut self) {
        let inside = self.replicas.iter_mut();
        inside
            .filter(|replica| replica.service != PROVIDER)
            .for_each(Replica::kill);
    }

    /// Starts all that are dead again, where they were.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start_again(&mut self) -> Result<(), ShopError> {
        let dead = self.replicas.iter_mut();
        dead.filter(|replica| replica.process.is_none())
            .try_for_each(Replica::start_again)
    }

    /// Stops taking requests, answers those in work, publishes what was said, and ends.
    pub fn stop(mut self) {
        let until = Instant::now() + ENDS_WITHIN;
        let processes = |replica: &mut Replica| replica.process.take();
        let mut processes: Vec<Process> = self.replicas.iter_mut().filter_map(processes).collect();
        processes.iter_mut().for_each(Process::close);
        for process in processes {
            process.wait_closed(until);
        }
    }

    fn fired(&mut self) -> BTreeMap<String, State> {
        let mut states = BTreeMap::<String, State>::new();
        for replica in &mut self.replicas {
            let state = replica.state();
            states
                .entry(replica.service.to_owned())
                .and_modify(|all| {
                    all.incarnation += state.incarnation;
                    all.runs &= state.runs;
                    all.fired = sum(all.fired, state.fired);
                })
                .or_insert(state);
        }
        states
    }
}

impl Replica {
    /// Its process; none while it is dead.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Kills it with SIGKILL and waits until it is gone. One that is dead already is fine.
    pub fn kill(&mut self) {
        if let Some(pid) = self.pid() {
            self.spent += super::cpu::of(pid).unwrap_or_default();
        }
        self.process = None;
        self.fired_before = sum(self.fired_before, std::mem::take(&mut self.fired));
    }

    /// Stops it where it stands: it answers nobody, and keeps what it has.
    pub fn pause(&self) {
        self.signal(crate::engines::Signal::STOP);
    }

    /// Lets it go on, if it stands still.
    pub fn resume(&self) {
        self.signal(crate::engines::Signal::CONT);
    }

    fn signal(&self, how: crate::engines::Signal) {
        if let Some(pid) = self.pid() {
            crate::engines::signal(pid, how);
        }
    }

    /// Starts it again where it was; returns when it listens.
    ///
    /// # Errors
    /// When it runs, or does not start.
    pub fn start_again(&mut self) -> Result<(), ShopError> {
        if self.process.is_some() {
            return Err(ShopError::Refused(format!("{} runs already", self.name())));
        }
        let again = Self::spawn(self.config.clone(), self.service, self.number, self.address)?;
        let until = Instant::now() + STARTS_WITHIN + MARGIN;
        self.process = again.there(until, &AtomicBool::new(false))?.process;
        self.incarnation += 1;
        Ok(())
    }

    /// The processor time of all its incarnations, user and system; zero where the system does not tell.
    pub fn cpu(&self) -> Duration {
        let alive = self.pid().and_then(super::cpu::of);
        self.spent + alive.unwrap_or_default()
    }

    /// What people call it: `orders 2`.
    pub fn name(&self) -> String {
        format!("{} {}", self.service, self.number)
    }

    fn spawn(
        config: ReplicaConfig,
        service: &'static str,
        number: usize,
        address: SocketAddr,
    ) -> Result<Self, ShopError> {
        let mut command = process::Command::new(&config.program);
        command
            .args(&config.args)
            .args(["--listen", &address.to_string()])
            .env("RUST_LOG", &config.log_filter)
            // Ctrl-C in a terminal is for us: we end them when we are done.
            .process_group(0);
        // What is set for other services that are started here is not meant for these.
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in names.filter(|name| name.starts_with("SHOP_") || name.starts_with("OTEL_")) {
            command.env_remove(name);
        }
        let process = Process::spawn(&mut command)?;
        Ok(Self {
            service,
            number,
            address,
            config,
            process: Some(process),
            incarnation: 1,
            fired: Fired::default(),
            fired_before: Fired::default(),
            spent: Duration::ZERO,
        })
    }

    /// Waits until it says where it listens.
    fn there(mut self, until: Instant, give_up: &AtomicBool) -> Result<Self, ShopError> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        let name = self.name();
        let Some(process) = self.process.take() else {
            return Err(ShopError::NoAnswer(format!("{name} is dead")));
        };
        let first = loop {
            match process.heard(LOOK) {
                Ok(first) => break first,
                Err(_) if give_up.load(Ordering::Relaxed) => return Err(ShopError::GivenUp),
                Err(Timeout) if Instant::now() < until => {}
                Err(Timeout | Disconnected) => {
                    return Err(ShopError::ServiceStart {
                        service: name,
                        said: process.last_words(STARTS_WITHIN + MARGIN),
                    });
                }
            }
        };
        let places = serde_json::from_str::<BTreeMap<String, SocketAddr>>(&first);
        let place = places
            .ok()
            .and_then(|places| places.get(self.service).copied());
        self.address = place.ok_or_else(|| ShopError::ServiceStart {
            service: name,
            said: format!("it said {first:?} instead of where it listens"),
        })?;
        self.process = Some(process);
        Ok(self)
    }

    fn turn(&mut self, settings: FaultSettings) -> Result<(), ShopError> {
        let service = self.service.to_owned();
        match self.ask(&Command::Faults { service, settings })? {
            Answer::Failed(why) => Err(ShopError::Refused(why)),
            Answer::Done | Answer::Fired(_) => Ok(()),
        }
    }

    fn ask(&mut self, command: &Command) -> Result<Answer, ShopError> {
        let name = self.name();
        let dead = || ShopError::NoAnswer(format!("{name} was killed"));
        let process = self.process.as_mut().ok_or_else(dead)?;
        process.ask_within(command, ANSWERS_WITHIN)
    }

    /// Where it stands; what it does not say is what it said last.
    fn state(&mut self) -> State {
        if let Ok(Answer::Fired(states)) = self.ask(&Command::Fired)
            && let Some(state) = states.get(self.service)
        {
            self.fired = state.fired;
        }
        State {
            incarnation: self.incarnation,
            runs: self.process.is_some(),
            fired: sum(self.fired_before, self.fired),
        }
    }
}

/// What a replica of `service` is told as it starts.
fn replica(
    config: &DistributedConfig,
    service: &'static str,
    provider: Option<SocketAddr>,
) -> ReplicaConfig {
    let mut args = vec!["shop".to_owned(), service.to_owned(), "--obey".to_owned()];
    let mut add = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
    if let Some(urls) = config.engines.get(service) {
        add("--postgres", urls.postgres.clone());
        add("--amqp", urls.amqp.clone());
    }
    add("--prefix", config.prefix.clone());
    let seconds = config.starts_within.as_secs().max(1);
    add("--start-timeout", format!("{seconds}s"));
    let routing = match config.routing {
        Routing::Fanout => "fanout",
        Routing::Topic => "topic",
    };
    add("--routing", routing.to_owned());
    if let Some(provider) = provider {
        add("--provider", format!("http://{provider}"));
    }
    if let Some(Traces { endpoint, share }) = &config.traces {
        add("--otlp-endpoint", endpoint.clone());
        add("--traces-sampler", "parentbased_traceidratio".to_owned());
        add("--traces-sampler-arg", share.to_string());
    }
    if let Some(most) = config.batch_max {
        add("--batch-max", most.to_string());
    }
    if let Some(bug) = config.planted {
        add("--plant", bug.to_string());
    }
    ReplicaConfig {
        program: config.program.clone(),
        log_filter: config.log_filter.clone(),
        args,
    }
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn sum(a: Fired, b: Fired) -> Fired {
    Fired {
        duplicated: a.duplicated + b.duplicated,
        delayed: a.delayed + b.delayed,
        reordered: a.reordered + b.reordered,
        store_failed: a.store_failed + b.store_failed,
        store_unknown: a.store_unknown + b.store_unknown,
        store_slowed: a.store_slowed + b.store_slowed,
    }
}
