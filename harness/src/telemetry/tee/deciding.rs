//! Which traces are kept. A trace is looked at when nothing of it has come for a while: what is interesting goes out at
//! once, what is not waits for second thoughts, because a metric may still name it, and is left out when it is older.
//!
//! When there is no room, those that are quiet longest are decided by what is known of them.

use super::interest::{Said, Times, Why, id};
use super::outgoing::Outgoing;
use super::recent::Recent;
use super::wire::{Origin, Origins, Piece};
use crate::report::TeeFigures;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use platform::telemetry::Sampling;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What a trace takes in memory besides its spans, about.
const TRACE_BYTES: usize = 256;
/// What a link takes.
const LINK_BYTES: usize = 16;

/// How much is held, and how long. All of it together is 64 MB: what is undecided, what is on its way with the request
/// that is out, and the ids that are remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Traces that are not decided.
    pub(super) traces: usize,
    /// Their bytes.
    pub(super) bytes: usize,
    /// The bytes of what waits to be sent.
    pub(super) outgoing: usize,
    /// Ids that are remembered: of kept traces, and of wanted ones.
    pub(super) remembered: usize,
    /// When nothing of a trace has come for so long, it is looked at.
    pub(super) quiet: Duration,
    /// When nothing has come for so long, it is left out.
    pub(super) over: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            traces: 100_000,
            bytes: 40 * 1024 * 1024,
            outgoing: 12 * 1024 * 1024,
            remembered: 50_000,
            // Services send every half second, and metrics are asked for as often.
            quiet: Duration::from_secs(3),
            over: Duration::from_secs(10),
        }
    }
}

/// A trace that is not decided.
#[derive(Debug, Default)]
struct Trace {
    pieces: Vec<Piece>,
    bytes: usize,
    heard: Duration,
    /// Its place among those that are quiet.
    turn: u64,
    why: Option<Why>,
    is_order: bool,
    has_ended: bool,
    times: Option<(u64, u64)>,
    batches: Vec<u128>,
}

impl Trace {
    fn add(&mut self, piece: Piece, said: &Said) {
        self.bytes += piece.bytes() + said.batches.len() * LINK_BYTES;
        self.pieces.push(piece);
        self.why = self.why.or(said.why);
        self.is_order |= said.is_order;
        self.has_ended |= said.is_end;
        self.batches.extend(&said.batches);
        if let Some((start, end)) = said.times {
            let (first, last) = self.times.unwrap_or((start, end));
            self.times = Some((first.min(start), last.max(end)));
        }
    }

    fn took_ns(&self) -> u64 {
        self.times
            .map_or(0, |(start, end)| end.saturating_sub(start))
    }
}

/// All traces that are not decided, and what has become of the others.
#[derive(Debug)]
pub(super) struct Deciding {
    bounds: Bounds,
    share: Sampling,
    held: HashMap<u128, Trace>,
    bytes: usize,
    /// Those that may still grow, by turn: the first is quiet longest.
    fresh: BTreeMap<u64, u128>,
    /// Those that were looked at and are not interesting so far.
    dull: BTreeMap<u64, u128>,
    turns: u64,
    origins: Origins,
    times: Times,
    /// What comes late of a kept trace follows it.
    kept: Recent<()>,
    /// Traces that somebody names.
    wanted: Recent<Why>,
    kept_by: BTreeMap<&'static str, u64>,
    left_out: u64,
    pub(super) outgoing: Outgoing,
}

impl Deciding {
    /// Of what is not interesting, `share` is kept, by trace id.
    pub(super) fn new(bounds: Bounds, share: f64) -> Self {
        Self {
            bounds,
            share: Sampling::ratio(share),
            held: HashMap::new(),
            bytes: 0,
            fresh: BTreeMap::new(),
            dull: BTreeMap::new(),
            turns: 0,
            origins: Origins::default(),
            times: Times::default(),
            kept: Recent::new(bounds.remembered),
            wanted: Recent::new(bounds.remembered),
            kept_by: BTreeMap::new(),
            left_out: 0,
            outgoing: Outgoing::new(bounds.outgoing),
        }
    }

    /// Takes a request, which came when so much time had passed.
    pub(super) fn take(&mut self, request: &ExportTraceServiceRequest, now: Duration) {
        for resource in &request.resource_spans {
            for scope in &resource.scope_spans {
                let origin = self.origins.of(resource, scope);
                for span in &scope.spans {
                    match (&origin, id(&span.trace_id)) {
                        (Some(origin), Some(id)) => self.add(id, (origin, span), now),
                        // Nobody could make a trace of it.
                        _ => self.outgoing.dropped += 1,
                    }
                }
            }
        }
        self.look(now);
    }

