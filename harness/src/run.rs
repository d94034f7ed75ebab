//! One run: start the shop, send the orders, wait until everything is at rest, judge.

use crate::check::{self, Finding, Verdict};
use crate::client::Call;
use crate::evidence::{Evidence, Outcome};
use crate::load::{self, Planned, Progress, Sent};
use crate::progress;
use crate::report::{Latency, Summary};
use crate::target::Target;
use crate::workload::{self, RealOrder, WorkloadError};
use bytes::Bytes;
use contract::http::{CreateProduct, Order, Product};
use contract::{Cents, Line, ProductId};
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::StatusCode;
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use shop::{Embedded, EmbeddedConfig, ProviderSettings, StartError};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Products created at a time.
const CREATING: usize = 64;

/// What to run.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// A CSV file of orders; the real orders that come with crashcart if not given.
    pub orders: Option<PathBuf>,
    /// Orders a second.
    pub rate: f64,
    /// How much of what the orders need is in stock, in percent.
    pub stock_percent: u32,
    /// Where ids and chance come from.
    pub seed: u64,
    /// Where the databases are, to be kept; a temporary directory if not given.
    pub data: Option<PathBuf>,
    /// Which log lines are written, in the syntax of `RUST_LOG`.
    pub log_filter: String,
    /// Whether to show nothing but the report.
    pub quiet: bool,
}

/// Why a run came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The orders cannot be used.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The shop did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The shop could not be prepared.
    #[error("the shop could not be set up: {0}")]
    SetUp(String),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Runs as `config` says.
///
/// # Errors
/// [`RunError`] when there is no verdict.
pub fn run(config: &RunConfig) -> Result<Summary, RunError> {
    let orders = match &config.orders {
        Some(path) => workload::read(path)?,
        None => workload::parse(workload::CDNOW)?,
    };
    let temporary = tempfile::Builder::new()
        .prefix("crashcart-")
        .tempdir()
        .map_err(|error| RunError::SetUp(error.to_string()))?;
    let data = config
        .data
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    let shop = Embedded::start(&embedded(config, data))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runner = Runner::new(config, &shop);
    let outcome = runtime
        .map_err(|error| RunError::SetUp(error.to_string()))?
        .block_on(async {
            tokio::select! {
                biased;
                () = interrupted() => Err(RunError::Interrupted),
                outcome = runner.run(&orders) => outcome,
            }
        });
    shop.stop();
    outcome
}

fn embedded(config: &RunConfig, data: PathBuf) -> EmbeddedConfig {
    let filter = config.log_filter.clone();
    EmbeddedConfig {
        data,
        synchronous: Synchronous::Normal,
        provider: ProviderSettings::default(),
        settings: platform::Settings::default(),
        log: LogSettings {
            format: Format::Human,
            filter,
            sink: Sink::Stderr,
        },
        seed: config.seed,
        port: None,
        addresses: None,
        tap_max: shop::TAP_MAX,
    }
}

struct Runner<'a> {
    config: &'a RunConfig,
    target: Target,
    /// Tells the keys of this run from those of other runs on the same data.
    id: String,
}

impl<'a> Runner<'a> {
    fn new(config: &'a RunConfig, shop: &Embedded) -> Self {
        let target = Target::new(&shop.addresses);
        let began_us = platform::Clock::Os.now_us();
        let id = format!("{:x}-{began_us:x}", config.seed);
        Self { config, target, id }
    }

    async fn run(&self, orders: &[RealOrder]) -> Result<Summary, RunError> {
        let began = Instant::now();
        let products = self.create_products(orders).await?;
        let planned = plan(orders, &products, &self.id);
        let progress = Arc::new(Progress::default());
        let total = planned.len() as u64;
        let shown = progress::show(
            total,
            self.config.quiet,
            Arc::clone(&progress),
            self.target.client("orders").clone(),
        );
        let sent = load::send(
            self.target.client("orders").clone(),
            planned,
            self.config.rate,
            progress,
        )
        .await;
        let at_rest = self.target.at_rest().await;
        shown.finish().await;
        let Sent {
            operations,
            accept_us,
            late_us,
        } = sent;
        let due: BTreeMap<String, i64> = operations
            .iter()
            .map(|(op, due_us)| (op.key.clone(), *due_us))
            .collect();
        let history = operations
            .into_iter()
            .map(|(operation, _)| operation)
            .collect();
        let evidence = self.target.evidence(history, at_rest).await;
        let findings = check::judge(&evidence);
        Ok(self.summary(
            &evidence,
            findings,
            (&due, [accept_us, late_us]),
            began.elapsed(),
        ))
    }

