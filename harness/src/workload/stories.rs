//! The stories beside the real orders: how often each is told, and what it asks for. One table.

use super::catalogue::Shelves;
use super::{Item, Items, Script, Wanted};
use crate::history::Story;
use contract::{LINES, ProductId, Quantity};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A story that can be told: its weight among the others, how often it is told at least, and how.
type Told = (Story, u32, usize, fn(&mut Draw<'_>) -> Script);

const TABLE: [Told; 13] = [
    (Story::Happy, 20, 1, |d| Script::Once(d.one())),
    (Story::UnderMinimum, 8, 1, |d| {
        Script::Once([d.shelves.under_minimum(d.chance)].into())
    }),
    // Each of the six edges once.
    (Story::PriceEdge, 8, 6, |d| {
        Script::Once([d.shelves.edge(d.turn)].into())
    }),
    (Story::Declined, 8, 1, |d| {
        Script::Once([d.shelves.declined()].into())
    }),
    (Story::OutOfStock, 10, 1, |d| {
        let scarce = d.shelves.scarce(d.chance);
        Script::Once(d.perhaps_beside(scarce))
    }),
    (Story::UnknownProduct, 5, 1, |d| {
        let nowhere = d.nowhere();
        Script::Once(d.perhaps_beside(nowhere))
    }),
    (Story::SeveralLines, 15, 1, |d| Script::Once(d.several())),
    (Story::Retry, 6, 1, |d| Script::Retry(d.several())),
    (Story::DoubleClick, 6, 1, |d| {
        Script::DoubleClick(d.several())
    }),
    (Story::KeyReused, 4, 1, |d| {
        let (first, other) = (d.one(), d.several());
        Script::KeyReused(first, other)
    }),
    (Story::InvalidBody, 5, 1, |d| {
        Script::Badly(bad_body(d.turn).into())
    }),
    (Story::Abandoned, 5, 1, |d| {
        // From before the shop has read it to after it has answered.
        let after = Duration::from_micros(d.chance.random_range(0..5_000));
        Script::HangUp(d.one(), after)
    }),
    (Story::Reread, 5, 1, |d| Script::Reread(d.one())),
];

/// What a telling draws from: the products, chance, and how often this story was told before.
struct Draw<'a> {
    shelves: &'a Shelves,
    chance: &'a mut ChaCha8Rng,
    turn: usize,
}

impl Draw<'_> {
    fn one(&mut self) -> Items {
        [self.shelves.ordinary(self.chance)].into()
    }

    fn several(&mut self) -> Items {
        let n = self.chance.random_range(2..=10);
        self.shelves.several(self.chance, n).into()
    }

    /// `item` alone, or with a line that could be had: it must not be taken from the stock then.
    fn perhaps_beside(&mut self, item: Item) -> Items {
        let mut items = vec![item];
        if self.chance.random() {
            items.insert(0, self.shelves.ordinary(self.chance));
        }
        items.into()
    }

    fn nowhere(&mut self) -> Item {
        let id = uuid::Builder::from_custom_bytes(self.chance.random()).into_uuid();
        Item {
            wanted: Wanted::Nowhere(ProductId(id)),
            quantity: Quantity::try_from(1).expect("one is a quantity"),
        }
    }
}

/// Tells stories out of one source of chance.
pub(super) struct Teller {
    chance: ChaCha8Rng,
    table: Vec<Told>,
    turns: BTreeMap<Story, usize>,
}

impl Teller {
    /// Tells those of the table that are in `stories`.
    pub(super) fn new(chance: ChaCha8Rng, stories: &BTreeSet<Story>) -> Self {
        let planned = |told: &Told| stories.contains(&told.0);
        Self {
            chance,
            table: TABLE.into_iter().filter(planned).collect(),
            turns: BTreeMap::new(),
        }
    }

    /// Whether it has no story to tell.
    pub(super) fn is_silent(&self) -> bool {
        self.table.is_empty()
    }

    /// What must be told in any case: first each story once, then those that need more. In a run too short for
    /// all, the end is cut off.
    pub(super) fn musts(&mut self) -> Vec<Story> {
        let mut musts: Vec<Story> = self.table.iter().map(|told| told.0).collect();
        musts.shuffle(&mut self.chance);
        for (story, _, at_least, _) in &self.table {
            musts.extend(std::iter::repeat_n(*story, at_least - 1));
        }
        musts
    }

    /// A story by its weight.
    pub(super) fn choose(&mut self) -> Story {
        let chosen = self.table.choose_weighted(&mut self.chance, |told| told.1);
        chosen.expect("stories with a weight").0
    }

    /// Tells `story` once more.
    pub(super) fn tell(&mut self, story: Story, shelves: &Shelves) -> Script {
        let turn = self.turns.entry(story).or_default();
        let told = self.table.iter().find(|told| told.0 == story);
        let script = told.expect("a story of the table").3;
        let script = script(&mut Draw {
            shelves,
            chance: &mut self.chance,
            turn: *turn,
        });
        *turn += 1;
        script
    }
}

/// Bodies that must be refused, all of them in turn.
fn bad_body(turn: usize) -> String {
    const ID: &str = "01890000-0000-7000-8000-000000000000";
    let line = |quantity: &str| format!(r#"{{"productId":"{ID}","quantity":{quantity}}}"#);
    let items = |lines: &str| format!(r#"{{"items":[{lines}]}}"#);
    let too_many: Vec<String> = (0..=*LINES.end())
        .map(|n| line("1").replace("000000000000", &format!("{n:012}")))
        .collect();
    let bodies = [
        items(""),
        "{}".to_owned(),
        String::new(),
        "null".to_owned(),
        items(&line("-1")),
        items(&line("0")),
        items(&line("1001")),
        items(&line("1.5")),
        items(&line("\"1\"")),
        items(&line("99999999999999999999")),
        items(&format!("{},{}", line("1"), line("2"))),
        items(&too_many.join(",")),
        items(&line("1")).replace(ID, "not-an-id"),
        items(&line("1")).replace('}', r#","priceCents":1}"#),
        items(&line("1")).replace(r#""quantity":1"#, r#""quantity":1,"quantity":1"#),
        items(&line("1")).replace(']', ""),
        format!("{} {{}}", items(&line("1"))),
    ];
    bodies[turn % bodies.len()].clone()
}
