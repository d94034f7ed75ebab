//! M1 to M6: what services count is what happened.
//!
//! Counters begin anew with each life of a service, so what counts is the last that each life told, added up. Of a
//! life that was killed nobody knows what it counted at the end: whatever happened between its last words and the next
//! life may be missing, and nothing else may.

mod buckets;
mod counters;
mod examples;
mod gauges;
mod requests;
mod series;
mod timings;

pub(super) use counters::judge as counters;
pub(super) use examples::judge as examples;
pub(super) use gauges::judge as gauges;
pub(super) use requests::judge as requests;
pub(super) use series::judge as series;
pub(super) use timings::judge as timings;

use crate::evidence::{Scrape, View};
use crate::telemetry::whole;
use std::collections::BTreeMap;

/// A time is noted before the commit, and what is committed is counted after it.
const SLACK_US: i64 = 5_000_000;

/// The last that a life of a replica told.
struct Life<'e> {
    last: &'e Scrape,
    /// When the next life of this replica began, if there was one.
    next_us: Option<i64>,
}

/// All lives of a service's replicas.
struct Lives<'e> {
    lives: Vec<Life<'e>>,
    /// In these times something may have happened that no life told.
    untold: Vec<(i64, i64)>,
}

impl<'e> Lives<'e> {
    fn of(view: &View<'e>, service: &str) -> Self {
        let mut replicas: BTreeMap<u32, BTreeMap<i64, &'e Scrape>> = BTreeMap::new();
        let scrapes = view.evidence().scrapes.iter();
        for scrape in scrapes.filter(|scrape| scrape.service == service) {
            let lives = replicas.entry(scrape.replica).or_default();
            let last = lives.entry(scrape.life_us).or_insert(scrape);
            if last.at_us <= scrape.at_us {
                *last = scrape;
            }
        }
        let mut all = Self {
            lives: Vec::new(),
            untold: Vec::new(),
        };
        for lives in replicas.values() {
            let begins: Vec<i64> = lives.keys().copied().collect();
            // Whoever lived before the first life that we know of was not asked at all.
            all.untold
                .extend(begins.first().map(|first| (view.plan.began_us, *first - 1)));
            for (nth, last) in lives.values().enumerate() {
                let next_us = begins.get(nth + 1).copied();
                if let Some(next) = next_us {
                    all.untold.push((last.at_us - SLACK_US, next + SLACK_US));
                }
                all.lives.push(Life { last, next_us });
            }
        }
        all
    }

    /// Whether it died, as far as one can see.
    fn died(&self) -> bool {
        self.lives.iter().any(|life| life.next_us.is_some())
    }

    /// The lives that go on, if what they count can be told apart from what those before them did: nobody died, or
    /// there is one replica. With the time from which on they count.
    fn last(&self) -> Option<(Vec<&'e Scrape>, i64)> {
        let on: Vec<&'e Scrape> = self
            .lives
            .iter()
            .filter(|life| life.next_us.is_none())
            .map(|life| life.last)
            .collect();
        let begun = on.iter().map(|scrape| scrape.life_us).max()?;
        match (self.died(), &on[..]) {
            (false, _) => Some((on, i64::MIN)),
            (true, [_]) => Some((on, begun)),
            (true, _) => None,
        }
    }

    /// What all lives have counted together.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let lives = self.lives.iter();
        lives.map(|life| whole(life.last.sum(name, labels))).sum()
    }

    /// Whether something at this time may not have been told.
    fn is_untold(&self, at_us: i64) -> bool {
        let mut untold = self.untold.iter();
        untold.any(|(from, to)| (*from..=*to).contains(&at_us))
    }
}

/// What is known of a number that a service counts.
struct Expected {
    /// So many there are.
    there: u64,
    /// So many of them may not have been counted.
    doubtful: u64,
}

impl Expected {
    /// Counts things that happened at these times.
    fn of(lives: &Lives<'_>, at_us: impl Iterator<Item = i64>) -> Self {
        let (mut there, mut doubtful) = (0, 0);
        for at_us in at_us {
            there += 1;
            doubtful += u64::from(lives.is_untold(at_us));
        }
        Self { there, doubtful }
    }

    /// What is wrong with `counted`, if `unknown` more may be missing.
    fn differs(&self, counted: u64, unknown: u64) -> Option<String> {
        let there = self.there;
        let least = there.saturating_sub(self.doubtful + unknown);
        if (least..=there).contains(&counted) {
            return None;
        }
        Some(if least == there {
            format!("is {counted}, and there are {there}")
        } else {
            format!("is {counted}, and there are {least} to {there}")
        })
    }
}
