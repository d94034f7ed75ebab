//! One run: start the shop, load it, break it, wait until everything is at rest, record it, judge the recording.

mod config;
mod costs;
mod exposed;
mod lease;
mod record;
mod recorded;
mod scrapes;
mod servers;
mod setup;
mod stage;
mod tap;
mod traces;

pub use config::{RunConfig, default_faults, default_stories};
pub use recorded::{judge_recording, write_report};
pub use servers::veiled;

use crate::evidence::{Ours, Source};
use crate::faults::{self, FaultRecord, Injector, Planned};
use crate::history::Operation;
use crate::load::{self, Limits, Load, Progress, Sent};
use crate::now_us;
use crate::plan::Plan;
use crate::progress::{self, Doing};
use crate::recording::{Recorder, RecordingError};
use crate::report::{Exit, Latency, LoadFigures, Report};
use crate::target::{ShopError, Target, Traces};
use crate::telemetry::Tee;
use crate::workload::{self, Workload, WorkloadConfig, WorkloadError};
use contract::ProductId;
use exposed::{Figures, exposed};
use record::{Besides, write_down};
use scrapes::Scraping;
use stage::Stage;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tap::Listening;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// Why a run came to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The orders cannot be used.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// What was asked for cannot be done.
    #[error("{0}")]
    Config(String),
    /// The shop did not start.
    #[error(transparent)]
    Start(#[from] ShopError),
    /// The shop could not be prepared.
    #[error("the shop could not be set up: {0}")]
    SetUp(String),
    /// The recording cannot be written or read.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted: there is no verdict; what was recorded so far is in {0}")]
    Interrupted(String),
}

impl RunError {
    /// How the process ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Workload(_) | Self::Config(_) => Exit::BadConfig,
            Self::Start(_) | Self::SetUp(_) | Self::Recording(_) => Exit::SetUp,
            Self::Interrupted(_) => Exit::Interrupted,
        }
    }
}

/// Runs as `config` says.
///
/// # Errors
/// [`RunError`] when there is no verdict.
pub fn run(config: &RunConfig) -> Result<Report, RunError> {
    config.check()?;
    let workload = workload(config)?;
    config.check_told(&workload)?;
    let length = workload
        .starts
        .last()
        .map_or(Duration::ZERO, |start| start.at);
    let planned = faults::plan(&config.wanted(length), config.seed, length);
    let temporary = tempfile::Builder::new().prefix("crashcart-").tempdir();
    let temporary = temporary.map_err(|error| RunError::SetUp(error.to_string()))?;
    let data = config
        .data
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    let began_us = now_us();
    let name = setup::name(began_us, config.seed);
    let recorder = Recorder::create(&config.runs, &name)?;
    let plan = setup::plan(config, &planned, &workload, (name, began_us));
    let dir = recorder.dir().to_owned();
    let interrupted = || RunError::Interrupted(dir.display().to_string());
    let receiving = traces::receive(config, &recorder)?;
    let traces = receiving
        .as_ref()
        .map(|receiving| traces::to(config, receiving));
    let progress = Arc::default();
    let figures = Figures::new(&plan.run, config.engine());
    // Until the end, with the verdict.
    let _exposed = exposed(config, &figures, &progress)?;
    let first = runtime()?;
    let stage = first.block_on(build(config, data, (&plan.run, &planned), traces));
    let stage = stage?.ok_or_else(interrupted)?;
    let (give_up, ends) = watch::channel(false);
    let runner = Runner {
        config,
        plan,
        target: stage.target(),
        stage: &stage,
        recorder,
        receiving: receiving.as_ref(),
        doing: Doing::default(),
        progress: Arc::clone(&progress),
        figures: Arc::clone(&figures),
        stop: ends,
    };
    let outcome = first.block_on(async {
        tokio::select! {
            biased;
            () = signaled() => {
                // The load has threads of its own, which would go on to the end of the plan.
                give_up.send_replace(true);
                Err(interrupted())
            }
            outcome = runner.run(workload, planned) => outcome,
        }
    });
    // With it end the tasks that still have the shop in their hands.
    drop(first);
    runtime()?.block_on(stage.strike(outcome.is_ok()));
    outcome?;
    judge_recording(&dir, &[])
}

