//! The generator as it is seen from outside: what it plans, what it sends, and what it says of the answers.

mod answers;
mod kit;
mod plan;
mod shop;
