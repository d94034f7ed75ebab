//! The page of a recording: some of its orders, chosen so that what is worth a look is among them.
//!
//! The file of spans is read twice: once to choose, and once for the steps of the chosen. So a run of any length takes a
//! few dozen bytes an order, and what is written is bounded.

use super::glance::{Whole, is_repeated, said};
use super::page;
use super::step::Step;
use crate::check::About;
use crate::evidence::Source;
use crate::report::{NoTree, Report, read};
use crate::telemetry::SpanLine;
use contract::OrderId;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// What the page of a run is called, in its recording.
const FILE: &str = "traces.html";
/// Orders on a page: those that went wrong, the slowest, and some of the others.
const WRONG: usize = 50;
const SLOWEST: usize = 20;
const OTHERS: usize = 50;
/// The most steps of an order.
const STEPS_MAX: usize = 512;
/// The most that the orders of a page take, bytes.
const BYTES_MAX: usize = 2_000_000;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum NoPage {
    /// The steps cannot be read, or there are none.
    #[error(transparent)]
    Steps(#[from] NoTree),
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// An order on the page.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    whole: Whole<'a>,
    /// Checks that it violates.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    checks: BTreeSet<&'a str>,
}

/// What a page shows.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    /// What it is about.
    title: String,
    /// The latest first.
    orders: Vec<Told<'a>>,
    /// How many orders there are to choose from.
    known: usize,
}

/// Writes the page of the recording in `dir`, of which `report` tells, and returns its path; none when nothing was
/// traced.
///
/// # Errors
/// When the steps cannot be read, or the page cannot be written.
pub fn write_page(dir: &Path, report: &Report) -> Result<Option<PathBuf>, NoPage> {
    let spans = dir.join(Source::Spans.file());
    if !spans.exists() {
        return Ok(None);
    }
    let failed = |source| NoPage::File {
        path: spans.clone(),
        source,
    };
    let violated = violated(report);
    let seen = look(&spans).map_err(failed)?;
    if seen.is_empty() {
        return Ok(None);
    }
    let chosen = choose(&seen, &violated);
    let steps = steps_of(&spans, &chosen).map_err(failed)?;
    let mut orders = told(&chosen, &steps, &violated);
    orders.sort_by_key(|told| std::cmp::Reverse(told.whole.glance.start_us));
    let html = page::file(&Data {
        title: report.summary.run.clone(),
        orders,
        known: seen.len(),
    });
    let path = dir.join(FILE);
    write(&path, &html)?;
    Ok(Some(path))
}

/// The page of the recording in `dir`, where one was written.
pub fn page_of(dir: &Path) -> Option<PathBuf> {
    let page = dir.join(FILE);
    page.is_file().then_some(page)
}

/// Writes a page about one order of the recording in `dir` to `to`.
///
/// # Errors
/// When nothing of it was traced, or the page cannot be written.
pub fn order_page(dir: &Path, order: OrderId, to: &Path) -> Result<(), NoPage> {
    let lines = read(dir, order)?.into_iter().take(STEPS_MAX);
    let steps: Vec<Step> = lines.map(Step::from).collect();
    let whole = Whole::of(order.0, &steps).into_iter();
    let orders = whole.map(|whole| Told {
        whole,
        checks: BTreeSet::new(),
    });
    let html = page::file(&Data {
        title: order.to_string(),
        orders: orders.collect(),
        known: 1,
    });
    write(to, &html)
}

fn write(path: &Path, html: &str) -> Result<(), NoPage> {
    fs::write(path, html).map_err(|source| NoPage::File {
        path: path.to_owned(),
        source,
    })
}

/// The checks that each order violates, as far as the report names orders.
fn violated(report: &Report) -> BTreeMap<Uuid, BTreeSet<&str>> {
    let mut violated: BTreeMap<Uuid, BTreeSet<&str>> = BTreeMap::new();
    for finding in &report.summary.checks {
        let named = finding.sample.iter();
        for violation in named.chain(&finding.worst).chain(&finding.last) {
            if let About::Order(order) = violation.about {
                violated.entry(order.0).or_default().insert(&finding.id);
            }
        }
    }
    violated
}

/// What there is to know of an order before it is chosen.
#[derive(Clone, Copy)]
struct Seen {
    from_us: i64,
    to_us: i64,
    is_wrong: bool,
}

