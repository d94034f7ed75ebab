//! Stories of single orders and small crowds, told at the boundary of the shop, in a world with virtual time.
//!
//! After each story nothing may be unsettled, all stock must be accounted for, and the provider must have
//! charged each processed payment once.

mod crashes;
mod deliveries;
mod kit;
mod outcomes;
mod repeatable;
