//! `crashcart`: run it, and it says what it is doing.

/// Says it on standard output. Whoever closes that early wants to hear no more, and still gets the exit code.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod cli;
mod dead;
mod judge;
mod matrix;
mod place;
mod serve;

use harness::report::Exit;
use harness::telemetry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match cli::parse() {
        Ok(command) => command,
        Err(code) => return code,
    };
    guarded(|| match command {
        cli::Command::Run(args) => judge::run(*args),
        cli::Command::Matrix(args) => matrix::matrix(&args),
        cli::Command::Check(args) => judge::check(&args),
        cli::Command::Trace(args) => judge::trace(&args),
        cli::Command::Telemetry => {
            say!("{}", telemetry::page(&telemetry::REGISTRY).trim_end());
            ExitCode::SUCCESS
        }
        cli::Command::Selftest(args) => ExitCode::from(harness::selftest::command(&args)),
        cli::Command::Serve(args) => serve::serve(&args),
        cli::Command::Shop(args) => shop::service::main(&args),
        cli::Command::DeadLetters(args) => dead::dead_letters(&args),
    })
}

/// A panic of ours must not look like a verdict about the shop.
fn guarded(command: impl FnOnce() -> ExitCode) -> ExitCode {
    catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|_| {
        eprintln!("crashcart: this is a bug in crashcart, and no verdict about the shop");
        ExitCode::from(Exit::Harness.code())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_bug_of_the_harness_and_ends_with_109() {
        assert_eq!(
            guarded(|| panic!("on purpose")),
            ExitCode::from(109),
            "a panic"
        );
        assert_eq!(guarded(|| ExitCode::from(111)), ExitCode::from(111));
    }
}
