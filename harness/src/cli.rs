//! The command line: what can be asked for, and what the answers mean.

use clap::{Args, Parser, Subcommand};
use harness::run::{RunConfig, exit_code, run as run_shop};
use std::path::PathBuf;
use std::process::ExitCode;

/// Loads a checkout system, breaks it, and judges every order.
#[derive(Parser)]
#[command(version, after_help = "Without a command it runs `crashcart run`.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do; a run when nothing is said. An error is the exit code: 0 after help, 104 for flags that cannot be
/// used.
pub(crate) fn parse() -> Result<Command, ExitCode> {
    match Cli::try_parse() {
        Ok(cli) => Ok(cli
            .command
            .unwrap_or_else(|| Command::Run(RunArgs::parse_from(["run"])))),
        Err(said) => {
            // Nothing can be done about a terminal that cannot be written to.
            let _ = said.print();
            Err(ExitCode::from(if said.use_stderr() { 104 } else { 0 }))
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the shop, send real orders, wait until everything is at rest, and judge
    Run(RunArgs),
    /// Run the shop on this machine until Ctrl-C or SIGTERM
    Serve(ServeArgs),
}

const RUN_HELP: &str = "\
Exit codes:
    0  valid: every check looked at something and found no violation
  100  the shop could not be set up
  104  the orders or the flags cannot be used
  105  interrupted
  111  invalid: a check found a violation
  112  unknown: a check was due, but there was no evidence

Examples:
  crashcart run                      all 6 919 real orders at 1 000 a second
  crashcart run -r 200               the same, slower
  crashcart run --stock 50           half of what they need: the rest is canceled as out_of_stock
  crashcart run --orders mine.csv    your orders: date,customer,quantity,amount_cents";

#[derive(Parser)]
#[command(after_help = RUN_HELP)]
pub(crate) struct RunArgs {
    /// Orders a second
    #[arg(short, long, value_name = "RATE", default_value = "1000", value_parser = rate)]
    rate: f64,
    /// A CSV file with the columns date,customer,quantity,amount_cents [default: 6 919 real orders of a CD shop]
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// How much of what the orders need is in stock, in percent
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = clap::value_parser!(u32).range(0..=1000))]
    stock: u32,
    /// Where the databases are; they are kept, and judged whole at the next run [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where ids and chance come from [default: a random one, printed first]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Show nothing but the report
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Where the databases are; they are found again at the next start [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The port of orders; products, payments and provider take the next three [default: free ports]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65532))]
    pub(crate) port: Option<u16>,
    /// `normal` survives kill -9 of the process; `full` survives a power loss too, and is slower
    #[arg(long, value_name = "HOW", default_value = "normal", value_parser = ["normal", "full"])]
    pub(crate) synchronous: String,
    /// What log lines look like; which are written is said by RUST_LOG (`info` if not set)
    #[arg(long, value_name = "FORMAT", default_value = "human", value_parser = ["human", "json"])]
    pub(crate) log: String,
    /// Where ids and chance come from [default: a random one]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Be the child of a run: how, as JSON; obey what comes on standard input, and end with it
    #[arg(long, value_name = "JSON", hide = true, exclusive = true)]
    pub(crate) child: Option<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (0.01..=1_000_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("must be between 0.01 and 1000000".to_owned())
    }
}

/// `crashcart run`
pub(crate) fn run(args: &RunArgs) -> ExitCode {
    let config = RunConfig {
        orders: args.orders.clone(),
        rate: args.rate,
        stock_percent: args.stock,
        data: args.data.clone(),
        seed: args.seed.unwrap_or_else(platform::os_seed),
        log_filter: std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned()),
        quiet: args.quiet,
    };
    say!("crashcart run · seed {}\n", config.seed);
    match run_shop(&config) {
        Ok(summary) => {
            say!("{summary}");
            ExitCode::from(exit_code(summary.verdict))
        }
        Err(error) => {
            eprintln!("crashcart: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
