//! The command line: what can be asked for, and what the answers mean.

use crate::dead::DeadArgs;
use crate::place::{Engine, RoutingFlag, Target, target};
use clap::{Args, Parser, Subcommand};
use contract::{Bug, OrderId};
use harness::faults::{Wanted, time};
use harness::history::Story;
use harness::report::Exit;
use harness::run::default_stories;
use harness::selftest::SelfTestArgs;
use harness::threshold::Threshold;
use shop::service::ShopArgs;
use std::net::SocketAddr;
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
            // A service says what it always says, whoever runs it.
            let is_service = std::env::args()
                .nth(1)
                .is_some_and(|command| command == "shop");
            let usage = if is_service {
                shop::service::USAGE
            } else {
                104
            };
            Err(ExitCode::from(if said.use_stderr() { usage } else { 0 }))
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start the shop, load it, break it, wait until everything is at rest, and judge every order
    Run(Box<RunArgs>),
    /// Run the shop on PostgreSQL and RabbitMQ of its own, once for each fault that they can suffer; print a table
    Matrix(MatrixArgs),
    /// Judge the recording of a run again, from its files alone
    Check(CheckArgs),
    /// Draw the trace of one order: who did what because of what, when, and how long it took
    Trace(TraceArgs),
    /// Print what the shop tells of itself, as a page: spans, attributes, metrics, log fields
    Telemetry,
    /// Prove the checks: each planted bug must be found, and nothing where there is none
    Selftest(SelfTestArgs),
    /// Run the shop on this machine until Ctrl-C or SIGTERM
    Serve(ServeArgs),
    /// Run one service of the shop, or all of them, on PostgreSQL and RabbitMQ
    Shop(ShopArgs),
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
  of processes      crash, and kill (needs --child or --engine distributed)
  With --engine distributed:
  of replicas       kill-replica pause-replica
  of engines        database-backends database-restart broker-connections broker-restart
                    (all but the first need engines of our own: no --postgres and no --amqp; the
                    last only happens when it is named)
  of the network    network-cut network-delay network-throttle network-half-open
  Each as often as it is named, and when: kind[@when[+howlong]], as in network-cut@10s+2s

