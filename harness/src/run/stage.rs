//! What a run stands on: a shop that is started for it or runs already, and what must be put back in the end.

use super::lease::Lease;
use super::servers::{AMQP, POSTGRES, Servers, rabbit, rabbitmq_version};
use super::{RunConfig, RunError, costs, setup, tap};
use crate::client::Call;
use crate::report::EngineFigures;
use crate::target::{
    Distributed, DistributedConfig, Distribution, Place, RunningShop, STARTS_WITHIN, Shop,
    ShopError, Target,
};
use hyper::{Method, StatusCode};
use platform::broker::{RabbitSettings, RabbitTap, Routing};
use shop::ProviderSettings;
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
        run: &str,
        give_up: Arc<AtomicBool>,
    ) -> Result<Self, RunError> {
        let say = |what: &str| {
            if !config.quiet {
                eprintln!("{what}");
            }
        };
        match &config.place {
            Place::Here | Place::Child { .. } => {
                let shop = Shop::start(&setup::shop(config, data), &config.place)?;
                Ok(Self::on(shop, EngineFigures::default()))
            }
            Place::Distributed(distribution) => {
                Self::distributed(config, distribution, (run, &say), give_up).await
            }
            Place::Running(running) => {
                Self::running(running, (run, config.ready_within), &say, &give_up).await
            }
        }
    }

    fn on(shop: Shop, engine: EngineFigures) -> Self {
        Self {
            shop: Arc::new(Mutex::new(shop)),
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
        give_up: Arc<AtomicBool>,
    ) -> Result<Self, RunError> {
        let url = |given: &Option<String>, usual: &str| given.clone().unwrap_or(usual.to_owned());
        let servers = Servers {
            postgres: url(&distribution.postgres, POSTGRES),
            amqp: url(&distribution.amqp, AMQP),
        };
        let routing = distribution.routing;
        say("creating a PostgreSQL database for each service");
        let mut lease = Lease::new(servers.clone(), run, routing);
        let engines = lease.take().await.map_err(RunError::SetUp)?;
        let prefix = lease.prefix().to_owned();
        let started = DistributedConfig {
            program: distribution.program.clone(),
            replicas: distribution.replicas,
            engines,
            prefix: prefix.clone(),
            routing,
            batch_max: distribution.batch_max,
            starts_within: STARTS_WITHIN,
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
        costs::spent(&self.shop(), self.servers.as_ref())
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
        let (shop, lease) = (self.shop, self.lease);
        let ended = tokio::task::spawn_blocking(move || {
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
