//! The harness as a collector: it takes what the shop traces, over HTTP or gRPC, writes down what the checks look at, and
//! hands on what is interesting.

mod exposition;
mod keep;
mod page;
mod receiver;
pub mod registry;
mod row;
mod shape;
mod tee;

pub use exposition::{Example, Exposition, Family, Series, micros, whole};
pub use keep::{Keeper, NotKept};
pub use page::page;
pub use receiver::{Receiver, ReceiverError, Sink};
pub use registry::REGISTRY;
pub use row::{SpanLine, otlp, spans};
pub use shape::{Seen, Shape, Shapes};
pub use tee::{KEEP, Tee, TeeConfig, TeeError};
