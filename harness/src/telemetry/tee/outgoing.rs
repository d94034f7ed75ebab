//! What is kept and not yet with the collector: a bounded queue, and what became of everything that was in it.

use super::wire::Piece;
use std::collections::VecDeque;

/// Spans in one request, and their bytes.
const REQUEST_SPANS: usize = 2_048;
const REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// Spans on their way.
#[derive(Debug)]
pub(super) struct Outgoing {
    bytes_max: usize,
    waiting: VecDeque<Piece>,
    bytes: usize,
    /// Spans in the request that is out.
    out: u64,
    /// Spans that the collector took.
    pub(super) sent: u64,
    /// Spans that it did not take, or for which there was no room.
    pub(super) dropped: u64,
    /// Why it did not take something the last time.
    pub(super) why: Option<String>,
}

impl Outgoing {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            waiting: VecDeque::new(),
            bytes: 0,
            out: 0,
            sent: 0,
            dropped: 0,
            why: None,
        }
    }

    /// Lets all of a trace wait, or drops all of it.
    pub(super) fn push(&mut self, pieces: Vec<Piece>) {
        let bytes: usize = pieces.iter().map(Piece::bytes).sum();
        if self.bytes + bytes > self.bytes_max {
            self.dropped += count(&pieces);
            return;
        }
        self.bytes += bytes;
        self.waiting.extend(pieces);
    }

    /// What goes out next; whoever takes it says what became of it.
    pub(super) fn next(&mut self) -> Option<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut bytes = 0;
        while pieces.len() < REQUEST_SPANS
            && let Some(piece) = self.waiting.front()
            && (pieces.is_empty() || bytes + piece.bytes() <= REQUEST_BYTES)
        {
            bytes += piece.bytes();
            pieces.extend(self.waiting.pop_front());
        }
        self.bytes -= bytes;
        self.out = count(&pieces);
        (!pieces.is_empty()).then_some(pieces)
    }

    /// The collector took what is out, but for so many spans.
    pub(super) fn taken(&mut self, rejected: u64) {
        let rejected = rejected.min(self.out);
        self.sent += self.out - rejected;
        self.dropped += rejected;
        self.out = 0;
    }

    /// The collector did not take what is out.
    pub(super) fn not_taken(&mut self, why: String) {
        self.dropped += self.out;
        self.out = 0;
        self.why = Some(why);
    }

    /// Nothing goes out any more.
    pub(super) fn close(&mut self) {
        let left = self.out + count(self.waiting.make_contiguous());
        if left > 0 {
            self.dropped += left;
            self.why
                .get_or_insert_with(|| "the run was over before it answered".to_owned());
        }
        (self.out, self.bytes) = (0, 0);
        self.waiting = VecDeque::new();
    }

    /// About what it takes in memory.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn count(pieces: &[Piece]) -> u64 {
    pieces.len() as u64
}
