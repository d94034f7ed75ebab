//! The command line: what can be asked for, and what the answers mean.

use crate::dead::DeadArgs;
use clap::{Args, Parser, Subcommand};
use contract::Bug;
use harness::faults::FaultKind;
use harness::history::Story;
use harness::report::Exit;
use harness::run::default_stories;
use harness::selftest::SelfTestArgs;
use harness::threshold::Threshold;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Loads a checkout system, breaks it, and judges every order.
#[derive(Parser)]
#[command(
    name = "crashcart",
    version,
    after_help = "Without a command it runs `crashcart run`."
)]
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
            .unwrap_or_else(|| Command::Run(Box::new(RunArgs::parse_from(["run"]))))),
        Err(said) => {
            // Nothing can be done about a terminal that cannot be written to.
            let _ = said.print();
            Err(ExitCode::from(if said.use_stderr() { 104 } else { 0 }))
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the shop, load it, break it, wait until everything is at rest, and judge every order
    Run(Box<RunArgs>),
    /// Judge the recording of a run again, from its files alone
    Check(CheckArgs),
    /// Prove the checks: each planted bug must be found, and nothing where there is none
    Selftest(SelfTestArgs),
    /// Run the shop on this machine until Ctrl-C or SIGTERM
    Serve(ServeArgs),
    /// List, replay or discard the messages that services gave up
    DeadLetters(DeadArgs),
}

const RUN_HELP: &str = "\
Stories (beside the real orders, which are always sent):
  happy several-lines under-minimum price-edge declined out-of-stock unknown-product
  retry double-click key-reused invalid-body abandoned reread

Faults:
  in the workload   under-minimum declines out-of-stock
  at the provider   provider-timeouts provider-slow
  of messages       duplicates delays reorder
  of databases      store-errors store-slow
  of processes      crash, and kill (needs --child)

Examples:
  crashcart run                                   everything, about 20 seconds
  crashcart run --faults none -r 500 --threshold 'accept p(99)<10ms'
  crashcart run --faults crash,crash,duplicates -d 30s
  crashcart run --child --data shop               the shop in a process of its own, killed
  crashcart run --orders mine.csv --stories none  your orders: date,customer,quantity,amount_cents
  crashcart check runs/latest                     the same verdict again, from the files alone";

#[derive(Parser)]
#[command(after_help = RUN_HELP, after_long_help = format!("{RUN_HELP}\n\n{}", exit_codes()))]
pub(crate) struct RunArgs {
    /// Orders a second, on average; they arrive as customers do, not evenly
    #[arg(short, long, value_name = "RATE", default_value = "500", value_parser = rate)]
    pub(crate) rate: f64,
    /// How long to send orders: 15s, 500ms, 2m [default: until each real order was sent once]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// A CSV file with the columns date,customer,quantity,amount_cents [default: 6 919 real orders of a CD shop]
    #[arg(long, value_name = "FILE")]
    pub(crate) orders: Option<PathBuf>,
    /// Which stories are told beside the real orders: all, none, or some with commas between them
    #[arg(long, value_name = "LIST", default_value = "all", value_parser = stories)]
    pub(crate) stories: Stories,
    /// What goes wrong: all, none, or some with commas between them; twice for twice
    #[arg(long, value_name = "LIST", default_value = "all", value_parser = faults)]
    pub(crate) faults: Faults,
    /// Where ids, arrivals, faults and chance come from [default: a random one, printed first]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Where the databases are; they are kept, and judged whole at the next run [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Run the shop in a process of its own, which can be killed
    #[arg(long)]
    pub(crate) child: bool,
    /// How much of what the real orders need is in stock, in percent
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) stock: u32,
    /// Something that the run must reach: 'accept p(99)<10ms', 'settle max<2s'; can be given several times
    #[arg(long, value_name = "CONDITION")]
    pub(crate) threshold: Vec<Threshold>,
    /// Where recordings go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) runs: PathBuf,
    /// Switch a bug on, to see it caught (only in a build with `--features planted`)
    #[arg(long, value_name = "BUG", value_parser = bug)]
    pub(crate) plant: Option<Bug>,
    /// Show nothing but the report
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args)]
#[command(after_long_help = exit_codes())]
pub(crate) struct CheckArgs {
    /// The folder of a run
    #[arg(value_name = "DIR", default_value = "runs/latest")]
    pub(crate) recording: PathBuf,
    /// Something that the run must have reached; can be given several times [default: what the run was asked for]
    #[arg(long, value_name = "CONDITION")]
    pub(crate) threshold: Vec<Threshold>,
    /// Print summary.json instead of the report
    #[arg(long)]
    pub(crate) json: bool,
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

/// A list of stories. A type of its own, because clap takes a `Vec` apart.
#[derive(Debug, Clone)]
pub(crate) struct Stories(pub(crate) Vec<Story>);

/// A list of faults; none for everything that can go wrong.
#[derive(Debug, Clone)]
pub(crate) struct Faults(pub(crate) Option<Vec<FaultKind>>);

/// The list of exit codes, from the one place that knows them.
fn exit_codes() -> String {
    let codes = Exit::ALL.map(|exit| format!("  {:>3}  {}", exit.code(), exit.meaning()));
    format!("Exit codes, the first that applies:\n{}", codes.join("\n"))
}

fn stories(text: &str) -> Result<Stories, String> {
    match text {
        "all" => Ok(Stories(default_stories().into_iter().collect())),
        "none" => Ok(Stories(Vec::new())),
        list => {
            let own = default_stories();
            let parse = |name: &str| Story::parse(name).filter(|story| own.contains(story));
            let known = own.iter().map(|story| story.as_str());
            parse_list(list, parse, "story", known).map(Stories)
        }
    }
}

fn faults(text: &str) -> Result<Faults, String> {
    match text {
        "all" => Ok(Faults(None)),
        "none" => Ok(Faults(Some(Vec::new()))),
        list => {
            let known = FaultKind::ALL.iter().map(|kind| kind.as_str());
            parse_list(list, FaultKind::parse, "fault", known).map(|kinds| Faults(Some(kinds)))
        }
    }
}

fn parse_list<'a, T>(
    list: &str,
    parse: impl Fn(&str) -> Option<T>,
    what: &str,
    known: impl Iterator<Item = &'a str>,
) -> Result<Vec<T>, String> {
    let known: Vec<&str> = known.collect();
    let names = list.split(',').map(str::trim);
    let one = |name: &str| {
        parse(name).ok_or_else(|| {
            format!(
                "there is no {what} {name:?}; there are: {}",
                known.join(" ")
            )
        })
    };
    names.map(one).collect()
}

fn bug(name: &str) -> Result<Bug, String> {
    let all = || {
        Bug::ALL
            .iter()
            .map(|bug| bug.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let bug = Bug::parse(name)
        .ok_or_else(|| format!("there is no bug {name:?}; there are: {}", all()))?;
    if platform::PLANTED {
        Ok(bug)
    } else {
        Err(format!(
            "this build has no bugs to switch on; cargo run --release --features planted -- run --plant {bug}"
        ))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    if (0.01..=1_000_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("must be between 0.01 and 1000000".to_owned())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    let parsed = units.into_iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(number * seconds)
    });
    match parsed {
        Some(seconds) if (0.1..=86_400.0).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        Some(_) => Err("must be between 100ms and 24h".to_owned()),
        None => Err("must be a number with ms, s, m or h, such as 15s".to_owned()),
    }
}
