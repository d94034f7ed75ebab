//! The generator as it is seen from outside: what it plans, when it sends, and what it says of the answers.

mod answers;
mod kit;
mod pace;
mod plan;
