//! `crashcart`: run it, and it says what it is doing.

/// Says it on standard output. Whoever closes that early wants to hear no more, and still gets the exit code.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}

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
