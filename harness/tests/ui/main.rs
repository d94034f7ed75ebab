//! The page of orders: what is kept for it and for how long, what it is told, and what a browser makes of it.

mod api;
mod browser;
mod kit;
mod recorded;
mod store;
