//! `crashcart`: run it, and it says what it is doing.

mod cli;
mod serve;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Cli::parse().command() {
        cli::Command::Run(args) => cli::run(&args),
        cli::Command::Serve(args) => serve::serve(&args),
    }
}
