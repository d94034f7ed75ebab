//! What a run asks of the shop: a plan that is the same whenever the seed is the same.
//!
//! The plan is made before the load, down to the microsecond and the quantity, because only then is it known how
//! much of each product is needed, that scarce products run out, and that each story is told.

mod catalogue;
mod real;
mod stories;

pub use catalogue::{DECLINED_CENTS, NewProduct, Role};
pub use real::{CDNOW, RealOrder, WorkloadError, parse, read, units_by_price};

use crate::history::Story;
use catalogue::Shelves;
use contract::{Cents, Line, ProductId, Quantity};
use rand::{SeedableRng, seq};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use stories::Teller;

/// Beside real orders, so many starts of a hundred tell another story.
const GENERATED_PERCENT: usize = 8;

/// What to plan.
#[derive(Debug, Clone)]
pub struct WorkloadConfig {
    /// Where chance comes from.
    pub seed: u64,
    /// Starts a second, on average.
    pub rate: f64,
    /// How long to go on; none: until every real order was sent once.
    pub duration: Option<Duration>,
    /// Real orders, sent in their order, from the beginning again when they are too few. May be empty.
    pub orders: Vec<RealOrder>,
    /// The stories to tell beside the real orders; empty: real orders only.
    pub stories: BTreeSet<Story>,
    /// How much of what the real orders need is in stock, in percent.
    pub stock_percent: u32,
}

/// What the run will ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// The products that must be there before the first start.
    pub catalogue: Vec<NewProduct>,
    /// What starts when, in the order of time.
    pub starts: Vec<Start>,
}

/// One client that comes at its time, whatever became of those before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// When, from the beginning of the load.
    pub at: Duration,
    /// The story that it tells.
    pub story: Story,
    /// What it does.
    pub script: Script,
}

/// What is ordered. Shared, because real orders are sent again and again.
pub type Items = Arc<[Item]>;

/// One line of a planned order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The product.
    pub wanted: Wanted,
    /// How many units of it.
    pub quantity: Quantity,
}

/// A product as the plan knows it; products of the catalogue get their ids when they are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The product at this place of [`Workload::catalogue`].
    Catalogue(usize),
    /// A product that does not exist.
    Nowhere(ProductId),
}

/// What a client does, step by step. All of its requests carry the same key.
#[derive(Debug, Clone, PartialEq)]
pub enum Script {
    /// Places an order.
    Once(Items),
    /// Places an order, and after its answer the same again.
    Retry(Items),
    /// Places the same order twice at once.
    DoubleClick(Items),
    /// Places an order, and after its answer another one under the same key.
    KeyReused(Items, Items),
    /// Sends a body that must be refused.
    Badly(Arc<str>),
    /// Places an order and hangs up so long after it was sent.
    HangUp(Items, Duration),
    /// Places an order, waits until it is settled, and reads it three times in the second after.
    Reread(Items),
}

impl Workload {
    /// How often each story is told.
    pub fn told(&self) -> BTreeMap<Story, usize> {
        let mut told = BTreeMap::new();
        for start in &self.starts {
            *told.entry(start.story).or_default() += 1;
        }
        told
    }
}

/// These lines with the products that were created, by their places in the catalogue. A product that was not is
/// left out.
pub fn lines(items: &[Item], products: &[ProductId]) -> Vec<Line> {
    let line = |item: &Item| {
        let product_id = match item.wanted {
            Wanted::Catalogue(at) => *products.get(at)?,
            Wanted::Nowhere(id) => id,
        };
        Some(Line {
            product_id,
            quantity: item.quantity,
        })
    };
    items.iter().filter_map(line).collect()
}

/// Plans the workload. The same config gives the same plan.
///
/// # Panics
/// When the rate is not a positive number.
pub fn plan(config: &WorkloadConfig) -> Workload {
    assert!(
        config.rate.is_finite() && config.rate > 0.0,
        "a rate is a positive number, got {}",
        config.rate
    );
    let mut teller = Teller::new(chance(config, 1), &config.stories);
    let musts = teller.musts();
    let mut arrivals = Arrivals::new(config);
    let times = match config.duration {
        Some(duration) => arrivals.until(duration),
        None => arrivals.take(starts_without_end(config.orders.len(), &musts)),
    };
    let slots = slots(config, times.len(), &musts, &mut teller);
    let shelves = Shelves::new(&config.orders, teller.is_silent());
    let mut real = RealOrders::new(&config.orders, &shelves);
    let starts = times.into_iter().zip(slots).map(|(at, slot)| {
        let (story, script) = match slot {
            Some(story) => (story, teller.tell(story, &shelves)),
            None => (Story::Real, Script::Once(real.next())),
        };
        Start { at, story, script }
    });
    let starts: Vec<Start> = starts.collect();
    Workload {
        catalogue: shelves.stocked(&starts, config.stock_percent),
        starts,
    }
}

