//! `shop`: one service of the shop, or all of them, on PostgreSQL and RabbitMQ.

use std::process::ExitCode;

fn main() -> ExitCode {
    shop::service::parse().map_or_else(|code| code, |args| shop::service::main(&args))
}