/// Calls `with` for each step that is about an order.
fn each(spans: &Path, mut with: impl FnMut(Uuid, &SpanLine<'_>)) -> io::Result<()> {
    let mut file = BufReader::with_capacity(256 * 1_024, File::open(spans)?);
    let mut line = String::new();
    while file.read_line(&mut line)? > 0 {
        // What cannot be read is for the checks to tell.
        if let Ok(span) = serde_json::from_str::<SpanLine<'_>>(&line)
            && let Some(order) = span.order
        {
            with(order, &span);
        }
        line.clear();
    }
    Ok(())
}

fn look(spans: &Path) -> io::Result<BTreeMap<Uuid, Seen>> {
    let mut orders: BTreeMap<Uuid, Seen> = BTreeMap::new();
    each(spans, |order, span| {
        let seen = orders.entry(order).or_insert(Seen {
            from_us: i64::MAX,
            to_us: i64::MIN,
            is_wrong: false,
        });
        // What is repeated may come at any time.
        if span.kind != "server" && !is_repeated(span) {
            seen.from_us = seen.from_us.min(span.start_us);
            seen.to_us = seen.to_us.max(span.end_us);
        }
        seen.is_wrong |= span.is_error || said(span) == Some("order.canceled");
    })?;
    Ok(orders)
}

/// Those that violate a check, that went wrong, the slowest, and of the others some from all of the run: in this order, as
/// there may be no room for all.
fn choose(seen: &BTreeMap<Uuid, Seen>, violated: &BTreeMap<Uuid, BTreeSet<&str>>) -> Vec<Uuid> {
    let mut chosen: Vec<Uuid> = violated
        .keys()
        .filter(|id| seen.contains_key(*id))
        .copied()
        .collect();
    let wrong = seen.iter().filter(|(_, seen)| seen.is_wrong);
    let wrong = wrong.map(|(id, _)| *id);
    chosen.extend(wrong.filter(|id| !violated.contains_key(id)));
    chosen.truncate(WRONG);
    let is_left = |chosen: &[Uuid], id: &Uuid| !chosen.contains(id);
    let mut left: Vec<_> = seen.iter().filter(|(id, _)| is_left(&chosen, id)).collect();
    left.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.to_us.saturating_sub(seen.from_us)));
    chosen.extend(left.iter().take(SLOWEST).map(|(id, _)| **id));
    let mut left: Vec<_> = left.into_iter().skip(SLOWEST).collect();
    left.sort_by_key(|(id, _)| **id);
    let every = left.len().div_ceil(OTHERS).max(1);
    chosen.extend(left.iter().step_by(every).map(|(id, _)| **id));
    chosen
}

fn steps_of(spans: &Path, chosen: &[Uuid]) -> io::Result<BTreeMap<Uuid, Vec<Step>>> {
    let mut steps: BTreeMap<Uuid, Vec<Step>> = chosen.iter().map(|id| (*id, Vec::new())).collect();
    each(spans, |order, span| {
        if let Some(steps) = steps.get_mut(&order)
            && steps.len() < STEPS_MAX
        {
            steps.push(span.clone().into_owned().into());
        }
    })?;
    Ok(steps)
}

/// As many of the chosen as there is room for.
fn told<'a>(
    chosen: &[Uuid],
    steps: &'a BTreeMap<Uuid, Vec<Step>>,
    violated: &BTreeMap<Uuid, BTreeSet<&'a str>>,
) -> Vec<Told<'a>> {
    let mut bytes = 0;
    let whole = chosen
        .iter()
        .filter_map(|id| Some((id, Whole::of(*id, steps.get(id)?)?)));
    let all = whole.map(|(id, whole)| Told {
        whole,
        checks: violated.get(id).cloned().unwrap_or_default(),
    });
    let fitting = all.take_while(|told| {
        bytes += serde_json::to_string(told).map_or(0, |json| json.len());
        bytes <= BYTES_MAX
    });
    fitting.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a thousand orders every tenth went wrong, and the later ones took longer.
    fn thousand() -> BTreeMap<Uuid, Seen> {
        let seen = |n: u32| Seen {
            from_us: i64::from(n) * 1_000,
            to_us: i64::from(n) * 1_000 + i64::from(n),
            is_wrong: n.is_multiple_of(10),
        };
        (1..=1_000).map(|n| (order(n), seen(n))).collect()
    }

    fn order(n: u32) -> Uuid {
        Uuid::from_u128(u128::from(n))
    }

    #[test]
    fn what_went_wrong_comes_first_then_the_slowest_then_some_of_all() {
        let violated = BTreeMap::from([
            (order(501), BTreeSet::from(["S9"])),
            (order(7_777), BTreeSet::from(["S9"])),
        ]);
        let chosen = choose(&thousand(), &violated);
        assert_eq!(chosen[..3], [501, 10, 20].map(order));
        let slowest: Vec<Uuid> = (WRONG..WRONG + SLOWEST).map(|n| chosen[n]).collect();
        assert_eq!(slowest[..3], [1_000, 999, 998].map(order));
        let others = &chosen[WRONG + SLOWEST..];
        assert!((40..=OTHERS).contains(&others.len()), "{}", others.len());
        assert!(others[0] < order(20) && others.last() > Some(&order(900)));
        let each: BTreeSet<&Uuid> = chosen.iter().collect();
        assert_eq!(each.len(), chosen.len(), "one is there twice");
    }

    #[test]
    fn a_few_orders_are_all_there() {
        let few: BTreeMap<_, _> = thousand().into_iter().take(60).collect();
        assert_eq!(choose(&few, &BTreeMap::new()).len(), 60);
        assert!(choose(&BTreeMap::new(), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn what_has_no_room_is_left_out() {
        let line = |n: u32| SpanLine {
            service: "orders".into(),
            trace: "7f".into(),
            span: format!("{n:016x}").into(),
            parent: None,
            name: "x".repeat(50_000).into(),
            kind: "server".into(),
            start_us: 0,
            end_us: 1,
            order: Some(order(n)),
            message: None,
            outcome: None,
            status: None,
            is_error: false,
            links: 0,
        };
        let steps: BTreeMap<Uuid, Vec<Step>> = (1..=100)
            .map(|n| (order(n), vec![line(n).into()]))
            .collect();
        let chosen: Vec<Uuid> = steps.keys().copied().collect();
        let told = told(&chosen, &steps, &BTreeMap::new());
        assert!((35..40).contains(&told.len()), "{}", told.len());
    }
}
