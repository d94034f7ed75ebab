//! What belongs to this run in a shop that others use too, or have used before.
//!
//! An order is ours by its key, a product by the answer that a client of ours got; everything else by the order or
//! product that it is about. What is about neither is too old to be ours, or is judged.

use super::Source;
use contract::ProductId;
use hashbrown::HashSet;
use serde::Deserialize;
use std::borrow::Cow;
use uuid::Uuid;

/// Tells the lines of this run from others. The table of orders comes before everything that is about orders.
#[derive(Debug)]
pub struct Ours {
    /// Begins every key of this run.
    run: String,
    /// When it began, milliseconds since 1970; ids begin with a time.
    since_ms: u64,
    products: HashSet<Uuid>,
    /// Orders and messages of this time that are of others.
    foreign: HashSet<Uuid>,
}

/// What says whose a line is.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Marks<'a> {
    id: Option<Uuid>,
    order_id: Option<Uuid>,
    message_id: Option<Uuid>,
    subject: Option<Uuid>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    idempotency_key: Option<Cow<'a, str>>,
}

impl Ours {
    /// What belongs to the run with this name, which began then and created these products.
    pub fn new(run: &str, began_us: i64, products: &[ProductId]) -> Self {
        Self {
            run: format!("{run}-"),
            since_ms: u64::try_from(began_us / 1_000).unwrap_or(0),
            products: products.iter().map(|id| id.0).collect(),
            foreign: HashSet::new(),
        }
    }

    /// Whether a line of a source is of this run. One that cannot be read is: whoever reads it will say so.
    pub fn is_ours(&mut self, source: Source, line: &str) -> bool {
        let Ok(marks) = serde_json::from_str::<Marks<'_>>(line) else {
            return true;
        };
        let Marks { id, order_id, .. } = marks;
        match source {
            Source::History
            | Source::Faults
            | Source::Queues
            | Source::DeadLetters
            | Source::Metrics
            | Source::Spans
            | Source::Shapes => true,
            Source::Orders => match (&marks.idempotency_key, id) {
                (Some(key), _) if key.starts_with(&self.run) => true,
                (Some(_), Some(id)) => {
                    self.foreign.insert(id);
                    false
                }
                (_, id) => id.is_none_or(|id| self.is_new(id)),
            },
            Source::Products => id.is_none_or(|id| self.products.contains(&id)),
            Source::Reservations | Source::Payments | Source::Charges => {
                order_id.is_none_or(|id| self.is_new(id))
            }
            Source::LogOrders | Source::LogProducts | Source::LogPayments | Source::Tap => {
                let ours = marks.subject.is_none_or(|subject| {
                    if marks.kind.starts_with("product.") {
                        self.products.contains(&subject)
                    } else {
                        self.is_new(subject)
                    }
                });
                if let Some(id) = id.filter(|id| !ours && self.is_recent(*id)) {
                    self.foreign.insert(id);
                }
                ours
            }
            Source::InboxOrders | Source::InboxProducts | Source::InboxPayments => {
                marks.message_id.is_none_or(|id| self.is_new(id))
            }
        }
    }

    /// Whether it was made since the run began, and by nobody who is known to be somebody else.
    fn is_new(&self, id: Uuid) -> bool {
        self.is_recent(id) && !self.foreign.contains(&id)
    }

    /// Whether it was made since the run began.
    fn is_recent(&self, id: Uuid) -> bool {
        let made_ms = u64::from_be_bytes(std::array::from_fn(|n| match n {
            0 | 1 => 0,
            n => id.as_bytes()[n - 2],
        }));
        made_ms >= self.since_ms
    }
}
