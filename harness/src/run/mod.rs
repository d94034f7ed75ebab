//! One run: start the shop, load it, break it, wait until everything is at rest, record it, judge the recording.

mod config;
mod recorded;
mod setup;

pub use config::{RunConfig, default_faults, default_stories};
pub use recorded::{judge_recording, write_report};

use crate::client::Call;
use crate::evidence::{Source, gather_in_pieces};
use crate::faults::{self, FaultRecord, Injector};
use crate::history::Operation;
use crate::load::{self, Limits, Load, Progress, Sent};
use crate::now_us;
use crate::plan::Plan;
use crate::progress::{self, Doing};
use crate::recording::{Recorded, Recorder, RecordingError};
use crate::report::{Exit, Latency, LoadFigures, Report};
use crate::target::{Shop, ShopError, Target};
use crate::workload::{self, Workload, WorkloadConfig, WorkloadError};
use contract::ProductId;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// Operations that may wait to be written down.
const HISTORY_MAX: usize = 10_000;

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
    let orders = match &config.orders {
        Some(path) => workload::read(path)?,
        None => workload::parse(workload::CDNOW)?,
    };
    let workload = workload::plan(&WorkloadConfig {
        seed: config.seed,
        rate: config.rate,
        duration: config.duration,
        orders,
        stories: config.stories.clone(),
        stock_percent: config.stock_percent,
    });
    config.check_told(&workload)?;
    let length = workload
        .starts
        .last()
        .map_or(Duration::ZERO, |start| start.at);
    let kinds = config.fault_kinds(length);
    let temporary = tempfile::Builder::new().prefix("crashcart-").tempdir();
    let temporary = temporary.map_err(|error| RunError::SetUp(error.to_string()))?;
    let data = config
        .data
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    let began_us = now_us();
    let name = setup::name(began_us, config.seed);
    let recorder = Recorder::create(&config.runs, &name)?;
    let plan = setup::plan(config, &kinds, &workload, (name, began_us));
    let shop = Shop::start(&setup::shop(config, data), &config.place)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| RunError::SetUp(error.to_string()))?;
    let target = Target::new(shop.places());
    let shop = Arc::new(Mutex::new(shop));
    let dir = recorder.dir().to_owned();
    let (give_up, ends) = watch::channel(false);
    let runner = Runner {
        config,
        plan,
        target,
        shop: Arc::clone(&shop),
        recorder,
        doing: Doing::default(),
        stop: ends,
    };
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            () = interrupted() => {
                // The load has threads of its own, which would go on to the end of the plan.
                give_up.send_replace(true);
                Err(RunError::Interrupted(dir.display().to_string()))
            }
            outcome = runner.run(workload, &kinds) => outcome,
        }
    });
    drop(runtime);
    // Whoever else holds it was a task of the runtime, or a thread that will let go of it soon.
    if let Ok(shop) = Arc::try_unwrap(shop) {
        shop.into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .stop();
    }
    outcome?;
    judge_recording(&dir, &[])
}

struct Runner<'a> {
    config: &'a RunConfig,
    plan: Plan,
    target: Target,
    shop: Arc<Mutex<Shop>>,
    recorder: Recorder,
    doing: Doing,
    /// Becomes true when the load is to stop early.
    stop: watch::Receiver<bool>,
}

impl Runner<'_> {
    /// Everything from the first product to the finished recording.
    async fn run(
        mut self,
        workload: Workload,
        kinds: &[faults::FaultKind],
    ) -> Result<(), RunError> {
        let history = self.recorder.file(Source::History)?;
        let (writer, written) = write_down(history);
        self.doing.say("creating the catalogue");
        let products = setup::catalogue(&self.target, &self.plan, &workload, &writer).await?;
        let progress = Arc::new(Progress::default());
        let orders = self.target.clients("orders").clone();
        let total = workload.starts.len() as u64;
        let shown = progress::show(
            total,
            self.config.quiet,
            Arc::clone(&progress),
            orders,
            self.doing.clone(),
        );
        self.doing.say("");
        self.plan.load_from_us = now_us();
        let (sent, records) = self
            .load_and_break(workload, products, (kinds, progress, writer))
            .await;
        self.plan.load_to_us = now_us();
        self.plan.load = figures(&sent);
        self.doing.say("waiting for rest");
        self.plan.restless = self.target.at_rest().await.err();
        self.plan.rest_us = now_us();
        self.doing.say("reading every table, log and message");
        let history = written
            .await
            .map_err(|error| RunError::SetUp(error.to_string()))??;
        self.recorder.keep(history)?;
        self.record(&records).await?;
        let memory = self
            .shop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .peak_bytes();
        self.plan.memory_bytes = memory;
        shown.finish().await;
        self.recorder.finish(&self.plan)?;
        Ok(())
    }

    /// Sends the load and brings the faults about, and returns when both are over.
    async fn load_and_break(
        &self,
        workload: Workload,
        products: Vec<ProductId>,
        (kinds, progress, history): (&[faults::FaultKind], Arc<Progress>, mpsc::Sender<Operation>),
    ) -> (Sent, Vec<FaultRecord>) {
        let length = workload
            .starts
            .last()
            .map_or(Duration::ZERO, |start| start.at);
        let planned = faults::plan(kinds, self.config.seed, length);
        let injector = Injector::new(Arc::clone(&self.shop), self.plan.load_from_us);
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

    /// Writes down what everybody else has to say.
    async fn record(&mut self, records: &[FaultRecord]) -> Result<(), RunError> {
        let mut faults = self.recorder.file(Source::Faults)?;
        for record in records {
            faults.row(record)?;
        }
        self.recorder.keep(faults)?;
        let mut failed = None;
        let mut open: Option<(Source, Recorded)> = None;
        let recorder = &mut self.recorder;
        let target = &self.target;
        let read = async |service, path: String, piece: &mut dyn FnMut(&str)| {
            let call = Call {
                ndjson: true,
                ..Call::get(&path)
            };
            let lines = target.client(service).lines(call, piece).await;
            lines.map_err(|error| error.to_string())
        };
        gather_in_pieces(read, |source, text| {
            let step = take(recorder, &mut open, source, text);
            failed = failed.take().or(step.err());
        })
        .await;
        if let Some((_, file)) = open {
            recorder.keep(file)?;
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Adds a piece of a source to its file; the file of the source before it is done.
fn take(
    recorder: &mut Recorder,
    open: &mut Option<(Source, Recorded)>,
    source: Source,
    text: Result<&str, String>,
) -> Result<(), RecordingError> {
    if open.as_ref().is_none_or(|(current, _)| *current != source) {
        let next = recorder.file(source)?;
        if let Some((_, done)) = open.replace((source, next)) {
            recorder.keep(done)?;
        }
    }
    match (text, open) {
        (Ok(text), Some((_, file))) => file.lines(text.as_bytes()),
        (Ok(_), None) => Ok(()),
        (Err(why), _) => {
            recorder.miss(source, why);
            Ok(())
        }
    }
}

type Written = tokio::task::JoinHandle<Result<Recorded, RecordingError>>;

/// Writes operations down as they end, on a thread where the disk holds nobody up.
fn write_down(mut file: Recorded) -> (mpsc::Sender<Operation>, Written) {
    let (sender, mut operations) = mpsc::channel::<Operation>(HISTORY_MAX);
    let written = tokio::task::spawn_blocking(move || {
        while let Some(operation) = operations.blocking_recv() {
            file.row(&operation)?;
        }
        Ok(file)
    });
    (sender, written)
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
async fn interrupted() {
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
