//! What a good run leaves, line by line, worked out on paper from a seed: no shop is asked.
//!
//! The same recipe gives the same lines for each source, so a run of a million orders can be told source by source
//! without being kept.
#![allow(
    dead_code,
    reason = "the tests and the bench each use their part of it"
)]

use crate::metered;
use crate::open::Open;
use crate::saga::Paper;
use contract::{Cents, Line, ProductId, Quantity};
use harness::evidence::{Evidence, Reader, Source};
use harness::faults::{FaultKind, FaultRecord};
use harness::history::{Operation, Story};
use harness::plan::Plan;
use harness::recording::{Recorder, RecordingError};
use harness::report::LoadFigures;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// When the run began.
pub const BEGAN_US: i64 = 1_700_000_000_000_000;

/// The prices at which a mistake shows.
pub const EDGES: [i64; 6] = [0, 1, 99, 100, 101, 1_000_000_000_000];

/// The stories that are an order each.
const STORIES: [Story; 14] = [
    Story::Happy,
    Story::SeveralLines,
    Story::UnderMinimum,
    Story::Declined,
    Story::OutOfStock,
    Story::UnknownProduct,
    Story::Retry,
    Story::DoubleClick,
    Story::KeyReused,
    Story::Reread,
    Story::PriceEdge,
    Story::Real,
    Story::InvalidBody,
    Story::Abandoned,
];

/// Which stories there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Each in turn.
    Every,
    /// As chance has it.
    Chance,
    /// As in a real run: most orders finish, some do not, few are sent twice.
    Run,
}

/// What to write down.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    pub seed: u64,
    pub orders: u64,
    pub mix: Mix,
}

/// What ids are of.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Order = 1,
    Product,
    Unknown,
    Payment,
    Message,
    Key,
}

/// Products by what is special about them; the regular ones follow.
pub const CHEAP: usize = 0;
pub const SCARCE: usize = 7;
pub const REGULAR: usize = 8;

