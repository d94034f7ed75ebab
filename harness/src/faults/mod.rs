//! What goes wrong in a run: which faults, when, and a ledger of what came of each.
//!
//! A fault counts only when somebody else has seen it: a service's own metrics, a process id, the evidence. What
//! the injector believes it has done is in the ledger too, but it proves nothing.

mod around;
mod injector;
mod kind;
mod observe;
mod plan;
mod record;
mod wanted;

pub use around::Around;
pub use injector::Injector;
pub use kind::{FaultKind, Side};
pub use plan::{Planned, plan};
pub use record::FaultRecord;
pub use wanted::{Wanted, time};
