//! What a person sees while a run is on: a bar on a terminal, a line every two seconds elsewhere.

use crate::client::{Call, Client};
use crate::load::Progress;
use hyper::StatusCode;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

const LOOK: Duration = Duration::from_millis(200);
/// Without a terminal one line stands for so many looks.
const LOOKS_PER_LINE: u64 = 10;

/// The display of a run.
pub(crate) struct Shown {
    task: JoinHandle<()>,
    bar: ProgressBar,
}

/// Shows how a load of `total` orders goes, until [`Shown::finish`].
pub(crate) fn show(total: u64, quiet: bool, progress: Arc<Progress>, orders: Client) -> Shown {
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal && !quiet {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let template = "{elapsed:>4} [{bar:32.green}] {pos}/{len} settled · {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    let lines = !terminal && !quiet;
    let task = tokio::spawn(follow(total, lines, bar.clone(), progress, orders));
    Shown { task, bar }
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

async fn follow(
    total: u64,
    lines: bool,
    bar: ProgressBar,
    progress: Arc<Progress>,
    orders: Client,
) {
    for look in 1_u64.. {
        tokio::time::sleep(LOOK).await;
        let settled = settled(&orders).await.unwrap_or_else(|| bar.position());
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (offered, accepted) = (read(&progress.offered), read(&progress.accepted));
        let (refused, unknown) = (read(&progress.refused), read(&progress.unknown));
        let in_flight = accepted.saturating_sub(settled);
        let text = format!(
            "{offered} offered, {accepted} accepted, {in_flight} in flight, {refused} refused, {unknown} unknown"
        );
        bar.set_position(settled);
        bar.set_message(text.clone());
        if lines && look % LOOKS_PER_LINE == 0 {
            eprintln!("{settled}/{total} settled · {text}");
        }
    }
}

/// How many sagas the shop has settled, from its own metrics.
async fn settled(orders: &Client) -> Option<u64> {
    counter(orders, "crashcart_sagas_settled_total").await
}

/// How many sagas are open, from the shop's own metrics.
pub(crate) async fn open_sagas(orders: &Client) -> Option<u64> {
    counter(orders, "crashcart_sagas_in_flight").await
}

/// The sum of all series of a metric.
async fn counter(client: &Client, name: &str) -> Option<u64> {
    let Ok((StatusCode::OK, body)) = client.send(Call::get("/metrics")).await else {
        return None;
    };
    let text = String::from_utf8_lossy(&body).into_owned();
    let series = text.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    });
    series
        .map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}