/// A source of chance of its own for each part of the plan, so that one more draw here changes nothing there.
fn chance(config: &WorkloadConfig, stream: u64) -> ChaCha8Rng {
    let mut chance = ChaCha8Rng::seed_from_u64(config.seed);
    chance.set_stream(stream);
    chance
}

/// How many starts it takes until every real order was sent once.
fn starts_without_end(real: usize, musts: &[Story]) -> usize {
    if musts.is_empty() {
        return real;
    }
    let generated = (real * GENERATED_PERCENT).div_ceil(100 - GENERATED_PERCENT);
    real + generated.max(musts.len())
}

/// Which of `n` starts tell which story; none is a real order. Each story that must be told has its place in the
/// first half, if there is room.
fn slots(
    config: &WorkloadConfig,
    n: usize,
    musts: &[Story],
    teller: &mut Teller,
) -> Vec<Option<Story>> {
    let mut slots = vec![None; n];
    if teller.is_silent() {
        return if config.orders.is_empty() {
            Vec::new()
        } else {
            slots
        };
    }
    // One place is left for a real order.
    let room = n.saturating_sub(usize::from(!config.orders.is_empty()));
    let musts = &musts[..musts.len().min(room)];
    let early = if musts.len() <= n / 2 { n / 2 } else { room };
    for (k, story) in musts.iter().enumerate() {
        slots[k * early / musts.len()] = Some(*story);
    }
    let free: Vec<usize> = (0..n).filter(|slot| slots[*slot].is_none()).collect();
    let generated = if config.orders.is_empty() {
        n
    } else if config.duration.is_none() {
        n - config.orders.len().min(n)
    } else {
        (n * GENERATED_PERCENT).div_ceil(100).max(musts.len())
    };
    let more = generated.saturating_sub(musts.len()).min(free.len());
    let mut chosen = seq::index::sample(&mut chance(config, 2), free.len(), more).into_vec();
    chosen.sort_unstable();
    for index in chosen {
        slots[free[index]] = Some(teller.choose());
    }
    slots
}

/// The times of an open model: clients do not know of each other, so the gaps are exponential.
struct Arrivals {
    gaps: Exp<f64>,
    chance: ChaCha8Rng,
    seconds: f64,
}

impl Arrivals {
    fn new(config: &WorkloadConfig) -> Self {
        Self {
            gaps: Exp::new(config.rate).expect("a positive rate"),
            chance: chance(config, 0),
            seconds: 0.0,
        }
    }

    fn next(&mut self) -> Duration {
        self.seconds += self.gaps.sample(&mut self.chance);
        Duration::try_from_secs_f64(self.seconds).unwrap_or(Duration::MAX)
    }

    fn take(&mut self, n: usize) -> Vec<Duration> {
        (0..n).map(|_| self.next()).collect()
    }

    fn until(&mut self, end: Duration) -> Vec<Duration> {
        std::iter::from_fn(|| Some(self.next()))
            .take_while(|at| *at < end)
            .collect()
    }
}

/// The real orders, one after the other and round again.
struct RealOrders {
    orders: Vec<Items>,
    sent: usize,
}

impl RealOrders {
    fn new(orders: &[RealOrder], shelves: &Shelves) -> Self {
        let item = |(price, quantity): &(Cents, Quantity)| Item {
            wanted: shelves.of_price(*price),
            quantity: *quantity,
        };
        let items = |order: &RealOrder| order.lines.iter().map(item).collect();
        Self {
            orders: orders.iter().map(items).collect(),
            sent: 0,
        }
    }

    fn next(&mut self) -> Items {
        let order = &self.orders[self.sent % self.orders.len()];
        self.sent += 1;
        Arc::clone(order)
    }
}
