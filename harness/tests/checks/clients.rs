//! The clients' side of a good run on paper: what they ask for and what they see.

use crate::recorded::{BEGAN_US, Kind, Recipe, cents};
use contract::http::OrderStatus;
use contract::{OrderId, Quantity};
use harness::history::{Action, Operation, Outcome, Story};

/// The database did not work, so nothing was done.
const OUTAGE: Outcome = Outcome::Refused { status: 503 };

/// Later repeats and reads of an order begin with its first request.
struct Client {
    first: Operation,
    order_id: OrderId,
}

impl Client {
    fn later(&self, by_us: i64, action: Action, outcome: Outcome) -> Operation {
        Operation {
            action,
            outcome,
            start_us: self.first.start_us + by_us,
            end_us: self.first.end_us + by_us,
            ..self.first.clone()
        }
    }

    fn again(&self, by_us: i64) -> Operation {
        self.later(by_us, self.first.action.clone(), self.first.outcome.clone())
    }

    /// Sends it and goes; somebody else meets an outage, and there is no order under that key.
    fn hangs_up(&self) -> Vec<Operation> {
        let hung_up = Outcome::Unknown {
            why: "hung up".to_owned(),
        };
        let refused = self.later(0, self.first.action.clone(), OUTAGE);
        vec![
            self.later(0, self.first.action.clone(), hung_up),
            Operation {
                key: refused.key.map(|key| key + "-refused"),
                ..refused
            },
        ]
    }

    fn read(&self, by_us: i64, status: OrderStatus, version: i64) -> Operation {
        let order_id = self.order_id;
        let seen = Outcome::Ok {
            order_id,
            status,
            version,
        };
        Operation {
            key: None,
            ..self.later(by_us, Action::Read { order_id }, seen)
        }
    }
}

impl Recipe {
    /// Creates a product.
    pub fn creation(&self, index: usize) -> Operation {
        let (price, stock) = Self::product(index);
        Operation {
            story: Story::Catalogue,
            action: Action::CreateProduct {
                price_cents: cents(price),
                stock,
            },
            key: None,
            due_us: BEGAN_US,
            start_us: BEGAN_US,
            end_us: BEGAN_US + 1,
            outcome: Outcome::Created {
                product_id: self.product_id(index),
            },
        }
    }

    /// What the client of order `n` does and sees.
    pub fn client(&self, n: u64) -> Vec<Operation> {
        let (story, due_us) = (self.story(n), self.due_us(n));
        let order_id = OrderId(self.id(Kind::Order, n));
        let first = Operation {
            story,
            action: Action::Place {
                items: self
                    .lines(n)
                    .into_iter()
                    .map(|line| self.line(line))
                    .collect(),
            },
            key: Some(self.key(n)),
            due_us,
            start_us: due_us + 100,
            end_us: due_us + 1_500,
            outcome: Outcome::Ok {
                order_id,
                status: OrderStatus::Created,
                version: 1,
            },
        };
        let client = Client {
            first: first.clone(),
            order_id,
        };
        match story {
            Story::InvalidBody => {
                let body = Action::PlaceBadly {
                    body: "{".to_owned(),
                };
                vec![client.later(0, body, Outcome::Refused { status: 400 })]
            }
            Story::Abandoned => client.hangs_up(),
            Story::Retry => vec![first, client.again(20_000)],
            // Asked once more in an outage, which says nothing of what was done before.
            Story::DoubleClick => vec![
                first.clone(),
                client.again(0),
                client.later(20_000, first.action, OUTAGE),
            ],
            Story::KeyReused => {
                let line = self.lines(n).into_iter().map(|line| self.line(line)).next();
                let mut other = line.expect("an order has a line");
                other.quantity = Quantity::try_from(9).expect("few units");
                let other = Action::Place { items: vec![other] };
                vec![
                    first,
                    client.later(20_000, other, Outcome::Refused { status: 422 }),
                ]
            }
            Story::Reread => vec![
                first,
                client.read(2_000, OrderStatus::Created, 1),
                client.read(10_000, OrderStatus::Finished, 2),
                client.read(20_000, OrderStatus::Finished, 2),
            ],
            _ => vec![first],
        }
    }
}
