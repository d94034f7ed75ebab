//! The harness as a collector: it takes what the shop traces, over HTTP or gRPC, and writes down what the checks look
//! at.

mod keep;
mod receiver;
mod row;

pub use keep::{Keeper, NotKept};
pub use receiver::{Receiver, ReceiverError, Sink};
pub use row::{SpanLine, spans};