/// What will be sent when.
fn workload(config: &RunConfig) -> Result<Workload, RunError> {
    let orders = match &config.orders {
        Some(path) => workload::read(path)?,
        None => workload::parse(workload::CDNOW)?,
    };
    Ok(workload::plan(&WorkloadConfig {
        seed: config.seed,
        rate: config.rate,
        duration: config.duration,
        orders,
        stories: config.stories.clone(),
        stock_percent: config.stock_percent,
    }))
}

fn runtime() -> Result<Runtime, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| RunError::SetUp(error.to_string()))
}

/// Builds the stage; none when somebody wanted the run to end before it stood, and then nothing of it is left.
async fn build(
    config: &RunConfig,
    data: PathBuf,
    run: (&str, &[Planned]),
    traces: Option<Traces>,
) -> Result<Option<Stage>, RunError> {
    let give_up = Arc::new(AtomicBool::new(false));
    let mut building = pin!(Stage::build(
        config,
        data,
        run,
        (traces, Arc::clone(&give_up))
    ));
    tokio::select! {
        biased;
        () = signaled() => {}
        stage = &mut building => return stage.map(Some),
    }
    give_up.store(true, Ordering::Relaxed);
    // What was begun is ended in its order, so that nobody makes again what was taken away.
    if let Ok(stage) = building.await {
        stage.strike(false).await;
    }
    Ok(None)
}

struct Runner<'a> {
    config: &'a RunConfig,
    plan: Plan,
    target: Target,
    stage: &'a Stage,
    recorder: Recorder,
    receiving: Option<&'a traces::Receiving>,
    doing: Doing,
    progress: Arc<Progress>,
    figures: Arc<Figures>,
    /// Becomes true when the load is to stop early.
    stop: watch::Receiver<bool>,
}

