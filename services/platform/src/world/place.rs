//! Where one service of a world meets its ports: what goes wrong there, and when.

use super::{Mischief, World, hash};
use crate::broker::Delivery;
use crate::fault::{Doom, Side, Site};
use crate::lock::lock;
use async_trait::async_trait;
use contract::Message;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Where one service meets its ports.
pub(super) struct Place {
    world: Weak<super::Inner>,
    service: &'static str,
    mischief: Mischief,
    chance: Mutex<ChaCha8Rng>,
    passed: Mutex<u64>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
    healed: AtomicBool,
    struck: AtomicU64,
    doomed: Mutex<Option<Doom>>,
}

impl Place {
    pub(super) fn new(world: &World, service: &'static str, mischief: Mischief) -> Self {
        Self {
            world: Arc::downgrade(&world.0),
            service,
            mischief,
            chance: Mutex::new(ChaCha8Rng::seed_from_u64(world.0.seed ^ hash(service))),
            passed: Mutex::default(),
            calls: Mutex::default(),
            healed: AtomicBool::new(false),
            struck: AtomicU64::new(0),
            doomed: Mutex::default(),
        }
    }

    /// How often a port call was passed.
    pub(super) fn passed(&self) -> u64 {
        *lock(&self.passed)
    }

    /// How often mischief was done.
    pub(super) fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }

    /// From now on each transaction that writes fails there.
    pub(super) fn condemn(&self, doom: Doom) {
        *lock(&self.doomed) = Some(doom);
    }

    /// Nothing goes wrong here any more.
    pub(super) fn heal(&self) {
        *lock(&self.doomed) = None;
        self.healed.store(true, Ordering::Relaxed);
    }

    fn is_healed(&self) -> bool {
        self.healed.load(Ordering::Relaxed)
    }

    fn strike(&self) {
        self.struck.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether this passage is the one at which the service is to crash.
    fn is_last(&self, call: &'static str, side: Side) -> bool {
        let passed = {
            let mut passed = lock(&self.passed);
            *passed += 1;
            *passed
        };
        let mut is_due = self.mischief.crash_at == Some(passed);
        if side == Side::Before {
            let mut calls = lock(&self.calls);
            let count = calls.entry(call).or_default();
            *count += 1;
            is_due |= self.mischief.crash_before == Some((call, *count));
        }
        is_due && !self.is_healed()
    }

    /// Whether a time since the beginning of the world is now.
    fn is_now(&self, time: Option<&Range<Duration>>) -> bool {
        let now_us = self
            .world
            .upgrade()
            .map_or(0, |world| world.clock.now_us() - world.began_us);
        let now = Duration::from_micros(u64::try_from(now_us).unwrap_or(0));
        let is_now = !self.is_healed() && time.is_some_and(|time| time.contains(&now));
        if is_now {
            self.strike();
        }
        is_now
    }

    fn millis(&self, below: u64) -> Duration {
        Duration::from_millis(lock(&self.chance).random_range(0..below))
    }

    /// How long a message is on its way; a tenth of that where nobody can skip the time.
    fn on_the_way(&self, millis_below: u64) -> Duration {
        let pause = self.millis(millis_below);
        let is_real = self.world.upgrade().is_some_and(|it| World(it).is_real());
        if is_real { pause / 10 } else { pause }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "who restarts a service cannot be one of its tasks"
    )]
    fn crash_and_restart(&self) {
        let Some(world) = self.world.upgrade().map(World) else {
            return;
        };
        let (service, pause) = (self.service, self.millis(500));
        tokio::spawn(async move {
            world.crash(service).await;
            tokio::time::sleep(pause).await;
            world.start(service).await;
        });
    }
}

#[async_trait]
impl Site for Place {
    async fn pass(&self, call: &'static str, side: Side) {
        if self.mischief.dawdle && !self.is_healed() {
            let pause = self.millis(4);
            tokio::time::sleep(pause).await;
        }
        if self.is_last(call, side) {
            self.strike();
            self.crash_and_restart();
            std::future::pending::<()>().await;
        }
    }

    fn doom(&self) -> Option<Doom> {
        let outage = self.is_now(self.mischief.outage.as_ref());
        (*lock(&self.doomed)).or(outage.then_some(Doom::Begin))
    }

    fn refuses(&self) -> bool {
        self.is_now(self.mischief.refuses.as_ref())
    }

    fn publishes(&self, batch: &[Message]) -> Vec<(Duration, Vec<Message>)> {
        let Mischief {
            duplicate, delay, ..
        } = &self.mischief;
        if (duplicate.is_empty() && delay.is_empty()) || self.is_healed() {
            return vec![(Duration::ZERO, batch.to_vec())];
        }
        let mut parts = Vec::new();
        for message in batch {
            let late = delay.contains(&message.kind.as_str());
            let pause = if late {
                self.strike();
                self.on_the_way(3_000)
            } else {
                Duration::ZERO
            };
            parts.push((pause, vec![message.clone()]));
            let times = duplicate
                .iter()
                .find(|(kind, _)| *kind == message.kind)
                .map_or(0, |(_, times)| *times);
            (0..times).for_each(|_| self.strike());
            parts.extend((0..times).map(|_| (self.on_the_way(1_000), vec![message.clone()])));
        }
        if !delay.is_empty() {
            parts.shuffle(&mut *lock(&self.chance));
        }
        parts
    }

    fn deliver(&self, batch: &mut Vec<Delivery>) {
        if self.is_healed() {
            return;
        }
        if self.mischief.shuffle {
            batch.shuffle(&mut *lock(&self.chance));
        }
        for delivery in batch {
            if let Some(data) = self.mischief.spoil.and_then(|spoil| spoil(delivery)) {
                self.strike();
                Arc::make_mut(&mut delivery.message).data = data;
            }
        }
    }
}
