//! `crashcart`: run it, and it says what it is doing.

mod cli;
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse() {
        Ok(cli::Command::Run(args)) => cli::run(&args),
        Ok(cli::Command::Serve(args)) => serve::serve(&args),
        Err(code) => code,
    }
}
