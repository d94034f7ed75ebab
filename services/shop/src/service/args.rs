//! The command line of the services: flags, environment variables, help.
//!
//! Values are taken as text: what is wrong with any of them is told at once, by [`super::config`].

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  shop all                                        everything here, on engines here
  shop orders --listen 0.0.0.0:8001 \\
      --postgres postgres://shop:secret@db/orders \\
      --amqp amqps://shop:secret@mq/%2f           one replica; start as many as you like
  SHOP_LOG=json RUST_LOG=info,platform=debug shop payments
  shop health http://127.0.0.1:8001/ready         0 when it is ready, 1 when not

Other variables of OpenTelemetry are heard, too: OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED,
OTEL_EXPORTER_OTLP_HEADERS and _TIMEOUT, OTEL_BSP_SCHEDULE_DELAY, _MAX_QUEUE_SIZE and _MAX_EXPORT_BATCH_SIZE.

Exit codes:
    0  stopped, or asked for help; all that was accepted is in the databases
    1  `health`: not ready
   64  a flag or a variable cannot be used; nothing was started
   69  an engine was not there in time, or the address is taken
   70  a service ended by itself";

/// Run services of the shop on PostgreSQL and RabbitMQ
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ShopArgs {
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Parser)]
#[command(name = "shop", version)]
struct Cli {
    #[command(flatten)]
    args: ShopArgs,
}

/// Reads the command line of this process. An error is the exit code: 0 after help, 64 for what cannot be read.
pub fn parse() -> Result<ShopArgs, ExitCode> {
    Cli::try_parse().map(|cli| cli.args).map_err(|said| {
        // Nothing can be done about a terminal that cannot be written to.
        let _ = said.print();
        let code = if said.use_stderr() { super::USAGE } else { 0 };
        ExitCode::from(code)
    })
}

#[derive(Subcommand)]
pub(super) enum What {
    /// Takes orders and brings each to its end
    Orders(Box<ServiceArgs>),
    /// Knows what there is, what it costs, and who has reserved it
    Products(Box<ServiceArgs>),
    /// Charges orders, asking the provider
    Payments(Box<ServiceArgs>),
    /// The simulated payment provider; has a database, but no queue
    Provider(Box<ServiceArgs>),
    /// The four of them in one process
    All(Box<ServiceArgs>),
    /// Ask whether a service is ready
    Health(HealthArgs),
}

/// The flags of a service. All take the same, so that one set of variables fits all; what a service has no use for
/// it leaves alone.
#[derive(Args)]
pub(super) struct ServiceArgs {
    /// The database; {service} stands for the name of the service. Each service needs one of its own
    #[arg(
        long,
        value_name = "URL",
        env = "SHOP_POSTGRES",
        hide_env_values = true
    )]
    #[arg(default_value = "postgres://postgres@127.0.0.1:5432/{service}")]
    pub(super) postgres: String,
    /// The broker, with its virtual host
    #[arg(long, value_name = "URL", env = "SHOP_AMQP", hide_env_values = true)]
    #[arg(default_value = "amqp://guest:guest@127.0.0.1:5672/%2f")]
    pub(super) amqp: String,
    /// Stands before every name on the broker, so that several shops can share one
    #[arg(
        long,
        value_name = "NAME",
        env = "SHOP_PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    pub(super) prefix: String,
    /// `fanout` puts every message into every queue, `topic` only into those that want it
    #[arg(
        long,
        value_name = "HOW",
        env = "SHOP_ROUTING",
        default_value = "fanout"
    )]
    pub(super) routing: String,
    /// Where to listen; port 0 is any that is free. `all` takes this port for orders, and the next three for
    /// products, payments and provider [default: 127.0.0.1:8001 for orders and all, :8002 for products, :8003 for
    /// payments, :8004 for provider]
    #[arg(long, value_name = "ADDR", env = "SHOP_LISTEN")]
    pub(super) listen: Option<String>,
    /// Where payments finds the provider [default: http://127.0.0.1:8004; with `all` its own]
    #[arg(long, value_name = "URL", env = "SHOP_PROVIDER")]
    pub(super) provider: Option<String>,
    /// Messages applied in one transaction, at most
    #[arg(long, value_name = "N", env = "SHOP_BATCH_MAX", default_value = "256")]
    pub(super) batch_max: String,
    /// Under load, how long messages and requests are gathered for one transaction; 0ms for not at all
    #[arg(long, value_name = "TIME", env = "SHOP_GATHER", default_value = "30ms")]
    pub(super) gather: String,
    /// Messages that the broker hands over before it wants one acked
    #[arg(long, value_name = "N", env = "SHOP_PREFETCH", default_value = "1024")]
    pub(super) prefetch: String,
    /// Connections to the database for transactions that write
    #[arg(long, value_name = "N", env = "SHOP_WRITERS", default_value = "2")]
    pub(super) writers: String,
    /// Connections to the database for transactions that only read
    #[arg(long, value_name = "N", env = "SHOP_READERS", default_value = "4")]
    pub(super) readers: String,
    /// How long a statement may take
    #[arg(
        long,
        value_name = "TIME",
        env = "SHOP_STATEMENT_TIMEOUT",
        default_value = "10s"
    )]
    pub(super) statement_timeout: String,
    /// How long a statement may wait for a lock
    #[arg(
        long,
        value_name = "TIME",
        env = "SHOP_LOCK_TIMEOUT",
        default_value = "5s"
    )]
    pub(super) lock_timeout: String,
    /// How long to wait for the engines at the start
    #[arg(
        long,
        value_name = "TIME",
        env = "SHOP_START_TIMEOUT",
        default_value = "60s"
    )]
    pub(super) start_timeout: String,
    /// Certificates to trust besides the system's, as a PEM file; for sslmode=require and amqps
    #[arg(long, value_name = "FILE", env = "SHOP_CA")]
    pub(super) ca: Option<PathBuf>,
    /// What log lines look like: human or json
    #[arg(long, value_name = "FORMAT", env = "SHOP_LOG", default_value = "human")]
    pub(super) log: String,
    /// Which log lines are written
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "info")]
    pub(super) log_filter: String,
    /// Where traces go, as OTLP: `http://host:4318`, or `http://host:4317` with grpc. Without it nothing is recorded
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub(super) otlp_endpoint: Option<String>,
    /// How they travel: http/protobuf or grpc [default: http/protobuf]
    #[arg(long, value_name = "HOW", env = "OTEL_EXPORTER_OTLP_PROTOCOL")]
    pub(super) otlp_protocol: Option<String>,
    /// Which traces are recorded, as OpenTelemetry calls it [default: parentbased_always_on]
    #[arg(long, value_name = "NAME", env = "OTEL_TRACES_SAMPLER")]
    pub(super) traces_sampler: Option<String>,
    /// The share of traces for the sampler traceidratio, between 0 and 1
    #[arg(long, value_name = "N", env = "OTEL_TRACES_SAMPLER_ARG")]
    pub(super) traces_sampler_arg: Option<String>,
    /// Where the faults of --obey come from. Ids always come from the system, so that no two replicas share any
    #[arg(long, value_name = "N", env = "SHOP_SEED", hide = true)]
    pub(super) seed: Option<String>,
    /// Switch a bug on
    #[arg(long, value_name = "BUG", env = "SHOP_PLANT", hide = true)]
    pub(super) plant: Option<String>,
    /// Say where it listens on standard output, then do what comes on standard input, and end with it
    #[arg(long, hide = true)]
    pub(super) obey: bool,
}

#[derive(Args)]
pub(super) struct HealthArgs {
    /// What to ask
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8001/ready")]
    pub(super) url: String,
}
