//! The latest orders, in memory and within a hard bound: when there is no room, the oldest go, each whole.
//!
//! Ids of orders tell when they were made, so the oldest is the smallest. What is not known and not above the last that was
//! forgotten was forgotten itself, or would be next: a step that comes late brings no half order back.

use super::glance::{Ending, Glance, Whole};
use super::step::{Step, steps};
use crate::telemetry::Sink;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bounds {
    /// Orders.
    pub orders: usize,
    /// The memory of all their steps, bytes.
    pub bytes: usize,
    /// Steps of one order; what is more is counted and left out.
    pub steps: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            orders: 2_000,
            bytes: 64 * 1024 * 1024,
            steps: 512,
        }
    }
}

/// Which orders are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// At most so many.
    pub limit: usize,
    /// The beginning of an id, of the order or of its trace, in small letters.
    pub beginning: String,
    /// Which of them.
    pub show: Show,
}

/// Which orders are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Show {
    /// All, the latest first.
    #[default]
    All,
    /// Those that were canceled.
    Canceled,
    /// Those with a step that says that it failed.
    Failed,
    /// All, the slowest first.
    Slow,
}

/// What the list shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    orders: Vec<Glance<'a>>,
    /// How many are kept.
    kept: usize,
    /// How many were forgotten.
    forgotten: u64,
    bounds: Bounds,
}

/// The latest orders.
#[derive(Debug)]
pub struct Orders {
    bounds: Bounds,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    orders: BTreeMap<Uuid, Held>,
    bytes: usize,
    forgotten: u64,
    /// The youngest that was forgotten.
    forgotten_to: Option<Uuid>,
}

/// What is kept of an order.
#[derive(Debug, Default)]
struct Held {
    steps: Vec<Step>,
    bytes: usize,
    left_out: usize,
}

/// An order, and how many of its steps were too many.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    #[serde(flatten)]
    whole: Whole<'a>,
    left_out: usize,
}

impl Orders {
    /// Keeps orders within `bounds`.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            kept: Mutex::default(),
        }
    }

    /// Takes a step. One that is about no order, or comes a second time, is left alone.
    pub fn add(&self, step: Step) {
        self.kept().add(step, self.bounds);
    }

    /// How many orders are kept, and about how many bytes they take.
    pub fn size(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.orders.len(), kept.bytes)
    }

    /// The orders that are wanted, as JSON.
    pub fn list(&self, wanted: &Wanted) -> String {
        let kept = self.kept();
        let all = kept.orders.iter().rev();
        let mut orders = all
            .filter_map(|(id, held)| Glance::of(*id, &held.steps))
            .filter(|glance| is_wanted(glance, wanted));
        let orders = if wanted.show == Show::Slow {
            let mut all: Vec<_> = orders.collect();
            all.sort_by_key(|glance| std::cmp::Reverse(glance.took_us));
            all.truncate(wanted.limit);
            all
        } else {
            orders.by_ref().take(wanted.limit).collect()
        };
        json(&List {
            orders,
            kept: kept.orders.len(),
            forgotten: kept.forgotten,
            bounds: self.bounds,
        })
    }

    /// An order with its steps, as JSON; none when it is not known.
    pub fn whole(&self, id: Uuid) -> Option<String> {
        let kept = self.kept();
        let held = kept.orders.get(&id)?;
        let whole = Whole::of(id, &held.steps)?;
        let left_out = held.left_out;
        Some(json(&Told { whole, left_out }))
    }

    /// Whether an order may have been known once.
    pub fn may_be_forgotten(&self, id: Uuid) -> bool {
        self.kept().forgotten_to.is_some_and(|last| id <= last)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, step: Step, bounds: Bounds) {
        let Some(order) = step.line.order else {
            return;
        };
        let is_known = self.orders.contains_key(&order);
        if !is_known && self.forgotten_to.is_some_and(|last| order <= last) {
            return;
        }
        let held = self.orders.entry(order).or_default();
        if held.steps.iter().any(|known| is_same(known, &step)) {
            return;
        }
        if held.steps.len() >= bounds.steps {
            held.left_out += 1;
            return;
        }
        let bytes = step.bytes();
        held.steps.push(step);
        held.bytes += bytes;
        self.bytes += bytes;
        while self.orders.len() > bounds.orders || self.bytes > bounds.bytes {
            let Some((oldest, held)) = self.orders.pop_first() else {
                return;
            };
            self.bytes -= held.bytes;
            self.forgotten += 1;
            self.forgotten_to = self.forgotten_to.max(Some(oldest));
        }
    }
}

impl Sink for Orders {
    fn take(&self, request: &ExportTraceServiceRequest) -> bool {
        let mut kept = self.kept();
        for step in steps(request) {
            kept.add(step, self.bounds);
        }
        true
    }
}

/// A sender that got no answer sends again.
fn is_same(known: &Step, step: &Step) -> bool {
    let (known, step) = (&known.line, &step.line);
    known.span == step.span && known.trace == step.trace && known.start_us == step.start_us
}

fn is_wanted(glance: &Glance<'_>, wanted: &Wanted) -> bool {
    let is_shown = match wanted.show {
        Show::All | Show::Slow => true,
        Show::Canceled => glance.outcome == Ending::Canceled,
        Show::Failed => glance.errors > 0,
    };
    is_shown && (wanted.beginning.is_empty() || glance.begins_with(&wanted.beginning))
}

fn json(value: &impl Serialize) -> String {
    // Maps of ours have texts as keys, and that is all that can go wrong.
    serde_json::to_string(value).unwrap_or_default()
}
