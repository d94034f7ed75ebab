//! Faults: what was asked for, what fired, what was seen of it.

use serde::{Deserialize, Serialize};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Payments under one dollar.
    UnderMinimum,
    /// Payments that the provider declines.
    Declines,
    /// The provider loses requests and answers.
    ProviderTimeouts,
    /// The provider takes long.
    ProviderSlow,
    /// Products that run out.
    OutOfStock,
    /// Messages that are delivered twice.
    Duplicates,
    /// Messages that are delivered late.
    Delays,
    /// Messages that are delivered in another order.
    Reorder,
    /// A service that is crashed and started again.
    Crash,
    /// The whole shop, killed and started again.
    Kill,
    /// A database that fails now and then.
    StoreErrors,
    /// A database that takes long.
    StoreSlow,
}

impl FaultKind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        "todo"
    }
}

/// What became of one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultRecord {
    /// Its number.
    pub id: u32,
    /// What kind.
    pub kind: FaultKind,
    /// At which service.
    pub service: Option<String>,
    /// When it was to begin.
    pub asked_us: i64,
    /// When it began.
    pub fired_us: Option<i64>,
    /// When it ended.
    pub healed_us: Option<i64>,
    /// When all was well again.
    pub recovered_us: Option<i64>,
    /// How often it did something.
    pub fired: u64,
    /// How often that was seen.
    pub observed: u64,
    /// What was seen.
    pub how: String,
}
