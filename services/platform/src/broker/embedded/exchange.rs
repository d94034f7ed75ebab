//! The exchange as a state machine: a group of commands in, one transaction of the file, answers out.
//!
//! Nothing in here waits. The actor decides when a group is taken; a world decides when the actor runs.

use super::super::{BrokerError, DeadBody, DeadLetter, Delivery, Result};
use super::disk::Disk;
use super::queue::{Exception, Queue, Ready};
use super::{Admin, Command, EmbeddedSettings, Until};
use crate::Clock;
use crate::store::StoreError;
use contract::{Message, MessageId};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Messages kept in memory; a queue that is further behind reads the file.
const WINDOW: usize = 32_768;
/// Trim the file when this many messages have become superfluous.
const TRIM: i64 = 4_096;

struct Waiter {
    subscription: u64,
    max: usize,
    reply: oneshot::Sender<Result<Vec<Delivery>>>,
}

pub(super) struct Exchange {
    disk: Disk,
    clock: Clock,
    tap_max: i64,
    last: i64,
    trimmed: i64,
    window: VecDeque<(i64, Arc<Message>)>,
    queues: BTreeMap<String, Queue>,
    waiters: BTreeMap<String, VecDeque<Waiter>>,
    /// The ids of messages that were given up, as far as somebody has asked.
    dead_ids: BTreeMap<i64, MessageId>,
    /// Changed exceptions that are not in the file yet.
    unwritten: Vec<(String, i64, Option<Exception>)>,
}

/// Answers that are given when the group is on disk.
type Confirm = Box<dyn FnOnce(Result<()>)>;

impl Exchange {
    pub(super) fn load(
        mut disk: Disk,
        settings: &EmbeddedSettings,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let last = disk.last()?;
        let mut queues = BTreeMap::new();
        for &name in &settings.queues {
            let mark = disk.mark(name)?;
            let queue = Queue::at(mark.unwrap_or(last), last, disk.exceptions(name)?);
            queues.insert(name.to_owned(), queue);
        }
        disk.transaction(|disk| {
            queues
                .iter()
                .try_for_each(|(name, queue)| disk.store_mark(name, queue.mark))
        })?;
        Ok(Self {
            disk,
            clock,
            tap_max: settings.tap_max,
            last,
            trimmed: 0,
            window: VecDeque::new(),
            queues,
            waiters: BTreeMap::new(),
            dead_ids: BTreeMap::new(),
            unwritten: Vec::new(),
        })
    }

