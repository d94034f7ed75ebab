//! Runs on PostgreSQL and RabbitMQ: many processes, judged by the same checks, and nothing of them left in the end.

mod kit;
#[path = "../program/mod.rs"]
mod program;
mod runs;
mod starts;
mod targets;
