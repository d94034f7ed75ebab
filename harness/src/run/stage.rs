//! What a run stands on: a shop that is started for it or runs already, and what must be put back in the end.

use super::lease::Lease;
use super::servers::{Servers, rabbit, rabbitmq_version};
use super::{RunConfig, RunError, costs, setup, tap};
use crate::client::Call;
use crate::engines::{PrivatePostgres, PrivateRabbit};
use crate::faults::{Around, Planned, Side};
use crate::report::EngineFigures;
use crate::target::{
    Distributed, DistributedConfig, Distribution, EngineUrls, Place, RunningShop, STARTS_WITHIN,
    Shop, ShopError, Target, Traces,
};
use hyper::{Method, StatusCode};
use platform::broker::{RabbitSettings, RabbitTap, Routing};
use shop::ProviderSettings;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two looks at whether they are.
const LOOK: Duration = Duration::from_millis(250);
/// How long what is put back may take.
const PUTS_BACK_WITHIN: Duration = Duration::from_secs(10);
/// Where the provider says how it behaves.
const SETTINGS: &str = "/api/v1/settings";

/// What a run stands on.
pub(super) struct Stage {
    pub(super) shop: Arc<Mutex<Shop>>,
    /// The engines, as far as they are our own, and the network on the way to them.
    pub(super) around: Arc<Mutex<Around>>,
    pub(super) engine: EngineFigures,
    /// Where to listen on the exchange, and as whom; none where the shop itself tells what was there.
    pub(super) tap: Option<(RabbitSettings, String)>,
    /// Why nobody can listen on the exchange, if that is so.
    pub(super) untapped: Option<String>,
    /// Whether others may use the shop, or have used it before.
    pub(super) is_shared: bool,
    /// The servers, where their addresses are known.
    pub(super) servers: Option<Servers>,
    /// How the provider behaved before.
    usual: Option<ProviderSettings>,
    /// Given back when the shop has ended.
    lease: Option<Lease>,
}

impl Stage {
    /// Starts the shop, or finds the one that runs. Returns early when `give_up` becomes true.
    ///
    /// # Errors
    /// What does not come up, and what it said.
    pub(super) async fn build(
        config: &RunConfig,
        data: PathBuf,
        (run, planned): (&str, &[Planned]),
        (traces, give_up): (Option<Traces>, Arc<AtomicBool>),
    ) -> Result<Self, RunError> {
        let say = |what: &str| {
            if !config.quiet {
                eprintln!("{what}");
            }
        };
        match &config.place {
            Place::Here | Place::Child { .. } => {
                let shop = Shop::start(&setup::shop(config, data, traces), &config.place)?;
                Ok(Self::on(shop, EngineFigures::default()))
            }
            Place::Distributed(distribution) => {
                let around = start_engines(distribution, data, &say).await?;
                let around = (around, planned);
                let told = (traces, give_up);
                Self::distributed(config, distribution, (run, &say), around, told).await
            }
            Place::Running(running) => {
                Self::running(running, (run, config.ready_within), &say, &give_up).await
            }
        }
    }

    fn on(shop: Shop, engine: EngineFigures) -> Self {
        Self {
            shop: Arc::new(Mutex::new(shop)),
            around: Arc::default(),
            engine,
            tap: None,
            untapped: None,
            is_shared: false,
            servers: None,
            usual: None,
            lease: None,
        }
    }

