//! What was given up, with whatever is in it: a queue can hold things that nobody of us wrote.

use contract::{Message, MessageId};
use std::sync::Arc;
use uuid::Uuid;

/// A message that was given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The message's id; a body that nobody can read has one that is derived from its bytes.
    pub id: MessageId,
    /// What was given up.
    pub body: DeadBody,
    /// How often it was put off before.
    pub attempts: u32,
    /// The last error.
    pub reason: String,
    /// When it was given up, microseconds since 1970.
    pub at_us: i64,
}

/// What a queue can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadBody {
    /// A message.
    Message(Arc<Message>),
    /// Something that is no message of ours, as text.
    Unreadable(String),
}

impl DeadLetter {
    /// The message, if it is one.
    pub fn message(&self) -> Option<&Message> {
        match &self.body {
            DeadBody::Message(message) => Some(message),
            DeadBody::Unreadable(_) => None,
        }
    }
}

impl DeadBody {
    /// What these bytes hold, and the reason if it is no message.
    pub(super) fn read(bytes: &[u8]) -> Result<Arc<Message>, String> {
        let text =
            std::str::from_utf8(bytes).map_err(|error| format!("the body is not text: {error}"))?;
        Message::from_json(text)
            .map(Arc::new)
            .map_err(|error| error.to_string())
    }

    /// These bytes, whatever they hold, and the id under which they are known.
    pub(super) fn of(bytes: &[u8]) -> (MessageId, Self) {
        match Self::read(bytes) {
            Ok(message) => (message.id, Self::Message(message)),
            Err(_) => (
                MessageId(Uuid::new_v5(&Uuid::NAMESPACE_OID, bytes)),
                Self::Unreadable(String::from_utf8_lossy(bytes).into_owned()),
            ),
        }
    }
}
