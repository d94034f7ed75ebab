//! One run: start the shop, send the orders, wait until everything is at rest, judge.

use crate::check::{self, Finding, Verdict};
use crate::client::Call;
use crate::evidence::{Evidence, Operation, Outcome};
use crate::history::{self, Action};
use crate::load::{self, Limits, Load, Progress};
use crate::progress;
use crate::report::{Latency, Summary};
use crate::target::Target;
use crate::workload::{self, NewProduct, RealOrder, WorkloadConfig, WorkloadError};
use bytes::Bytes;
use contract::ProductId;
use contract::http::{CreateProduct, Order, Product};
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::StatusCode;
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use shop::{Embedded, EmbeddedConfig, ProviderSettings, StartError};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

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
                outcome = runner.run(orders) => outcome,
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

    async fn run(&self, orders: Vec<RealOrder>) -> Result<Summary, RunError> {
        let began = Instant::now();
        let workload = workload::plan(&WorkloadConfig {
            seed: self.config.seed,
            rate: self.config.rate,
            duration: None,
            orders,
            stories: BTreeSet::new(),
            stock_percent: self.config.stock_percent,
        });
        let new = workload.catalogue.iter().enumerate();
        let creating: Vec<_> = new.map(|new| self.create_product(new)).collect();
        let products = stream::iter(creating)
            .buffered(CREATING)
            .try_collect()
            .await?;
        let progress = Arc::new(Progress::default());
        let orders = self.target.client("orders");
        let shown = progress::show(
            workload.starts.len() as u64,
            self.config.quiet,
            Arc::clone(&progress),
            orders.clone(),
        );
        let (_stop, stop) = watch::channel(false);
        let load = Load {
            orders,
            workload,
            run: self.id.clone(),
            products,
            limits: Limits::default(),
            stop,
        };
        let (operations, mut ended) = mpsc::channel(1_000);
        let collected = async {
            let mut collected = Vec::new();
            while let Some(operation) = ended.recv().await {
                collected.push(operation);
            }
            collected
        };
        let (sent, operations) = tokio::join!(load::send(load, progress, operations), collected);
        let at_rest = self.target.at_rest().await;
        shown.finish().await;
        let due: BTreeMap<String, i64> = operations
            .iter()
            .filter_map(|op| Some((op.key.clone()?, op.due_us)))
            .collect();
        let history = operations.into_iter().filter_map(placed).collect();
        let evidence = self.target.evidence(history, at_rest).await;
        let findings = check::judge(&evidence);
        Ok(self.summary(
            &evidence,
            findings,
            (&due, [sent.corrected_us, sent.late_us]),
            began.elapsed(),
        ))
    }

    async fn create_product(&self, (n, new): (usize, &NewProduct)) -> Result<ProductId, RunError> {
        let body = serde_json::to_vec(&CreateProduct {
            name: new.name.clone(),
            price_cents: new.price_cents,
            stock: new.stock,
        });
        let body = body.map_err(|error| RunError::SetUp(error.to_string()))?;
        let key = format!("{}-product-{n}", self.id);
        let answer = self
            .target
            .client("products")
            .send(Call::post("/api/v1/products", Bytes::from(body), &key))
            .await;
        match answer {
            Ok((StatusCode::CREATED, body)) => serde_json::from_slice::<Product>(&body)
                .map(|product| product.id)
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

/// A placed order in the words of the evidence.
fn placed(operation: history::Operation) -> Option<Operation> {
    let Action::Place { items } = operation.action else {
        return None;
    };
    Some(Operation {
        key: operation.key?,
        items,
        outcome: load::old::outcome(operation.outcome),
    })
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