Examples:
  crashcart run                                   everything, about 20 seconds
  crashcart run --faults none -r 500 --threshold 'accept p(99)<10ms'
  crashcart run --faults crash,crash,duplicates -d 30s
  crashcart run --engine distributed -d 30s --faults network-cut,broker-restart@10s+5s
  crashcart run --child --data shop               the shop in a process of its own, killed
  crashcart run --engine distributed --replicas 2 the shop as processes on PostgreSQL and RabbitMQ
  crashcart run --target orders=http://h:8001,products=http://h:8002,payments=http://h:8003,provider=http://h:8004
                                                  a shop that runs already; --amqp to listen on its exchange
  crashcart run --otlp-endpoint http://127.0.0.1:4318
                                                  the traces worth looking at go to a collector
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
    /// What goes wrong: all, none, or some with commas between them; twice for twice, crash@10s+2s for when and how long
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
    /// What the shop runs on: embedded, or distributed, which is PostgreSQL, RabbitMQ and many processes
    #[arg(
        long,
        value_enum,
        value_name = "ENGINE",
        default_value = "embedded",
        hide_possible_values = true
    )]
    pub(crate) engine: Engine,
    /// A PostgreSQL server whose user may create databases [default: the one on this machine]
    #[arg(long, value_name = "URL")]
    pub(crate) postgres: Option<String>,
    /// A RabbitMQ broker [default: the one on this machine]; of a --target, to listen on its exchange
    #[arg(long, value_name = "URL")]
    pub(crate) amqp: Option<String>,
    /// Processes of each service, 1 to 8 [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) replicas: Option<u8>,
    /// `fanout` puts every message into every queue, `topic` only into those that want it [default: fanout]
    #[arg(long, value_enum, value_name = "HOW", hide_possible_values = true)]
    pub(crate) routing: Option<RoutingFlag>,
    /// Messages applied in one transaction, at most [default: as many as the service likes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) batch_max: Option<u16>,
    /// A shop that runs already: orders=URL,products=URL,payments=URL,provider=URL; a name twice for two replicas
    #[arg(long, value_name = "LIST", value_parser = target)]
    pub(crate) target: Vec<Target>,
    /// How long a distributed shop, or a --target, may take until all its services are ready
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    pub(crate) ready: Duration,
    /// What stands before the names of a --target on its broker [default: nothing]
    #[arg(long, value_name = "NAME")]
    pub(crate) prefix: Option<String>,
    /// How much of what the real orders need is in stock, in percent
    #[arg(long, value_name = "PERCENT", default_value = "100", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) stock: u32,
    /// Something that the run must reach: 'accept p(99)<10ms', 'settle max<2s'; can be given several times
    #[arg(long, value_name = "CONDITION")]
    pub(crate) threshold: Vec<Threshold>,
    /// Where recordings go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) runs: PathBuf,
    /// The share of orders that is traced; the checks of traces are due if it is all of them [0 to 1]
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = share)]
    pub(crate) traces: f64,
    /// A collector, such as http://127.0.0.1:4318, to which the traces are handed on as http/protobuf, also when
    /// OTEL_EXPORTER_OTLP_ENDPOINT names it: each that failed, was canceled, was slow, did not end, or is an example of
    /// a metric, with its batches, and a share of the others [default: nowhere]
    #[arg(long, value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// The share of the others that is handed on; 1 is everything [0 to 1, default: 0.1]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    pub(crate) otlp_keep: Option<f64>,
    /// Where Prometheus may ask for the figures of the run while it is on: 127.0.0.1:9464 [default: nowhere]
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) metrics: Option<SocketAddr>,
    /// Switch a bug on, to see it caught (only in a build with `--features planted`)
    #[arg(long, value_name = "BUG", value_parser = bug)]
    pub(crate) plant: Option<Bug>,
    /// Show nothing but the report
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args)]
#[command(after_long_help = exit_codes())]
pub(crate) struct MatrixArgs {
    /// How long to send orders in each run
    #[arg(short, long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Orders a second, on average
    #[arg(short, long, value_name = "RATE", default_value = "200", value_parser = rate)]
    pub(crate) rate: f64,
    /// One run for each of these, with commas between them [default: each that needs --engine distributed, and the
    /// broker away for ten seconds]
    #[arg(long, value_name = "LIST", value_parser = faults)]
    pub(crate) faults: Option<Faults>,
    /// Processes of each service, 1 to 8
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) replicas: u8,
    /// Where ids, arrivals, faults and chance come from [default: a random one]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Where recordings go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub(crate) runs: PathBuf,
}

#[derive(Args)]
pub(crate) struct TraceArgs {
    /// The order, as reports and answers name it
    #[arg(value_name = "ORDER")]
    pub(crate) order: OrderId,
    /// The folder of its run
    #[arg(long, value_name = "DIR", default_value = "runs/latest")]
    pub(crate) recording: PathBuf,
    /// Write a page about it, to be opened in a browser, instead of drawing it here
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
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
    /// Show the latest orders in a browser, each as its trace [default address: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8000")]
    pub(crate) ui: Option<SocketAddr>,
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
pub(crate) struct Faults(pub(crate) Option<Vec<Wanted>>);

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
            let wanted = list.split(',').map(|one| Wanted::parse(one.trim()));
            let wanted: Result<Vec<Wanted>, String> = wanted.collect();
            wanted.map(|wanted| Faults(Some(wanted)))
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

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |_| "must be an address with its port, such as 127.0.0.1:9464".to_owned();
    text.parse().map_err(wrong)
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be between 0 and 1".to_owned())
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
    match time(text) {
        Some(time) if time >= Duration::from_millis(100) => Ok(time),
        Some(_) => Err("must be between 100ms and 24h".to_owned()),
        None => Err("must be a number with ms, s, m or h, such as 15s, at most 24h".to_owned()),
    }
}