    fn add(&mut self, id: u128, (origin, span): (&Arc<Origin>, &Span), now: Duration) {
        let (piece, said) = (Piece::new(origin, span), Said::of(span));
        if self.kept.get(id).is_some() {
            self.outgoing.push(vec![piece]);
            self.want(&said.batches, Why::Linked);
            return;
        }
        let trace = self.held.entry(id).or_default();
        let before = trace.bytes;
        if trace.pieces.is_empty() {
            trace.bytes = TRACE_BYTES;
        } else if self.fresh.remove(&trace.turn).is_none() {
            self.dull.remove(&trace.turn);
        }
        trace.add(piece, &said);
        self.bytes += trace.bytes - before;
        (trace.turn, trace.heard) = (self.turns, now);
        self.fresh.insert(self.turns, id);
        self.turns += 1;
        while self.held.len() > self.bounds.traces || self.bytes > self.bounds.bytes {
            self.make_room();
        }
    }

    /// Metrics name these traces as examples.
    pub(super) fn examples(&mut self, traces: &[u128]) {
        self.want(traces, Why::Example);
    }

    fn want(&mut self, traces: &[u128], why: Why) {
        for id in traces {
            if self.kept.get(*id).is_some() {
                continue;
            }
            self.wanted.note(*id, why);
            let turn = self.held.get(id).map(|trace| trace.turn);
            if turn.is_some_and(|turn| self.dull.remove(&turn).is_some()) {
                self.keep(*id, why);
            }
        }
    }

    /// Decides on everything that has been quiet for long enough.
    pub(super) fn look(&mut self, now: Duration) {
        while let Some(id) = self.quiet(&self.fresh, now, self.bounds.quiet) {
            let first = self.fresh.pop_first();
            match self.why(id, false) {
                Some(why) => self.keep(id, why),
                None => self.dull.extend(first),
            }
        }
        while let Some(id) = self.quiet(&self.dull, now, self.bounds.over) {
            self.dull.pop_first();
            self.leave_out(id);
        }
    }

    /// Decides on everything.
    pub(super) fn close(&mut self) {
        self.look(Duration::MAX);
    }

    /// The first of `waiting`, if it was quiet for so long.
    fn quiet(&self, waiting: &BTreeMap<u64, u128>, now: Duration, long: Duration) -> Option<u128> {
        let (_, id) = waiting.first_key_value()?;
        let heard = self.held.get(id)?.heard;
        (heard + long <= now).then_some(*id)
    }

    fn make_room(&mut self) {
        if let Some((_, id)) = self.dull.pop_first() {
            self.leave_out(id);
        } else if let Some((_, id)) = self.fresh.pop_first() {
            match self.why(id, true) {
                Some(why) => self.keep(id, why),
                None => self.leave_out(id),
            }
        }
    }

    /// Why a trace is kept, if it is. One that had to be decided early may have ended well.
    fn why(&mut self, id: u128, is_early: bool) -> Option<Why> {
        let trace = self.held.get(&id)?;
        let (took_ns, is_order) = (trace.took_ns(), trace.is_order);
        let is_open = is_order && !trace.has_ended && !is_early;
        let is_slow = self.times.is_slow(took_ns, is_order);
        // Not before it was held against the others itself.
        if is_order && trace.has_ended {
            self.times.took(took_ns);
        }
        trace
            .why
            .or(is_open.then_some(Why::Open))
            .or(is_slow.then_some(Why::Slow))
            .or_else(|| self.wanted.get(id))
            .or_else(|| self.share.takes(id, None).then_some(Why::Share))
    }

    fn keep(&mut self, id: u128, why: Why) {
        let Some(trace) = self.held.remove(&id) else {
            return;
        };
        self.bytes -= trace.bytes;
        self.kept.note(id, ());
        *self.kept_by.entry(why.as_str()).or_default() += 1;
        self.outgoing.push(trace.pieces);
        self.want(&trace.batches, Why::Linked);
    }

    fn leave_out(&mut self, id: u128) {
        if let Some(trace) = self.held.remove(&id) {
            self.bytes -= trace.bytes;
            self.left_out += 1;
        }
    }

    /// What has become of everything so far.
    pub(super) fn figures(&self) -> TeeFigures {
        let kept = self.kept_by.iter();
        TeeFigures {
            kept: kept.map(|(why, n)| ((*why).to_owned(), *n)).collect(),
            left_out: self.left_out,
            sent: self.outgoing.sent,
            dropped: self.outgoing.dropped,
        }
    }

    /// Traces that are not decided, and the bytes of everything that is held.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.held.len(), self.bytes + self.outgoing.bytes())
    }
}
