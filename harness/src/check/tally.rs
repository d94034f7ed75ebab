//! What a check counts while it looks.

use crate::evidence::{OrderNo, ProductNo, View};
use contract::{OrderId, ProductId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most violations that a finding quotes.
const SAMPLE: usize = 8;

/// What a violation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum About {
    /// An order.
    Order(OrderId),
    /// A product.
    Product(ProductId),
    /// The run as a whole.
    Run,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// What it is about.
    pub about: About,
    /// One sentence.
    pub what: String,
}

impl Violation {
    /// A violation about an order.
    pub fn order(view: &View<'_>, order: OrderNo, what: impl Into<String>) -> Self {
        let about = order
            .some()
            .map_or(About::Run, |order| About::Order(view.order_id(order)));
        Self {
            about,
            what: what.into(),
        }
    }

    /// A violation about a product.
    pub fn product(view: &View<'_>, product: ProductNo, what: impl Into<String>) -> Self {
        Self {
            about: About::Product(view.product_id(product)),
            what: what.into(),
        }
    }

    /// A violation about the run.
    pub fn run(what: impl Into<String>) -> Self {
        Self {
            about: About::Run,
            what: what.into(),
        }
    }
}

/// Counts items and keeps some violations: the first ones, the worst and the last.
#[derive(Debug, Default)]
pub struct Tally {
    pub(super) evaluated: usize,
    pub(super) violations: usize,
    pub(super) sample: Vec<Violation>,
    pub(super) worst: Option<(u64, Violation)>,
    pub(super) last: Option<Violation>,
    pub(super) notes: Vec<String>,
}

impl Tally {
    /// Looks at one item; `violation` is what is wrong with it, if anything.
    pub(super) fn look(&mut self, violation: Option<Violation>) {
        self.weigh(violation.map(|violation| (0, violation)));
    }

    /// Looks at one item; the heaviest violation is the worst.
    pub(super) fn weigh(&mut self, violation: Option<(u64, Violation)>) {
        self.evaluated += 1;
        let Some((weight, violation)) = violation else {
            return;
        };
        self.violations += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(violation.clone());
        }
        if weight > self.worst.as_ref().map_or(0, |(most, _)| *most) {
            self.worst = Some((weight, violation.clone()));
        }
        self.last = Some(violation);
    }

    /// Adds something worth knowing that is no violation.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}