/// Spreads a number over all 64 bits.
pub const fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Recipe {
    pub const fn every(seed: u64, orders: u64) -> Self {
        Self {
            seed,
            orders,
            mix: Mix::Every,
        }
    }

    pub fn id(&self, kind: Kind, n: u64) -> Uuid {
        let high = mixed(self.seed.wrapping_mul(31).wrapping_add(kind as u64));
        Uuid::from_u64_pair(mixed(high ^ n), mixed(n.wrapping_add(high)))
    }

    /// A number that belongs to order `n` and to nothing else.
    pub const fn chance(&self, n: u64, of: u64) -> u64 {
        mixed(mixed(self.seed ^ (n << 8)) ^ of)
    }

    pub fn story(&self, n: u64) -> Story {
        let chance = self.chance(n, 1);
        let all = STORIES.len() as u64;
        let at = |n: u64| STORIES[usize::try_from(n).unwrap_or(0)];
        match self.mix {
            Mix::Every => at(n % all),
            // The first order finishes, so that there always is something to look at.
            Mix::Chance => at(if n == 0 { 0 } else { chance % all }),
            Mix::Run => match chance % 1_000 {
                0..600 => Story::Happy,
                600..890 => Story::SeveralLines,
                other => at(2 + other % (all - 2)),
            },
        }
    }

    pub fn regular(&self) -> usize {
        if self.mix == Mix::Run { 100 } else { 4 }
    }

    pub fn products(&self) -> usize {
        REGULAR + self.regular()
    }

    /// Price and first stock of a product.
    pub fn product(index: usize) -> (i64, i64) {
        match index {
            CHEAP => (40, 1_000_000),
            SCARCE => (1_500, 5),
            REGULAR.. => (500 + 17 * i64::try_from(index).unwrap_or(0), 10_000_000),
            edge => (EDGES[edge - 1], 1_000_000),
        }
    }

    pub fn product_id(&self, index: usize) -> ProductId {
        ProductId(self.id(Kind::Product, index as u64))
    }

    /// What order `n` asks for: products and units.
    pub fn lines(&self, n: u64) -> Vec<(usize, i64)> {
        let pick =
            |of: u64| usize::try_from(self.chance(n, of) % self.regular() as u64).unwrap_or(0);
        let units = |of: u64| 1 + i64::try_from(self.chance(n, of) % 3).unwrap_or(0);
        match self.story(n) {
            Story::UnderMinimum => vec![(CHEAP, 1 + units(2) % 2)],
            Story::OutOfStock => vec![(SCARCE, 6)],
            Story::UnknownProduct => vec![(REGULAR, 1), (usize::MAX, 1)],
            Story::PriceEdge => vec![(1 + self.edge(n), 1)],
            Story::SeveralLines => {
                let first = pick(3);
                let second = (first + 1 + pick(4) % (self.regular() - 1)) % self.regular();
                vec![(REGULAR + first, units(5)), (REGULAR + second, units(6))]
            }
            _ => vec![(REGULAR + pick(3), units(5))],
        }
    }

    /// Which edge order `n` is at: each in turn, where stories are told in turn.
    fn edge(&self, n: u64) -> usize {
        let turn = if self.mix == Mix::Every {
            n / STORIES.len() as u64
        } else {
            self.chance(n, 3)
        };
        usize::try_from(turn % EDGES.len() as u64).unwrap_or(0)
    }

    pub fn line(&self, (product, units): (usize, i64)) -> Line {
        let product_id = match product {
            usize::MAX => ProductId(self.id(Kind::Unknown, 0)),
            known => self.product_id(known),
        };
        Line {
            product_id,
            quantity: Quantity::try_from(units).expect("few units"),
        }
    }

    pub fn key(&self, n: u64) -> String {
        self.id(Kind::Key, n).to_string()
    }

    /// From one order to the next: a thousand a second, or few enough to fill three windows.
    pub fn gap_us(&self) -> i64 {
        if self.mix == Mix::Run {
            1_000
        } else {
            20_000_000 / i64::try_from(self.orders.max(1)).unwrap_or(1)
        }
    }

    pub fn due_us(&self, n: u64) -> i64 {
        BEGAN_US + 1_000_000 + i64::try_from(n).unwrap_or(0) * self.gap_us()
    }

    pub fn faults(&self) -> Vec<FaultRecord> {
        let told = self.told();
        let of_story = [
            (FaultKind::UnderMinimum, Story::UnderMinimum),
            (FaultKind::Declines, Story::Declined),
            (FaultKind::OutOfStock, Story::OutOfStock),
        ];
        let kinds = of_story
            .into_iter()
            .filter(|(_, story)| told.contains(story))
            .map(|(kind, _)| kind);
        let kinds = kinds.chain([FaultKind::Duplicates, FaultKind::Crash]);
        let end_us = self.due_us(self.orders);
        (0..)
            .zip(kinds)
            .map(|(id, kind)| fault(id, kind, end_us))
            .collect()
    }

    pub fn told(&self) -> BTreeSet<Story> {
        let orders = (0..self.orders).map(|n| self.story(n));
        [Story::Catalogue].into_iter().chain(orders).collect()
    }

    pub fn plan(&self) -> Plan {
        Plan {
            run: format!("paper-{}", self.seed),
            seed: self.seed,
            replay: "none".to_owned(),
            rate: f64::from(1_000_000 / u32::try_from(self.gap_us()).unwrap_or(1_000_000)),
            starts: self.orders,
            stories: self.told(),
            faults: self
                .faults()
                .iter()
                .map(|fault| fault.kind.as_str().to_owned())
                .collect(),
            began_us: BEGAN_US,
            load_from_us: self.due_us(0),
            load_to_us: self.due_us(self.orders),
            rest_us: self.due_us(self.orders) + 60_000_000,
            settle_bound_us: 30_000_000,
            attempts_max: 3,
            attempts_us: 10_000_000,
            traced: true,
            metered: true,
            export_us: 500_000,
            load: LoadFigures {
                offered: self.orders,
                accepted: self.orders,
                ..LoadFigures::default()
            },
            ..Plan::default()
        }
    }

    /// Tells a source, line by line.
    pub fn tell(&self, source: Source, line: &mut dyn FnMut(&str)) {
        match source {
            Source::Faults => self.faults().iter().for_each(|fault| line(&json(fault))),
            Source::DeadLetters => {}
            Source::Queues => {
                for queue in ["orders", "products", "payments"] {
                    line(&format!(
                        r#"{{"queue":"{queue}","ready":0,"unacked":0,"retrying":0,"dead":0,"unpublished":0}}"#
                    ));
                }
            }
            Source::History => {
                let mut did = |operation: Operation| line(&json(&operation));
                for index in 0..self.products() {
                    did(self.creation(index));
                }
                for n in 0..self.orders {
                    self.client(n).into_iter().for_each(&mut did);
                }
            }
            Source::Metrics => metered::metrics(self, line),
            Source::Shapes => metered::shapes(line),
            _ => Paper::new(self, source, line).write(),
        }
    }

    /// All of it as evidence, by way of its lines.
    pub fn evidence(&self) -> Evidence {
        let mut reader = Reader::default();
        reader.evidence().plan = self.plan();
        // As a recording does, whose list of files tells how long each is.
        for source in Source::ALL.into_iter().filter(|_| self.mix == Mix::Run) {
            let mut lines = 0;
            self.tell(source, &mut |_| lines += 1);
            reader.reserve(source, lines);
        }
        for source in Source::ALL {
            let mut number = 0;
            self.tell(source, &mut |line| {
                number += 1;
                reader.read_line(source, number, line);
            });
        }
        reader.finish()
    }

    /// All of it as a recording below `root`.
    pub fn record(&self, root: &Path) -> Result<PathBuf, RecordingError> {
        let mut recorder = Recorder::create(root, &self.plan().run)?;
        for source in Source::ALL {
            let mut file = recorder.file(source)?;
            let mut outcome = Ok(());
            self.tell(source, &mut |line| {
                if outcome.is_ok() {
                    outcome = file.line(line.as_bytes());
                }
            });
            outcome?;
            recorder.keep(file)?;
        }
        recorder.finish(&self.plan())
    }

    /// What becomes of order `n` once it is accepted; none if it never is.
    pub fn open(&self, n: u64) -> Option<Open> {
        let story = self.story(n);
        (story != Story::InvalidBody).then(|| Open::new(self, n, story))
    }
}

fn fault(id: u32, kind: FaultKind, end_us: i64) -> FaultRecord {
    // Both windows lie at the end; what is part of the workload is never healed.
    let is_healed = kind.has_window();
    let at_us = if is_healed { end_us - 500_000 } else { end_us };
    FaultRecord {
        id: format!("{kind}-{id}"),
        kind,
        service: is_healed.then(|| "products".to_owned()),
        asked_us: at_us,
        fired_us: Some(at_us),
        healed_us: is_healed.then_some(at_us + 100_000),
        recovered_us: is_healed.then_some(at_us + 200_000),
        fired: 1,
        observed: 1,
        how: "seen".to_owned(),
    }
}

pub fn cents(cents: i64) -> Cents {
    Cents::try_from(cents).expect("cents in range")
}

pub fn json(row: &impl serde::Serialize) -> String {
    serde_json::to_string(row).expect("rows are JSON")
}