    async fn distributed(
        config: &RunConfig,
        distribution: &Distribution,
        (run, say): (&str, &dyn Fn(&str)),
        (mut around, planned): (Around, &[Planned]),
        (traces, give_up): (Option<Traces>, Arc<AtomicBool>),
    ) -> Result<Self, RunError> {
        let postgres = around.postgres.as_ref().map(PrivatePostgres::url);
        let amqp = around.rabbit.as_ref().map(PrivateRabbit::url);
        let servers = Servers {
            postgres: distribution
                .postgres
                .clone()
                .or(postgres)
                .unwrap_or_default(),
            amqp: distribution.amqp.clone().or(amqp).unwrap_or_default(),
        };
        let routing = distribution.routing;
        say("creating a PostgreSQL database for each service");
        let mut lease = Lease::new(servers.clone(), run, routing);
        let engines = lease.take().await.map_err(RunError::SetUp)?;
        let prefix = lease.prefix().to_owned();
        if around.postgres.is_some() && around.rabbit.is_some() {
            lease.forget();
        }
        around.postgres_url.clone_from(&servers.postgres);
        around.prefix.clone_from(&prefix);
        let engines = through(&mut around, planned, engines).map_err(RunError::SetUp)?;
        let started = DistributedConfig {
            program: distribution.program.clone(),
            replicas: distribution.replicas,
            engines,
            prefix: prefix.clone(),
            routing,
            batch_max: distribution.batch_max,
            starts_within: STARTS_WITHIN,
            traces,
            log_filter: config.log_filter.clone(),
            planted: config.planted,
        };
        let processes = 3 * distribution.replicas + 1;
        say(&format!("starting {processes} processes"));
        let stops = Arc::clone(&give_up);
        let starting = tokio::task::spawn_blocking(move || Distributed::start(started, &stops));
        let shop = starting.await;
        let shop = shop.map_err(|error| RunError::SetUp(error.to_string()))??;
        let engine = EngineFigures {
            name: "distributed".to_owned(),
            replicas: distribution.replicas as u64,
            routing: Some(routing_name(routing).to_owned()),
            postgres: servers.postgres_version().await,
            rabbitmq: servers.rabbitmq_version().await,
        };
        let mut stage = Self {
            tap: Some((
                rabbit(&servers.amqp, &prefix, routing),
                tap::NAME.to_owned(),
            )),
            servers: Some(servers),
            around: Arc::new(Mutex::new(around)),
            lease: Some(lease),
            ..Self::on(Shop::Distributed(Box::new(shop)), engine)
        };
        stage.prepare(config.ready_within, say, &give_up).await?;
        Ok(stage)
    }

    async fn running(
        running: &RunningShop,
        (run, within): (&str, Duration),
        say: &dyn Fn(&str),
        give_up: &AtomicBool,
    ) -> Result<Self, RunError> {
        let RunningShop {
            places,
            amqp,
            prefix,
            routing,
        } = running;
        let replicas = places.of("orders").len() as u64;
        let mut engine = EngineFigures {
            name: "target".to_owned(),
            replicas,
            ..EngineFigures::default()
        };
        let (mut tap, mut untapped) = (None, None);
        match amqp {
            Some(amqp) => {
                engine.routing = Some(routing_name(*routing).to_owned());
                engine.rabbitmq = rabbitmq_version(amqp).await;
                let name = format!("crashcart_{}_tap", run.replace('-', "_"));
                tap = Some((rabbit(amqp, prefix, *routing), name));
            }
            None => {
                untapped = Some("the target's exchange cannot be tapped without --amqp".to_owned());
            }
        }
        let mut stage = Self {
            tap,
            untapped,
            is_shared: true,
            ..Self::on(Shop::Elsewhere(places.clone()), engine)
        };
        stage.prepare(within, say, give_up).await?;
        Ok(stage)
    }

    /// Waits until the shop is ready, and has its provider decline what the workload wants declined.
    async fn prepare(
        &mut self,
        within: Duration,
        say: &dyn Fn(&str),
        give_up: &AtomicBool,
    ) -> Result<(), RunError> {
        say("waiting until all services are ready");
        let target = self.target();
        let until = Instant::now() + within;
        while let Some(why) = target.not_ready().await {
            if give_up.load(Ordering::Relaxed) {
                return Err(ShopError::GivenUp.into());
            }
            if Instant::now() > until {
                let why = format!("not ready within {within:?}: {why}");
                return Err(RunError::SetUp(why));
            }
            tokio::time::sleep(LOOK).await;
        }
        let usual = provider(&target).await.map_err(RunError::SetUp)?;
        let mut ours = usual.clone();
        let declined = setup::declined();
        let known = ours.decline_amounts_cents.clone();
        let new = declined.into_iter().filter(|cents| !known.contains(cents));
        ours.decline_amounts_cents.extend(new);
        self.usual = Some(usual);
        set_provider(&target, &ours).await.map_err(RunError::SetUp)
    }

    /// The shop, to be asked.
    pub(super) fn target(&self) -> Target {
        Target::new(self.shop().places())
    }

    /// What the processes of the run have taken so far.
    pub(super) fn spent(&self) -> costs::Spent {
        let around = self.around.lock().unwrap_or_else(PoisonError::into_inner);
        costs::spent(&self.shop(), &around, self.servers.as_ref())
    }

