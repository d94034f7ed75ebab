//! One queue: a low water mark (everything up to it is done), what is out, and the exceptions.
//!
//! Messages are known here by their place on the exchange (`seq`); bodies are the exchange's business.

use super::super::Depth;
use std::collections::{BTreeMap, BTreeSet};

/// A message that is not done although the mark may have passed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exception {
    pub(super) attempts: u32,
    /// When it is due again; none when it is dead.
    pub(super) due_us: Option<i64>,
    pub(super) reason: String,
    pub(super) at_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Out {
    pub(super) seq: i64,
    pub(super) attempts: u32,
}

/// A message to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) seq: i64,
    pub(super) attempts: u32,
    pub(super) redelivered: bool,
}

/// The state of one queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Everything up to this seq is done or an exception.
    pub(super) mark: i64,
    /// The first seq that was never delivered.
    pub(super) next: i64,
    /// The mark that is on disk.
    pub(super) stored_mark: i64,
    /// The last seq before the broker was opened: up to it, a delivery may be a repeat.
    old: i64,
    done: BTreeSet<i64>,
    out: BTreeMap<(u64, u64), Out>,
    returned: BTreeMap<i64, u32>,
    exceptions: BTreeMap<i64, Exception>,
    /// The exceptions that wait to be due, soonest first.
    waiting: BTreeSet<(i64, i64)>,
    tags: u64,
}

impl Queue {
    /// A queue that is done with everything up to `mark`, on an exchange that was left at `old`.
    pub(super) fn at(mark: i64, old: i64, exceptions: BTreeMap<i64, Exception>) -> Self {
        // An exception above the mark was put aside while a message before it was still out.
        let aside = exceptions.range(mark + 1..).map(|(seq, _)| *seq);
        Self {
            mark,
            stored_mark: mark,
            next: mark + 1,
            old,
            done: aside.collect(),
            waiting: exceptions
                .iter()
                .filter_map(|(seq, exception)| Some((exception.due_us?, *seq)))
                .collect(),
            exceptions,
            ..Self::default()
        }
    }

