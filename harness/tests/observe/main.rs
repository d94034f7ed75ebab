//! A real Prometheus looks at the shop: every panel and rule finds what it asks for, each alert fires under the fault
//! that it is for and on no calm day, and what histograms give as examples are traces that exist.
//!
//! Rules are on a scale of 1/120: an hour is half a minute. `promtool test rules` proves their real lengths.

mod alerts;
mod calm;
mod collected;
mod distributed;
mod embedded;
mod kit;
mod loops;
#[expect(
    dead_code,
    reason = "when a run comes to nothing here, who looked at it begins again as well"
)]
#[path = "../program/mod.rs"]
mod program;
mod prometheus;
mod wanted;
