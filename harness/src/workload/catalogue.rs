//! The products that a workload needs, with as much stock as its plan asks for.
//!
//! Which product an order is of decides how it ends: an edge product is too cheap to be paid, a scarce one runs
//! out, one has a price that the provider declines.

use super::{Item, RealOrder, Script, Start, Wanted, real};
use crate::history::PRICE_EDGES;
use contract::http::STOCK_MAX;
use contract::{Cents, Quantity};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::ops::Range;

/// The provider is to decline payments of exactly this amount. No generated order comes to it but those that are
/// meant to, and none of the real orders that come with crashcart. An order of your own that does is declined too.
pub const DECLINED_CENTS: i64 = 6_666_666;

const ORDINARY: usize = 20;
const SCARCE: usize = 3;
/// More than any plan can ask for.
const PLENTY: i64 = 100_000_000;

/// What a product is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Real orders ask for it; there is as much as the run is told to have.
    Real,
    /// There is enough of it for everybody.
    Ordinary,
    /// Its price is at an edge.
    Edge,
    /// There is half of what the plan asks for.
    Scarce,
    /// One unit costs what the provider declines.
    Declined,
}

/// A product to create before the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProduct {
    /// What it is called.
    pub name: String,
    /// The price of one unit.
    pub price_cents: Cents,
    /// How many units there are to begin with.
    pub stock: i64,
    /// What it is there for.
    pub role: Role,
}

/// The catalogue while it is being planned: where the products of each role stand.
pub(super) struct Shelves {
    products: Vec<NewProduct>,
    by_price: BTreeMap<Cents, usize>,
    ordinary: Range<usize>,
    edge: Range<usize>,
    scarce: Range<usize>,
    declined: usize,
}

impl Shelves {
    /// One product for each price of the real orders; and, unless no story is told, those for the stories.
    pub(super) fn new(orders: &[RealOrder], only_real: bool) -> Self {
        let mut products = Vec::new();
        let mut put = |prices: &mut dyn Iterator<Item = i64>, role: Role| {
            let from = products.len();
            products.extend(prices.map(|price| product(price, role)));
            from..products.len()
        };
        let prices: Vec<Cents> = real::units_by_price(orders).into_keys().collect();
        let real = put(&mut prices.iter().map(|price| price.get()), Role::Real);
        let n = |wanted: usize| if only_real { 0 } else { wanted };
        let ordinary = put(&mut (499..).step_by(250).take(n(ORDINARY)), Role::Ordinary);
        let edge = put(
            &mut PRICE_EDGES.into_iter().take(n(PRICE_EDGES.len())),
            Role::Edge,
        );
        let scarce = put(&mut (1_999..).step_by(1_000).take(n(SCARCE)), Role::Scarce);
        let declined = put(
            &mut std::iter::once(DECLINED_CENTS).take(n(1)),
            Role::Declined,
        );
        Self {
            by_price: prices.into_iter().zip(real).collect(),
            products,
            ordinary,
            edge,
            scarce,
            declined: declined.start,
        }
    }

    /// The product of real orders with this price.
    pub(super) fn of_price(&self, price: Cents) -> Wanted {
        Wanted::Catalogue(self.by_price[&price])
    }

    /// One to three units of an ordinary product.
    pub(super) fn ordinary(&self, chance: &mut ChaCha8Rng) -> Item {
        item(
            chance.random_range(self.ordinary.clone()),
            chance.random_range(1..=3),
        )
    }

    /// `n` lines of ordinary products, each another one.
    pub(super) fn several(&self, chance: &mut ChaCha8Rng, n: usize) -> Vec<Item> {
        let places = rand::seq::index::sample(chance, self.ordinary.len(), n);
        let line = |place| item(self.ordinary.start + place, chance.random_range(1..=3));
        places.into_iter().map(line).collect()
    }

    /// Up to five units of a scarce product.
    pub(super) fn scarce(&self, chance: &mut ChaCha8Rng) -> Item {
        item(
            chance.random_range(self.scarce.clone()),
            chance.random_range(1..=5),
        )
    }

    /// One unit at the edge; all edges in turn.
    pub(super) fn edge(&self, turn: usize) -> Item {
        item(self.edge.start + turn % self.edge.len(), 1)
    }

    /// Units that come to less than a dollar together: of a product for nothing, for one cent, or for 99.
    pub(super) fn under_minimum(&self, chance: &mut ChaCha8Rng) -> Item {
        let (place, units_max) = [(0, 1_000), (1, 99), (2, 1)][chance.random_range(0..3)];
        item(self.edge.start + place, chance.random_range(1..=units_max))
    }

    /// One unit of what the provider declines.
    pub(super) fn declined(&self) -> Item {
        item(self.declined, 1)
    }

    /// The catalogue with its stock, now that it is known what `starts` ask for.
    pub(super) fn stocked(self, starts: &[Start], real_percent: u32) -> Vec<NewProduct> {
        let mut asked = vec![0_i64; self.products.len()];
        for item in starts
            .iter()
            .flat_map(|start| start.script.orders())
            .flatten()
        {
            if let Wanted::Catalogue(at) = item.wanted {
                asked[at] += item.quantity.get();
            }
        }
        let stock = |(mut product, asked): (NewProduct, i64)| {
            product.stock = match product.role {
                Role::Real => asked.saturating_mul(i64::from(real_percent)) / 100,
                Role::Scarce => asked / 2,
                Role::Ordinary | Role::Edge | Role::Declined => PLENTY,
            };
            product.stock = product.stock.min(STOCK_MAX);
            product
        };
        self.products.into_iter().zip(asked).map(stock).collect()
    }
}

impl Script {
    /// The orders that may come of it, each once.
    pub(super) fn orders(&self) -> impl Iterator<Item = &[Item]> {
        let items = match self {
            Self::Once(items)
            | Self::Retry(items)
            | Self::DoubleClick(items)
            | Self::KeyReused(items, _)
            | Self::HangUp(items, _)
            | Self::Reread(items) => Some(&items[..]),
            Self::Badly(_) => None,
        };
        items.into_iter()
    }
}

fn product(price: i64, role: Role) -> NewProduct {
    let what = match role {
        Role::Real => "record",
        Role::Ordinary => "book",
        Role::Edge => "curiosity",
        Role::Scarce => "first edition",
        Role::Declined => "piano",
    };
    NewProduct {
        name: format!("a {what} for {price} cents"),
        price_cents: Cents::try_from(price).expect("a price of ours"),
        stock: 0,
        role,
    }
}

fn item(place: usize, quantity: i64) -> Item {
    Item {
        wanted: Wanted::Catalogue(place),
        quantity: Quantity::try_from(quantity).expect("a quantity of ours"),
    }
}