    /// How long until a message that was put off is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        // Without a consumer nothing can be delivered, so there is nothing to wake up for.
        let waited_for = self
            .queues
            .iter()
            .filter(|(name, _)| self.waiters.get(*name).is_some_and(|w| !w.is_empty()));
        let due = waited_for.filter_map(|(_, queue)| queue.next_due()).min()?;
        Some(Duration::from_micros(
            u64::try_from(due - self.clock.now_us()).unwrap_or(0).max(1),
        ))
    }

    /// Applies a group of commands in one transaction, answers, and delivers.
    pub(super) fn step(&mut self, commands: impl Iterator<Item = Command>) {
        let mut changes = Changes::default();
        for command in commands {
            self.apply(command, &mut changes);
        }
        self.persist(changes);
        self.deliver();
    }

    fn apply(&mut self, command: Command, changes: &mut Changes) {
        match command {
            Command::Publish { batch, reply } => {
                changes.fresh.extend(batch);
                changes
                    .confirms
                    .push(Box::new(move |outcome| drop(reply.send(outcome))));
            }
            Command::Subscribe { queue, reply } => {
                drop(reply.send(self.queue(&queue).map(|_| ())));
            }
            Command::Next {
                queue,
                subscription,
                max,
                reply,
            } => {
                let waiter = Waiter {
                    subscription,
                    max,
                    reply,
                };
                self.waiters.entry(queue).or_default().push_back(waiter);
            }
            Command::Ack {
                queue,
                subscription,
                up_to,
            } => {
                if let Ok(state) = self.queue(&queue) {
                    let ended = state.ack(subscription, up_to);
                    changes
                        .exceptions
                        .extend(ended.into_iter().map(|seq| (queue.clone(), seq, None)));
                }
            }
            Command::PutAside {
                queue,
                subscription,
                tag,
                until,
                reason,
            } => {
                self.put_aside((queue, subscription, tag), until, reason, changes);
            }
            Command::Release {
                queue,
                subscription,
            } => {
                if let Some(waiters) = self.waiters.get_mut(&queue) {
                    waiters.retain(|waiter| waiter.subscription != subscription);
                }
                if let Ok(state) = self.queue(&queue) {
                    state.release(subscription);
                }
            }
            Command::Admin(admin) => self.answer(admin, changes),
        }
    }

    fn answer(&mut self, admin: Admin, changes: &mut Changes) {
        match admin {
            Admin::Depth { queue, reply } => {
                let last = self.last + i64::try_from(changes.fresh.len()).unwrap_or(0);
                drop(reply.send(self.queue(&queue).map(|state| state.depth(last))));
            }
            Admin::DeadLetters {
                queue,
                after,
                n,
                reply,
            } => drop(reply.send(self.dead_letters(&queue, after, n))),
            Admin::Replay { queue, id, reply } => {
                let found = self.take_dead(&queue, id, changes, |dead, now_us| {
                    Some(Exception {
                        attempts: 0,
                        due_us: Some(now_us),
                        ..dead
                    })
                });
                changes.answer(reply, found);
            }
            Admin::Discard { queue, id, reply } => {
                let found = self.take_dead(&queue, id, changes, |_, _| None);
                changes.answer(reply, found);
            }
            Admin::Tap { after, n, reply } => {
                let tapped = self
                    .disk
                    .read(after.saturating_add(1), n)
                    .map_err(unavailable);
                drop(reply.send(tapped));
            }
        }
    }

    fn queue(&mut self, name: &str) -> Result<&mut Queue> {
        self.queues
            .get_mut(name)
            .ok_or_else(|| BrokerError::NoQueue(name.to_owned()))
    }

    fn put_aside(
        &mut self,
        (name, subscription, tag): (String, u64, u64),
        until: Until,
        reason: String,
        changes: &mut Changes,
    ) {
        let at_us = self.clock.now_us();
        let Ok(queue) = self.queue(&name) else { return };
        let aside = queue.put_aside(subscription, tag, |out| match until {
            Until::Later(pause) => Exception {
                attempts: out.attempts + 1,
                due_us: Some(at_us + i64::try_from(pause.as_micros()).unwrap_or(i64::MAX / 2)),
                reason,
                at_us,
            },
            Until::Dead => Exception {
                attempts: out.attempts,
                due_us: None,
                reason,
                at_us,
            },
        });
        changes
            .exceptions
            .extend(aside.map(|(seq, exception)| (name, seq, Some(exception))));
    }

    /// The messages of `queue` that were given up, by id. Each body is read once for its id.
    fn dead(&mut self, queue: &str) -> Result<Vec<(MessageId, i64, Exception)>> {
        let dead = self.queue(queue)?.dead();
        let dead: Vec<(i64, Exception)> = dead
            .map(|(seq, exception)| (seq, exception.clone()))
            .collect();
        let mut by_id = Vec::with_capacity(dead.len());
        for (seq, exception) in dead {
            let id = match self.dead_ids.get(&seq) {
                Some(id) => *id,
                None => self.body(seq).map_err(unavailable)?.0,
            };
            self.dead_ids.insert(seq, id);
            by_id.push((id, seq, exception));
        }
        by_id.sort_by_key(|(id, seq, _)| (*id, *seq));
        Ok(by_id)
    }

    fn dead_letters(
        &mut self,
        queue: &str,
        after: Option<MessageId>,
        n: usize,
    ) -> Result<Vec<DeadLetter>> {
        let dead = self.dead(queue)?;
        let wanted = dead
            .into_iter()
            .filter(|(id, ..)| after.is_none_or(|after| *id > after));
        let letter = |(id, seq, exception): (MessageId, i64, Exception)| {
            Ok(DeadLetter {
                id,
                body: self.body(seq).map_err(unavailable)?.1,
                attempts: exception.attempts,
                reason: exception.reason,
                at_us: exception.at_us,
            })
        };
        wanted.take(n).map(letter).collect()
    }

    /// Ends the death of a message; `then` says what becomes of it.
    fn take_dead(
        &mut self,
        name: &str,
        id: MessageId,
        changes: &mut Changes,
        then: impl FnOnce(Exception, i64) -> Option<Exception>,
    ) -> Result<bool> {
        let mut dead = self.dead(name)?.into_iter();
        let Some((_, seq, exception)) = dead.find(|(of, ..)| *of == id) else {
            return Ok(false);
        };
        self.dead_ids.remove(&seq);
        let exception = then(exception, self.clock.now_us());
        let queue = self.queue(name)?;
        queue.forget_dead(seq);
        if let Some(exception) = &exception {
            queue.except(seq, exception.clone());
        }
        changes.exceptions.push((name.to_owned(), seq, exception));
        Ok(true)
    }

    /// Writes the group to the file, then lets the messages in and confirms them. Or none of it.
    fn persist(&mut self, changes: Changes) {
        let Changes {
            fresh,
            confirms,
            exceptions,
        } = changes;
        // Kept until they are written: a mark that overtakes its exceptions would lose their messages.
        self.unwritten.extend(exceptions);
        let first = self.last + 1;
        let moved: Vec<(&String, i64)> = self
            .queues
            .iter()
            .filter(|(_, queue)| queue.mark != queue.stored_mark)
            .map(|(name, queue)| (name, queue.mark))
            .collect();
        // Marks alone can wait for the next message: a mark that is lost is a repeated delivery. When nothing
        // comes any more they are written once everything is done.
        let idle = self.queues.values().all(|queue| queue.mark >= self.last);
        let unwritten = &self.unwritten;
        let outcome = if fresh.is_empty() && unwritten.is_empty() && (moved.is_empty() || !idle) {
            Ok(false)
        } else {
            self.disk.transaction(|disk| {
                for (seq, (_, json)) in (first..).zip(&fresh) {
                    disk.insert(seq, json)?;
                }
                moved
                    .iter()
                    .try_for_each(|(name, mark)| disk.store_mark(name, *mark))?;
                unwritten
                    .iter()
                    .try_for_each(|(queue, seq, exception)| match exception {
                        Some(exception) => disk.store_exception(queue, *seq, exception),
                        None => disk.remove_exception(queue, *seq),
                    })?;
                Ok(true)
            })
        };
        let outcome = match outcome {
            Ok(written) => {
                if written {
                    self.unwritten.clear();
                    self.queues
                        .values_mut()
                        .for_each(|queue| queue.stored_mark = queue.mark);
                }
                self.last += i64::try_from(fresh.len()).unwrap_or(0);
                self.window
                    .extend((first..).zip(fresh.into_iter().map(|(message, _)| message)));
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "the broker's file could not be written");
                Err(unavailable(error))
            }
        };
        for confirm in confirms {
            confirm(outcome.clone());
        }
        self.trim();
    }

    /// Lets go of messages that every queue is done with.
    fn trim(&mut self) {
        let lowest =
            |mark: fn(&Queue) -> i64| self.queues.values().map(mark).min().unwrap_or(self.last);
        let low = lowest(|queue| queue.mark);
        // The file keeps what it would ask for again.
        let stored_low = lowest(|queue| queue.stored_mark);
        while self.window.len() > WINDOW || self.window.front().is_some_and(|(seq, _)| *seq <= low)
        {
            self.window.pop_front();
        }
        let superfluous = stored_low.min(self.last - self.tap_max);
        if superfluous - self.trimmed >= TRIM {
            match self.disk.transaction(|disk| disk.trim(superfluous)) {
                Ok(()) => self.trimmed = superfluous,
                Err(error) => tracing::warn!(%error, "old messages could not be removed"),
            }
        }
    }

    /// Gives the consumers that wait what there is for them.
    fn deliver(&mut self) {
        let now_us = self.clock.now_us();
        let names: Vec<String> = self.waiters.keys().cloned().collect();
        for name in names {
            while let Some(waiter) = self.waiters.get_mut(&name).and_then(VecDeque::pop_front) {
                if waiter.reply.is_closed() {
                    continue;
                }
                let last = self.last;
                let taken = match self.queue(&name) {
                    Ok(queue) => queue.take(waiter.subscription, waiter.max, last, now_us),
                    Err(error) => {
                        drop(waiter.reply.send(Err(error)));
                        continue;
                    }
                };
                if taken.is_empty() {
                    self.waiters
                        .entry(name.clone())
                        .or_default()
                        .push_front(waiter);
                    break;
                }
                let deliveries = self.deliveries(&name, waiter.subscription, &taken);
                if deliveries.as_ref().is_ok_and(Vec::is_empty) {
                    // All of it was given up unread; there may be more.
                    let waiters = self.waiters.entry(name.clone()).or_default();
                    waiters.push_front(waiter);
                    continue;
                }
                if let Err(Ok(_)) = waiter.reply.send(deliveries.map_err(unavailable))
                    && let Ok(queue) = self.queue(&name)
                {
                    queue.release(waiter.subscription);
                }
            }
        }
    }

    /// What was taken, as deliveries. What is no message of ours is given up, and the others pass.
    fn deliveries(
        &mut self,
        name: &str,
        subscription: u64,
        taken: &[(u64, Ready)],
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut deliveries = Vec::with_capacity(taken.len());
        for &(tag, ready) in taken {
            match self.message(ready.seq)? {
                Ok(message) => deliveries.push(Delivery {
                    tag,
                    message,
                    redelivered: ready.redelivered,
                    attempts: ready.attempts,
                }),
                Err(reason) => {
                    tracing::error!(reason, queue = name, "not a message, to the dead queue");
                    let mut changes = Changes::default();
                    let whose = (name.to_owned(), subscription, tag);
                    self.put_aside(whose, Until::Dead, reason, &mut changes);
                    // Written with the next group; until then the file says that it was not delivered.
                    self.unwritten.extend(changes.exceptions);
                }
            }
        }
        Ok(deliveries)
    }

    /// The message at `seq`, or why it is none.
    fn message(&self, seq: i64) -> Result<Result<Arc<Message>, String>, StoreError> {
        match self.in_window(seq) {
            Some(message) => Ok(Ok(message)),
            None => Ok(DeadBody::read(self.disk.body(seq)?.as_bytes())),
        }
    }

    /// Whatever is at `seq`.
    fn body(&self, seq: i64) -> Result<(MessageId, DeadBody), StoreError> {
        match self.in_window(seq) {
            Some(message) => Ok((message.id, DeadBody::Message(message))),
            None => Ok(DeadBody::of(self.disk.body(seq)?.as_bytes())),
        }
    }

    fn in_window(&self, seq: i64) -> Option<Arc<Message>> {
        let (first, _) = self.window.front()?;
        let index = usize::try_from(seq - first).ok()?;
        let (_, message) = self.window.get(index)?;
        Some(Arc::clone(message))
    }
}

/// What a group of commands changes on disk.
#[derive(Default)]
struct Changes {
    fresh: Vec<(Arc<Message>, String)>,
    confirms: Vec<Confirm>,
    exceptions: Vec<(String, i64, Option<Exception>)>,
}

impl Changes {
    /// Answers when the group is on disk.
    fn answer(&mut self, reply: oneshot::Sender<Result<bool>>, found: Result<bool>) {
        self.confirms.push(Box::new(move |written| {
            drop(reply.send(written.and(found)));
        }));
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "used as a function in map_err"
)]
fn unavailable(error: StoreError) -> BrokerError {
    BrokerError::Unavailable(error.to_string())
}
