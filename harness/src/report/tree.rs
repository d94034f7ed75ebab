//! The trace of one order as a tree: who did what because of what, when, and how long it took.

use crate::evidence::Source;
use crate::telemetry::SpanLine;
use contract::OrderId;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// How wide the picture of the times is, in characters.
const WIDE: usize = 32;
/// The deepest step that is drawn: deeper than any saga, and a bound for what hangs on itself.
const DEEP_MAX: usize = 64;

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum NoTree {
    /// The file cannot be read.
    #[error("{path}: {source}; a run keeps its traces there unless it was told --traces 0", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Nothing is told of the order.
    #[error("nothing of order {order} was traced in {dir}; orders.jsonl there has those that are known", dir = dir.display())]
    Unknown {
        /// Which.
        order: OrderId,
        /// The recording.
        dir: PathBuf,
    },
}

/// Draws the trace of `order` in the recording `dir`.
///
/// # Errors
/// When there is none.
pub fn tree(dir: &Path, order: OrderId) -> Result<String, NoTree> {
    let mut lines = read(dir, order)?;
    let trace = home(&lines).unwrap_or_default();
    lines.retain(|line| line.trace == trace);
    let steps = arranged(lines, |line| line);
    let begin_us = steps.iter().map(|(_, line)| line.start_us).min();
    let begin_us = begin_us.unwrap_or(0);
    let end_us = steps.iter().map(|(_, line)| line.end_us).max();
    let whole_us = (end_us.unwrap_or(begin_us) - begin_us).max(1);
    let (n, took) = (steps.len(), ms(whole_us));
    let mut text = format!("order  {order}\ntrace  {trace}, {n} steps in {took} ms\n\n");
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "{:>9} {:>9}  {:WIDE$}  service",
        "from ms", "took ms", ""
    );
    for (depth, line) in &steps {
        let from_us = line.start_us - begin_us;
        let took_us = line.end_us - line.start_us;
        let bar = bar(from_us, took_us, whole_us);
        let how = how(line);
        let _ = writeln!(
            text,
            "{:>9} {:>9}  {bar}  {:9} {:indent$}{}{how}",
            ms(from_us),
            ms(took_us),
            line.service,
            "",
            line.name,
            indent = 2 * depth,
        );
    }
    Ok(text)
}

/// All steps that the recording `dir` has of `order`; there is at least one.
pub(crate) fn read(dir: &Path, order: OrderId) -> Result<Vec<SpanLine<'static>>, NoTree> {
    let path = dir.join(Source::Spans.file());
    let lines = lines_of(&path, order).map_err(|source| NoTree::File { path, source })?;
    if lines.is_empty() {
        let dir = dir.to_owned();
        return Err(NoTree::Unknown { order, dir });
    }
    Ok(lines)
}

fn lines_of(path: &Path, order: OrderId) -> std::io::Result<Vec<SpanLine<'static>>> {
    let id = order.to_string();
    let mut lines = Vec::new();
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        // Whoever names it is about it, or the line is none.
        if line.contains(&id)
            && let Ok(span) = serde_json::from_str::<SpanLine<'_>>(&line)
        {
            lines.push(span.into_owned());
        }
    }
    Ok(lines)
}

/// The trace with most of the steps: a repeated request has one of its own.
pub(crate) fn home<'a>(lines: impl IntoIterator<Item = &'a SpanLine<'static>>) -> Option<String> {
    let mut steps: BTreeMap<&str, usize> = BTreeMap::new();
    for line in lines {
        *steps.entry(&line.trace).or_default() += 1;
    }
    let most = steps.into_iter().max_by_key(|(_, n)| *n);
    most.map(|(trace, _)| trace.to_owned())
}

/// Steps of one trace with their depths, each after what brought it about, then by time. `line` tells what a step is.
pub(crate) fn arranged<T>(
    mut steps: Vec<T>,
    line: impl Fn(&T) -> &SpanLine<'static>,
) -> Vec<(usize, T)> {
    steps.sort_by_key(|step| (line(step).start_us, line(step).end_us));
    let is_there: BTreeSet<String> = steps
        .iter()
        .map(|step| line(step).span.to_string())
        .collect();
    let mut under: BTreeMap<Option<String>, Vec<T>> = BTreeMap::new();
    // The first is taken from the end.
    for step in steps.into_iter().rev() {
        let parent = line(&step).parent.as_deref().map(str::to_owned);
        // What hangs on something that is not told of stands at the root.
        let parent = parent.filter(|parent| is_there.contains(parent));
        under.entry(parent).or_default().push(step);
    }
    let mut arranged = Vec::new();
    let roots = under.remove(&None).into_iter().flatten();
    let mut waiting: Vec<(usize, T)> = roots.map(|step| (0, step)).collect();
    while let Some((depth, step)) = waiting.pop() {
        let deeper = (depth + 1).min(DEEP_MAX);
        let children = under.remove(&Some(line(&step).span.to_string()));
        waiting.extend(children.into_iter().flatten().map(|step| (deeper, step)));
        arranged.push((depth, step));
    }
    arranged
}

/// Where a step lies in the whole, as a picture.
fn bar(from_us: i64, took_us: i64, whole_us: i64) -> String {
    let wide = i64::try_from(WIDE).unwrap_or(1);
    let at = |us: i64| usize::try_from((us * wide / whole_us).clamp(0, wide)).unwrap_or(0);
    let from = at(from_us).min(WIDE - 1);
    let to = at(from_us + took_us).max(from + 1);
    let picture = (0..WIDE).map(|n| if (from..to).contains(&n) { '█' } else { '·' });
    picture.collect()
}

fn how(line: &SpanLine<'_>) -> String {
    let mut how = String::new();
    if let Some(status) = line.status {
        let _ = write!(how, " → {status}");
    }
    if let Some(outcome) = line
        .outcome
        .as_deref()
        .filter(|outcome| *outcome != "applied")
    {
        let _ = write!(how, " ({outcome})");
    }
    if line.is_error {
        how += " ✗";
    }
    how
}

fn ms(us: i64) -> String {
    format!("{}.{}", us / 1_000, us / 100 % 10)
}
