//! What a step can fail with. The question that matters is whether it certainly did not happen.

use crate::{broker::BrokerError, http::Problem, store::StoreError};
use contract::Malformed;

/// Why a step did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for something that cannot be done. Nothing was changed.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// A message cannot be understood; trying again cannot help.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A message asks for a step that the state does not allow.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// Something cannot be written as JSON.
    #[error(transparent)]
    Encoding(#[from] serde_json::Error),
    /// The database did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker did not do its part.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The outside could not be asked, or gave no answer that can be used: it may have done what it was asked.
    #[error("the outside did not answer: {0}")]
    Outside(String),
    /// The outside did not answer in time: it may have done what it was asked.
    #[error("no answer in time")]
    NoAnswer,
    /// The service stopped while the step was on its way: it may have happened.
    #[error("the service stopped before the outcome was known")]
    Stopped,
}

/// The result of a step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A transition that does not exist. It is a value, so that "impossible" can be counted, shown and tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{entity} that is {state} cannot take {event}")]
pub struct Illegal {
    /// What kind of thing: `an order`.
    pub entity: &'static str,
    /// Where it stands: `finished`, or `not there`.
    pub state: &'static str,
    /// The type of the event that does not fit.
    pub event: &'static str,
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

impl Error {
    /// Whether the same step may succeed when it is run again at once.
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict(_)))
    }

    /// Whether something that everybody needs is not there: not the fault of whoever met it.
    pub const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Engine(_) | StoreError::Unknown(_))
                | Self::Broker(_)
                | Self::Stopped
        )
    }

    /// Whether no repetition can ever help.
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::Malformed(_))
    }
}