impl Runner<'_> {
    /// Everything from the first product to the finished recording.
    async fn run(mut self, workload: Workload, planned: Vec<Planned>) -> Result<(), RunError> {
        self.plan.engine = self.stage.engine.clone();
        self.plan.untapped.clone_from(&self.stage.untapped);
        let tap = self.listen().await?;
        let history = self.recorder.file(Source::History)?;
        let (writer, written) = write_down(history, Arc::clone(&self.figures));
        self.doing.say("creating the catalogue");
        let products = setup::catalogue(&self.target, &self.plan, &workload, &writer).await?;
        let ours = self
            .stage
            .is_shared
            .then(|| Ours::new(&self.plan.run, self.plan.began_us, &products));
        if !products.is_empty() {
            self.hears(tap.as_ref()).await?;
        }
        let is_asked = !self.stage.is_shared || self.config.metrics.is_some();
        let scraping =
            is_asked.then(|| Scraping::start(&self.target, Arc::clone(&self.figures), self.tee()));
        let progress = Arc::clone(&self.progress);
        let shown = progress::show(
            workload.starts.len() as u64,
            self.config.quiet,
            Arc::clone(&progress),
            self.target.clients("orders").clone(),
            self.doing.clone(),
        );
        self.doing.say("");
        let before = self.stage.spent();
        self.plan.load_from_us = now_us();
        let (sent, records) = self
            .load_and_break(workload, products, (planned, progress, writer))
            .await;
        self.plan.load_to_us = now_us();
        self.plan.load = figures(&sent);
        self.doing.say("waiting for rest");
        self.plan.restless = self.target.at_rest().await.err();
        if let Some(Ok(tap)) = &tap {
            tap.quiet().await;
        }
        self.plan.rest_us = now_us();
        self.plan.cpu_ms = costs::since(&before, &self.stage.spent());
        self.traced(scraping).await?;
        self.doing.say("reading every table, log and message");
        let history = written
            .await
            .map_err(|error| RunError::SetUp(error.to_string()))??;
        self.recorder.keep(history)?;
        self.record_faults(&records)?;
        let besides = Besides { tap, ours };
        record::record(&mut self.recorder, &self.target, besides).await?;
        self.plan.memory_bytes = self.stage.shop().peak_bytes();
        shown.finish().await;
        self.recorder.finish(&self.plan)?;
        Ok(())
    }

    /// Waits for what is still to be told of, and keeps it, with what was counted by then.
    async fn traced(&mut self, scraping: Option<Scraping>) -> Result<(), RunError> {
        if let Some(receiving) = self.receiving {
            self.doing.say("waiting for the last traces");
            tap::quiet(|| receiving.keeper.received(), traces::QUIET).await;
        }
        // What others have brought about cannot be told from what this run has.
        if let Some(scraping) = scraping.filter(|_| !self.stage.is_shared) {
            scraping.finish(&self.target, &mut self.recorder).await?;
            self.plan.metered = true;
        }
        let Some(receiving) = self.receiving else {
            return Ok(());
        };
        self.plan.tee = receiving.handed_on().await;
        self.plan.traced = self.config.traces >= 1.0;
        self.plan.export_us = traces::export_us(&traces::to(self.config, receiving));
        self.plan.spans_lost = traces::lost(&self.target).await;
        match receiving.keeper.finish() {
            Ok((file, shapes)) => {
                self.recorder.keep(file)?;
                traces::keep_shapes(&mut self.recorder, shapes)?;
            }
            Err(why) => {
                for source in [Source::Spans, Source::Shapes] {
                    self.recorder.miss(source, why.to_string());
                }
            }
        }
        Ok(())
    }

    fn tee(&self) -> Option<Arc<Tee>> {
        self.receiving.and_then(|receiving| receiving.tee.clone())
    }

    /// Listens on the exchange, or says why nobody can; none where the shop tells what was there.
    async fn listen(&self) -> Result<Option<Result<Listening, String>>, RunError> {
        if let Some((settings, name)) = &self.stage.tap {
            let file = self.recorder.file(Source::Tap)?;
            let listening = Listening::start(settings, name, file).await;
            return Ok(Some(Ok(listening.map_err(RunError::SetUp)?)));
        }
        Ok(self.stage.untapped.clone().map(Err))
    }

    /// Whoever listens where nothing is said would accuse the shop of not saying it.
    async fn hears(&self, tap: Option<&Result<Listening, String>>) -> Result<(), RunError> {
        let (Some(Ok(listening)), Some((settings, _))) = (tap, &self.stage.tap) else {
            return Ok(());
        };
        if listening.hears().await {
            return Ok(());
        }
        let (prefix, routing) = (&settings.prefix, stage::routing_name(settings.routing));
        Err(RunError::SetUp(format!(
            "products were created, and nothing of it came to the {routing} exchange with the prefix {prefix:?}; \
             do --amqp, --prefix and --routing belong to this shop?"
        )))
    }

    /// Sends the load and brings the faults about, and returns when both are over.
    async fn load_and_break(
        &self,
        workload: Workload,
        products: Vec<ProductId>,
        (planned, progress, history): (Vec<Planned>, Arc<Progress>, mpsc::Sender<Operation>),
    ) -> (Sent, Vec<FaultRecord>) {
        let injector = Injector::new(Arc::clone(&self.stage.shop), self.plan.load_from_us);
        let figures = Arc::clone(&self.figures);
        let injector = injector
            .with(Arc::clone(&self.stage.around))
            .telling(move |fault, is_on| figures.fault(fault, is_on));
        let load = Load {
            orders: self.target.clients("orders").clone(),
            workload,
            run: self.plan.run.clone(),
            products,
            limits: Limits::default(),
            stop: self.stop.clone(),
        };
        let announce = setup::announce(self.doing.clone(), planned.clone());
        let announcing = tokio::spawn(announce);
        let both = tokio::join!(load::send(load, progress, history), injector.run(planned));
        announcing.abort();
        both
    }

    fn record_faults(&mut self, records: &[FaultRecord]) -> Result<(), RunError> {
        let mut faults = self.recorder.file(Source::Faults)?;
        for record in records {
            faults.row(record)?;
        }
        Ok(self.recorder.keep(faults)?)
    }
}

fn figures(sent: &Sent) -> LoadFigures {
    LoadFigures {
        offered: sent.offered,
        accepted: sent.accepted,
        refused: sent.refused,
        unknown: sent.unknown,
        dropped: sent.dropped,
        late: Latency::of(&sent.late_us),
    }
}

/// Returns when somebody wants the run to end.
async fn signaled() {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    );
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        biased;
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
