//! The harness as a collector: it takes what the shop traces, over HTTP or gRPC, and writes down what the checks look
//! at.

mod receiver;
mod row;

pub use receiver::{Receiver, ReceiverError};
pub use row::{SpanLine, spans};
