//! The checks are proved: each finds what it is there for, says nothing of what it cannot know, and agrees with a
//! slow checker that was written from the sentences alone.

mod agree;
mod clients;
mod corruptions;
mod folded;
mod good;
mod metered;
mod open;
mod paid;
mod recorded;
mod recordings;
mod reference;
mod rules;
mod saga;
mod sources;
mod spoil;
mod told;
mod traced;
