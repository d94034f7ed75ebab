//! Loads the shop, breaks it, and judges every order.
//!
//! A run leaves evidence: what the clients saw and what the databases hold. The checks are pure functions over
//! that evidence; they never call the shop, so the same checks judge a real run, a recording and a story.
#![deny(missing_docs)]

pub mod check;
pub mod client;
pub mod corrupt;
pub mod engines;
pub mod evidence;
pub mod faults;
pub mod history;
pub mod load;
pub mod plan;
mod priority;
mod progress;
pub mod proxy;
pub mod recording;
pub mod report;
pub mod run;
pub mod selftest;
mod served;
pub mod target;
pub mod telemetry;
pub mod threshold;
pub mod ui;
pub mod workload;

/// Now, microseconds since 1970.
pub(crate) fn now_us() -> i64 {
    platform::Clock::Os.now_us()
}