    /// Creates one product for each price, with as much stock as the run is to have.
    async fn create_products(
        &self,
        orders: &[RealOrder],
    ) -> Result<BTreeMap<Cents, ProductId>, RunError> {
        let units = workload::units_by_price(orders);
        let creating = units
            .into_iter()
            .map(|(price, units)| self.create_product(price, units));
        stream::iter(creating)
            .buffer_unordered(CREATING)
            .try_collect()
            .await
    }

    async fn create_product(
        &self,
        price: Cents,
        units: i64,
    ) -> Result<(Cents, ProductId), RunError> {
        let stock = units * i64::from(self.config.stock_percent) / 100;
        let name = format!("a record for {} cents", price.get());
        let body = serde_json::to_vec(&CreateProduct {
            name,
            price_cents: price,
            stock,
        });
        let body = body.map_err(|error| RunError::SetUp(error.to_string()))?;
        let key = format!("{}-product-{}", self.id, price.get());
        let answer = self
            .target
            .client("products")
            .send(Call::post("/api/v1/products", Bytes::from(body), &key))
            .await;
        match answer {
            Ok((StatusCode::CREATED, body)) => serde_json::from_slice::<Product>(&body)
                .map(|product| (price, product.id))
                .map_err(|error| RunError::SetUp(error.to_string())),
            Ok((status, body)) => Err(RunError::SetUp(format!(
                "{status}: {}",
                String::from_utf8_lossy(&body)
            ))),
            Err(error) => Err(RunError::SetUp(error.to_string())),
        }
    }

    fn summary(
        &self,
        evidence: &Evidence,
        findings: Vec<Finding>,
        (due, [accept_us, late_us]): (&BTreeMap<String, i64>, [hdrhistogram::Histogram<u64>; 2]),
        took: Duration,
    ) -> Summary {
        let mut settle_us = load::histogram();
        let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
        let orders: &[Order] = evidence.orders.as_deref().unwrap_or_default();
        for order in orders {
            // What other runs left in the same data is judged too, but it is not in this run's figures.
            let Some(due_us) = order.idempotency_key.as_ref().and_then(|key| due.get(key)) else {
                continue;
            };
            if let Some(settled_at_us) = order.settled_at_us {
                settle_us.saturating_record(u64::try_from(settled_at_us - due_us).unwrap_or(0));
            }
            let reason = order
                .reason
                .map_or(String::new(), |reason| format!(" {}", reason.as_str()));
            *outcomes
                .entry(format!("{}{reason}", order.status.as_str()))
                .or_default() += 1;
        }
        let verdict = check::overall(&findings);
        let history = evidence.history.as_deref().unwrap_or_default();
        Summary {
            seed: self.config.seed,
            source: self
                .config
                .orders
                .as_ref()
                .map(|path| path.display().to_string()),
            rate: self.config.rate,
            stock_percent: self.config.stock_percent,
            data: self
                .config
                .data
                .as_ref()
                .map(|path| path.display().to_string()),
            offered: due.len() as u64,
            accepted: history
                .iter()
                .filter(|op| matches!(op.outcome, Outcome::Ok(_)))
                .count() as u64,
            refused: history
                .iter()
                .filter(|op| matches!(op.outcome, Outcome::Refused(_)))
                .count() as u64,
            outcomes,
            accept: Latency::of(&accept_us),
            settle: Latency::of(&settle_us),
            late: Latency::of(&late_us),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            findings,
            verdict,
        }
    }
}

/// The orders with the products that were created for their prices.
fn plan(orders: &[RealOrder], products: &BTreeMap<Cents, ProductId>, run: &str) -> Vec<Planned> {
    let order = |(n, order): (usize, &RealOrder)| {
        let line = |(price, quantity): &(Cents, contract::Quantity)| {
            Some(Line {
                product_id: *products.get(price)?,
                quantity: *quantity,
            })
        };
        Planned {
            key: format!("{run}-order-{n:07}"),
            items: order.lines.iter().filter_map(line).collect(),
        }
    };
    orders.iter().enumerate().map(order).collect()
}

/// Ctrl-C, or SIGTERM as CI sends it.
async fn interrupted() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

/// The exit code of a run that ended.
pub const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Valid => 0,
        Verdict::Invalid => 111,
        Verdict::Unknown => 112,
    }
}

impl RunError {
    /// The exit code of a run that came to no verdict.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Workload(_) => 104,
            Self::Start(_) | Self::SetUp(_) => 100,
            Self::Interrupted => 105,
        }
    }
}
