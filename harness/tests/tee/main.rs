//! What a run hands on to a collector: all that is interesting, whole and once, and a share of the rest; and that a
//! collector in trouble is no trouble of the run.

#[path = "../program/collector.rs"]
mod collector;
mod hostile;
mod kit;
#[path = "../program/mod.rs"]
mod program;
mod runs;
