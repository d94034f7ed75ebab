//! An order on its way through the shop.

use crate::recorded::{Kind, Recipe};
use contract::{MINIMUM_CENTS, OrderId, PaymentId, Reason};
use harness::history::Story;
use uuid::Uuid;

/// An order on its way.
#[derive(Debug)]
pub struct Open {
    pub n: u64,
    pub id: OrderId,
    pub payment: PaymentId,
    pub lines: Vec<(usize, i64)>,
    pub amount: i64,
    pub due_us: i64,
    /// Why nothing was reserved.
    pub refused: Option<Reason>,
    /// Why it was not paid.
    pub unpaid: Option<Reason>,
    pub cause: Option<Uuid>,
}

impl Open {
    pub fn new(recipe: &Recipe, n: u64, story: Story) -> Self {
        let lines = recipe.lines(n);
        let price = |line: &(usize, i64)| {
            if line.0 == usize::MAX {
                0
            } else {
                Recipe::product(line.0).0 * line.1
            }
        };
        let amount = lines.iter().map(price).sum();
        let refused = match story {
            Story::OutOfStock => Some(Reason::OutOfStock),
            Story::UnknownProduct => Some(Reason::UnknownProduct),
            _ => None,
        };
        let unpaid = match story {
            _ if amount < MINIMUM_CENTS => Some(Reason::UnderMinimum),
            Story::Declined => Some(Reason::Declined),
            _ => None,
        };
        Self {
            n,
            id: OrderId(recipe.id(Kind::Order, n)),
            payment: PaymentId(recipe.id(Kind::Payment, n)),
            lines,
            amount,
            due_us: recipe.due_us(n),
            refused,
            unpaid: unpaid.filter(|_| refused.is_none()),
            cause: None,
        }
    }
}
