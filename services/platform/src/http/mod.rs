//! The HTTP shell around every service: parse at the edge, one step, reply. Errors are problem+json.

mod api;
mod body;
mod list;
mod problem;
mod server;
mod shell;
mod standard;
mod strict;

pub use api::{Api, Doc};
pub use body::{Asked, Body, Id, Params, Reply};
pub use list::{Listing, list};
pub use problem::{FieldError, Problem};
pub use server::Server;
pub use shell::About;
