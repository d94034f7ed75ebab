//! Messages that were given up, and what people decide about them.

use super::{Inner, Result};
use crate::broker::{BrokerError, DeadLetter};
use contract::MessageId;

pub(super) async fn list(
    _: &Inner,
    _: &str,
    _: Option<MessageId>,
    _: usize,
) -> Result<Vec<DeadLetter>> {
    Err(BrokerError::NotOffered("dead letters yet"))
}
pub(super) async fn replay(_: &Inner, _: &str, _: MessageId) -> Result<bool> {
    Err(BrokerError::NotOffered("dead letters yet"))
}
pub(super) async fn discard(_: &Inner, _: &str, _: MessageId) -> Result<bool> {
    Err(BrokerError::NotOffered("dead letters yet"))
}
