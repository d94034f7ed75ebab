//! What a person sees while a run is on: a bar on a terminal, a line every two seconds elsewhere.

use crate::load::Progress;
use crate::target::{Clients, Metrics};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

const LOOK: Duration = Duration::from_millis(250);
/// Without a terminal one line stands for so many looks.
const LOOKS_PER_LINE: u64 = 8;

/// What is being done, in a few words; anybody may say it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Doing(Arc<Mutex<String>>);

impl Doing {
    /// From now on this is being done.
    pub(crate) fn say(&self, what: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    fn now(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The display of a run.
pub(crate) struct Shown {
    task: JoinHandle<()>,
    bar: ProgressBar,
}

/// Shows how a load of `total` starts goes, until [`Shown::finish`].
pub(crate) fn show(
    total: u64,
    quiet: bool,
    progress: Arc<Progress>,
    orders: Clients,
    doing: Doing,
) -> Shown {
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal && !quiet {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let template = "{elapsed:>4} [{bar:28.green}] {pos}/{len} offered\n     {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    let follow = Follow {
        lines: !terminal && !quiet,
        bar: bar.clone(),
        progress,
        settled: vec![Settled::default(); orders.all().len()],
        orders,
        doing,
        accept_us_p99: 0,
    };
    Shown {
        task: tokio::spawn(follow.run()),
        bar,
    }
}

impl Shown {
    /// Takes the display away.
    pub(crate) async fn finish(self) {
        self.task.abort();
        // It was aborted just now; how it ended says nothing.
        let _ = self.task.await;
        self.bar.finish_and_clear();
    }
}

struct Follow {
    lines: bool,
    bar: ProgressBar,
    progress: Arc<Progress>,
    orders: Clients,
    doing: Doing,
    /// By replica of orders.
    settled: Vec<Settled>,
    accept_us_p99: u64,
}

impl Follow {
    async fn run(mut self) {
        for look in 1_u64.. {
            tokio::time::sleep(LOOK).await;
            for (replica, settled) in self.orders.all().iter().zip(&mut self.settled) {
                if let Some(metrics) = Metrics::read(replica).await {
                    settled.add(&metrics);
                }
            }
            let recent = self.progress.look();
            if recent.count > 0 {
                self.accept_us_p99 = recent.us_p99;
            }
            let text = self.text();
            self.bar.set_position(read(&self.progress.offered));
            self.bar.set_message(text.clone());
            if self.lines && look % LOOKS_PER_LINE == 0 {
                eprintln!("{} offered · {text}", read(&self.progress.offered));
            }
        }
    }

    fn text(&self) -> String {
        let Progress {
            accepted,
            refused,
            unknown,
            ..
        } = &*self.progress;
        let (accepted, refused, unknown) = (read(accepted), read(refused), read(unknown));
        let all = Settled::of_all(&self.settled);
        let settled: u64 = all.outcomes.values().sum();
        let open = accepted.saturating_sub(settled);
        let mut text = format!("{accepted} accepted, {settled} settled, {open} in flight");
        let mut add = |part: String| {
            // Writing into a string cannot fail.
            let _ = write!(text, " · {part}");
        };
        add(format!(
            "p99 accept {} ms, settle {}",
            self.accept_us_p99 / 1_000,
            all.p99()
        ));
        let outcomes = all
            .outcomes
            .iter()
            .map(|(outcome, count)| format!("{count} {outcome}"));
        let outcomes: Vec<String> = outcomes.collect();
        if !outcomes.is_empty() {
            add(outcomes.join(", "));
        }
        if refused + unknown > 0 {
            add(format!("{refused} refused, {unknown} unknown"));
        }
        let doing = self.doing.now();
        if !doing.is_empty() {
            add(doing);
        }
        text
    }
}

/// What one replica has settled, over all incarnations of it: a service that starts again counts from zero.
#[derive(Clone, Default)]
struct Settled {
    outcomes: BTreeMap<String, u64>,
    last: BTreeMap<String, u64>,
    buckets: BTreeMap<String, u64>,
    recent: BTreeMap<String, u64>,
}

impl Settled {
    fn of_all(replicas: &[Self]) -> Self {
        let mut all = Self::default();
        for replica in replicas {
            for (outcome, count) in &replica.outcomes {
                *all.outcomes.entry(outcome.clone()).or_default() += count;
            }
            for (bound, count) in &replica.recent {
                *all.recent.entry(bound.clone()).or_default() += count;
            }
        }
        all
    }

    fn add(&mut self, metrics: &Metrics) {
        let now = metrics.settled();
        for (outcome, count) in &now {
            let before = self.last.get(outcome).copied().unwrap_or(0);
            let more = if *count < before {
                *count
            } else {
                count - before
            };
            *self.outcomes.entry(outcome.clone()).or_default() += more;
        }
        self.last = now;
        let buckets = metrics.saga_buckets();
        let recent = buckets.iter().map(|(bound, count)| {
            let before = self.buckets.get(bound).copied().unwrap_or(0);
            (bound.clone(), count.checked_sub(before).unwrap_or(*count))
        });
        let recent: BTreeMap<String, u64> = recent.collect();
        if recent.values().any(|count| *count > 0) {
            self.recent = recent;
        }
        self.buckets = buckets;
    }

    /// The bound of the bucket that 99 of 100 recent sagas are in.
    fn p99(&self) -> String {
        let all = self.recent.get("+Inf").copied().unwrap_or(0);
        let mut bounds: Vec<(f64, u64)> = self
            .recent
            .iter()
            .filter_map(|(bound, count)| Some((bound.parse().ok()?, *count)))
            .collect();
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let bound = bounds
            .into_iter()
            .find(|(_, count)| all > 0 && count * 100 >= all * 99);
        match bound {
            Some((seconds, _)) if seconds.is_finite() => format!("< {} ms", seconds * 1e3),
            Some(_) => "> 10 s".to_owned(),
            None => "–".to_owned(),
        }
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