    /// Takes up to `max` messages for `subscription`: returned ones, due ones, then new ones up to `last`.
    pub(super) fn take(
        &mut self,
        subscription: u64,
        max: usize,
        last: i64,
        now_us: i64,
    ) -> Vec<(u64, Ready)> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some(ready) = self.take_one(last, now_us) else {
                break;
            };
            self.tags += 1;
            let out = Out {
                seq: ready.seq,
                attempts: ready.attempts,
            };
            self.out.insert((subscription, self.tags), out);
            taken.push((self.tags, ready));
        }
        taken
    }

    fn take_one(&mut self, last: i64, now_us: i64) -> Option<Ready> {
        if let Some((seq, attempts)) = self.returned.pop_first() {
            return Some(Ready {
                seq,
                attempts,
                redelivered: true,
            });
        }
        if let Some(&(due_us, seq)) = self.waiting.first()
            && due_us <= now_us
        {
            self.waiting.pop_first();
            let attempts = self
                .exceptions
                .get(&seq)
                .map_or(0, |exception| exception.attempts);
            return Some(Ready {
                seq,
                attempts,
                redelivered: true,
            });
        }
        while self.done.contains(&self.next) {
            self.next += 1;
        }
        (self.next <= last).then(|| {
            self.next += 1;
            Ready {
                seq: self.next - 1,
                attempts: 0,
                redelivered: self.next - 1 <= self.old,
            }
        })
    }

    /// Done with everything of `subscription` up to `up_to`. Returns the exceptions that this ended.
    pub(super) fn ack(&mut self, subscription: u64, up_to: u64) -> Vec<i64> {
        let mut ended = Vec::new();
        while let Some((&key, _)) = self
            .out
            .range((subscription, 0)..=(subscription, up_to))
            .next()
        {
            let Some(out) = self.out.remove(&key) else {
                break;
            };
            if self.exceptions.remove(&out.seq).is_some() {
                ended.push(out.seq);
            }
            self.finish(out.seq);
        }
        ended
    }

    /// Makes the message with `tag` an exception. None when it is not out.
    pub(super) fn put_aside(
        &mut self,
        subscription: u64,
        tag: u64,
        make: impl FnOnce(Out) -> Exception,
    ) -> Option<(i64, Exception)> {
        let out = self.out.remove(&(subscription, tag))?;
        let exception = make(out);
        self.except(out.seq, exception.clone());
        self.finish(out.seq);
        Some((out.seq, exception))
    }

    /// Returns everything that `subscription` has not acked.
    pub(super) fn release(&mut self, subscription: u64) {
        while let Some((&key, _)) = self
            .out
            .range((subscription, 0)..=(subscription, u64::MAX))
            .next()
        {
            let Some(out) = self.out.remove(&key) else {
                break;
            };
            match self
                .exceptions
                .get(&out.seq)
                .and_then(|exception| exception.due_us)
            {
                // It was put off before, and is due again at once.
                Some(due_us) => {
                    self.waiting.insert((due_us, out.seq));
                }
                None => {
                    self.returned.insert(out.seq, out.attempts);
                }
            }
        }
    }

    /// Makes the message at `seq` an exception.
    pub(super) fn except(&mut self, seq: i64, exception: Exception) {
        if let Some(due_us) = exception.due_us {
            self.waiting.insert((due_us, seq));
        }
        self.exceptions.insert(seq, exception);
    }

    /// The message at `seq` is no longer one that was given up.
    pub(super) fn forget_dead(&mut self, seq: i64) {
        self.exceptions.remove(&seq);
    }

    /// The messages that were given up.
    pub(super) fn dead(&self) -> impl Iterator<Item = (i64, &Exception)> {
        let dead = |(_, exception): &(&i64, &Exception)| exception.due_us.is_none();
        self.exceptions
            .iter()
            .filter(dead)
            .map(|(seq, exception)| (*seq, exception))
    }

    fn finish(&mut self, seq: i64) {
        if seq > self.mark {
            self.done.insert(seq);
        }
        while self.done.remove(&(self.mark + 1)) {
            self.mark += 1;
        }
        self.next = self.next.max(self.mark + 1);
    }

    /// When the next message that was put off is due.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.waiting.first().map(|(due_us, _)| *due_us)
    }

    pub(super) fn depth(&self, last: i64) -> Depth {
        let dead = self.dead().count();
        let new = usize::try_from(last + 1 - self.next).unwrap_or(0);
        Depth {
            ready: self.returned.len() + new - self.done.range(self.next..).count(),
            unacked: self.out.len(),
            // Not all exceptions: one that is due and out again is unacked, and nothing else.
            retrying: self.waiting.len(),
            dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seqs(taken: &[(u64, Ready)]) -> Vec<i64> {
        taken.iter().map(|(_, ready)| ready.seq).collect()
    }

    fn later(due_us: Option<i64>) -> impl FnOnce(Out) -> Exception {
        move |out| Exception {
            attempts: out.attempts + 1,
            due_us,
            reason: "no".to_owned(),
            at_us: 0,
        }
    }

    #[test]
    fn the_mark_advances_over_the_contiguous_prefix_only() {
        let mut queue = Queue::at(0, 0, BTreeMap::new());
        assert_eq!(seqs(&queue.take(1, 2, 4, 0)), [1, 2]);
        assert_eq!(seqs(&queue.take(2, 2, 4, 0)), [3, 4]);
        queue.ack(2, u64::MAX);
        assert_eq!(queue.mark, 0);
        queue.ack(1, 1);
        assert_eq!(queue.mark, 1);
        queue.ack(1, 2);
        assert_eq!(queue.mark, 4);
    }

    #[test]
    fn what_was_not_acked_comes_back_first_and_says_so() {
        let mut queue = Queue::at(0, 0, BTreeMap::new());
        queue.take(1, 2, 3, 0);
        queue.ack(1, 1);
        queue.release(1);
        let again = queue.take(2, 9, 3, 0);
        assert_eq!(seqs(&again), [2, 3]);
        assert!(again[0].1.redelivered && !again[1].1.redelivered);
    }

    #[test]
    fn a_message_put_off_lets_the_others_pass_and_comes_back_when_due() {
        let mut queue = Queue::at(0, 0, BTreeMap::new());
        queue.take(1, 2, 2, 0);
        queue.put_aside(1, 1, later(Some(100))).unwrap();
        queue.ack(1, 2);
        assert_eq!((queue.mark, queue.next_due()), (2, Some(100)));
        assert!(queue.take(1, 9, 2, 99).is_empty());
        let due = queue.take(1, 9, 2, 100);
        assert_eq!((seqs(&due), due[0].1.attempts), (vec![1], 1));
        assert_eq!(queue.ack(1, due[0].0), [1]);
        assert_eq!(queue.depth(2), Depth::default());
    }

    #[test]
    fn a_dead_message_is_never_due() {
        let mut queue = Queue::at(0, 0, BTreeMap::new());
        queue.take(1, 1, 1, 0);
        queue.put_aside(1, 1, later(None)).unwrap();
        assert!(queue.take(1, 9, 1, i64::MAX).is_empty());
        assert_eq!(
            queue.depth(1),
            Depth {
                dead: 1,
                ..Depth::default()
            }
        );
    }
}
