//! Stories of the platform itself: a store, a broker, and a service too small to be about anything.

mod broker;
mod broker_file;
mod broker_rabbit;
mod committer;
mod consumer;
mod database;
mod dial;
mod exports;
mod kit;
mod proxy;
mod rabbit_kit;
mod rabbit_waiting;
mod rates;
mod store;
mod store_postgres;
mod store_together;
mod worlds;
