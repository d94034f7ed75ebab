//! `crashcart` as somebody at a terminal meets it: what it prints, what it leaves, and its exit codes.

mod check;
mod dead;
mod flags;
mod kit;
mod logs;
#[path = "../program/mod.rs"]
mod program;
mod run;
mod serve;
mod traces;
