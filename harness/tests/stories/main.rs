//! Stories of single orders and small crowds, told at the boundary of the shop, in a world.
//!
//! How orders end and how messages come is told twice, in memory and on real engines. In virtual time only: the
//! crashes, whose places are counted in port calls, which are the same in each run only there; they take hundreds of
//! worlds as well. And that a seed repeats its story, which real engines cannot promise.
//!
//! After each story nothing may be unsettled, all stock must be accounted for, and the provider must have
//! charged each processed payment once.

mod crashes;
mod deliveries;
mod kit;
mod outcomes;
mod repeatable;