    pub(super) fn shop(&self) -> std::sync::MutexGuard<'_, Shop> {
        self.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts everything back as it was, and ends what was started. What cannot be put back is said.
    pub(super) async fn strike(mut self, went_well: bool) {
        let target = self.target();
        if let (Some(usual), true) = (self.usual.take(), self.is_shared) {
            let put_back = set_provider(&target, &usual);
            let put_back = tokio::time::timeout(PUTS_BACK_WITHIN, put_back).await;
            if let Err(why) = put_back.unwrap_or_else(|error| Err(error.to_string())) {
                eprintln!("crashcart: the provider's settings could not be put back: {why}");
            }
        }
        if let (Some((settings, name)), true, false) = (self.tap.take(), self.is_shared, went_well)
        {
            let untap = async { RabbitTap::open(&settings, &name).await?.delete().await };
            if !matches!(
                tokio::time::timeout(PUTS_BACK_WITHIN, untap).await,
                Ok(Ok(()))
            ) {
                let prefix = settings.prefix;
                eprintln!("crashcart: could not be removed: queue {prefix}{name}");
            }
        }
        let (shop, around, lease) = (self.shop, self.around, self.lease);
        let ended = tokio::task::spawn_blocking(move || {
            // A fault that nobody ended must not stand in the way of the end.
            let mut shop_now = shop.lock().unwrap_or_else(PoisonError::into_inner);
            let resumed = shop_now.resume().map_err(|error| error.to_string());
            drop(shop_now);
            let mut around_now = around.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(why) = resumed.and_then(|()| around_now.restore()) {
                eprintln!("crashcart: a fault could not be ended: {why}");
            }
            drop(around_now);
            // Whoever else holds it is a thread that will let go of it soon; its processes die with us.
            if let Ok(shop) = Arc::try_unwrap(shop) {
                shop.into_inner()
                    .unwrap_or_else(PoisonError::into_inner)
                    .stop();
            }
            drop(lease);
        });
        // It has said what went wrong.
        let _ = ended.await;
    }
}

/// Starts the engines that nobody named, in a folder of theirs.
async fn start_engines(
    distribution: &Distribution,
    data: PathBuf,
    say: &dyn Fn(&str),
) -> Result<Around, RunError> {
    let mut around = Around::default();
    let set_up = |error: &dyn std::fmt::Display| RunError::SetUp(error.to_string());
    if distribution.postgres.is_none() {
        say("starting a PostgreSQL server");
        let dir = data.clone();
        let started = tokio::task::spawn_blocking(move || PrivatePostgres::start(&dir)).await;
        let started = started.map_err(|error| set_up(&error))?;
        around.postgres = Some(started.map_err(|error| set_up(&error))?);
    }
    if distribution.amqp.is_none() {
        say("starting a RabbitMQ server, which takes some seconds");
        let started = tokio::task::spawn_blocking(move || PrivateRabbit::start(&data)).await;
        let started = started.map_err(|error| set_up(&error))?;
        around.rabbit = Some(started.map_err(|error| set_up(&error))?);
    }
    Ok(around)
}

/// The ways of the services to their engines, with a proxy where one will be broken.
fn through(
    around: &mut Around,
    planned: &[Planned],
    mut engines: BTreeMap<&'static str, EngineUrls>,
) -> Result<BTreeMap<&'static str, EngineUrls>, String> {
    around.stand_between(planned, |service, side| {
        let urls = engines.get(service)?;
        Some(match side {
            Side::Database => urls.postgres.clone(),
            Side::Broker => urls.amqp.clone(),
        })
    })?;
    for (service, urls) in &mut engines {
        urls.postgres = around.url(service, Side::Database, &urls.postgres);
        urls.amqp = around.url(service, Side::Broker, &urls.amqp);
    }
    Ok(engines)
}

pub(super) const fn routing_name(routing: Routing) -> &'static str {
    match routing {
        Routing::Fanout => "fanout",
        Routing::Topic => "topic",
    }
}

async fn provider(target: &Target) -> Result<ProviderSettings, String> {
    let body = ask_provider(target, Call::get(SETTINGS)).await?;
    serde_json::from_slice(&body).map_err(|error| format!("the provider's settings: {error}"))
}

async fn set_provider(target: &Target, settings: &ProviderSettings) -> Result<(), String> {
    let body = serde_json::to_vec(settings).map_err(|error| error.to_string())?;
    let call = Call {
        method: Method::PUT,
        body: Some(body.into()),
        ..Call::get(SETTINGS)
    };
    ask_provider(target, call).await.map(|_| ())
}

async fn ask_provider(target: &Target, call: Call<'_>) -> Result<bytes::Bytes, String> {
    match target.client("provider").send(call).await {
        Ok((StatusCode::OK, body)) => Ok(body),
        Ok((status, body)) => {
            let body = String::from_utf8_lossy(&body);
            Err(format!("the provider said {status}: {body}"))
        }
        Err(error) => Err(format!("the provider: {error}")),
    }
}
