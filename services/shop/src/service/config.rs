//! From text to what a service runs with. Everything that is wrong is told at once, before anything starts.

use super::args::{ServiceArgs, What};
use crate::{QUEUES, SERVICES};
use contract::{Bug, EventType};
use payments::provider::{self, ProviderUrl};
use platform::broker::{BrokerError, Queue, Rabbit, RabbitSettings, Routing};
use platform::logs::{self, Format, LogSettings, Sink};
use platform::store::{Postgres, PostgresSettings, StoreError};
use platform::telemetry::{self, BadVariable, Tracer};
use platform::{Clock, Settings};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// The port of orders; the others take the next three.
const FIRST_PORT: u16 = 8_001;
/// The order of the ports.
const PORTS: [&str; 4] = [orders::NAME, products::NAME, payments::NAME, provider::NAME];
/// Stands for the name of the service in the URL of a database.
const PLACE: &str = "{service}";
/// The longest prefix of names on the broker.
const PREFIX_MAX: usize = 64;

/// What to run, and how.
pub(super) struct Config {
    pub(super) services: Vec<ServiceConfig>,
    /// None: the one that runs in here.
    pub(super) provider: Option<ProviderUrl>,
    pub(super) settings: Settings,
    pub(super) log: LogSettings,
    pub(super) telemetry: Option<telemetry::Settings>,
    pub(super) start_timeout: Duration,
    pub(super) seed: Option<u64>,
    pub(super) planted: Option<Bug>,
    pub(super) obey: bool,
}

/// One service.
pub(super) struct ServiceConfig {
    pub(super) name: &'static str,
    pub(super) listen: SocketAddr,
    pub(super) store: Postgres,
    /// None: it says nothing and hears nothing.
    pub(super) broker: Option<Rabbit>,
}

/// Something that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    flag: &'static str,
    variable: &'static str,
    message: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.flag {
            "" => write!(f, "{}: {}", self.variable, self.message),
            flag => write!(f, "{flag} ({}): {}", self.variable, self.message),
        }
    }
}

/// What is wrong so far.
#[derive(Default)]
struct Wrongs(Vec<Wrong>);

impl Wrongs {
    fn note(&mut self, flag: &'static str, variable: &'static str, message: impl Into<String>) {
        let message = message.into();
        let wrong = Wrong {
            flag,
            variable,
            message,
        };
        // The same URL serves four services.
        if !self.0.contains(&wrong) {
            self.0.push(wrong);
        }
    }

    /// The value, or a stand-in that nobody will use.
    fn or<T>(
        &mut self,
        (flag, variable): (&'static str, &'static str),
        parsed: Result<T, String>,
        otherwise: T,
    ) -> T {
        parsed.unwrap_or_else(|message| {
            self.note(flag, variable, message);
            otherwise
        })
    }
}

/// The services that `what` runs, in the order in which they start.
fn services(what: &What) -> (&[&'static str], Option<&ServiceArgs>) {
    let [provider, orders, products, payments] = [0, 1, 2, 3].map(|n| &SERVICES[n..=n]);
    match what {
        What::Orders(args) => (orders, Some(args)),
        What::Products(args) => (products, Some(args)),
        What::Payments(args) => (payments, Some(args)),
        What::Provider(args) => (provider, Some(args)),
        What::All(args) => (&SERVICES, Some(args)),
        What::Health(_) => (&[], None),
    }
}

impl Config {
    /// Reads what `what` was given.
    ///
    /// # Errors
    /// Everything that cannot be used.
    pub(super) fn read(what: &What) -> Result<Self, Vec<Wrong>> {
        let (names, Some(args)) = services(what) else {
            return Err(Vec::new());
        };
        let mut wrongs = Wrongs::default();
        let is_all = names.len() > 1;
        let first = names.first().copied().unwrap_or(orders::NAME);
        let listen = wrongs.or(
            ("--listen", "SHOP_LISTEN"),
            listen(args.listen.as_deref(), is_all, first),
            SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        );
        if is_all && !args.postgres.contains(PLACE) {
            wrongs.note(
                "--postgres",
                "SHOP_POSTGRES",
                format!(
                    "must contain {PLACE}: each of the four services needs a database of its own"
                ),
            );
        }
        if let Some(ca) = &args.ca
            && let Err(error) = std::fs::File::open(ca)
        {
            let message = format!("{} cannot be read: {error}", ca.display());
            wrongs.note("--ca", "SHOP_CA", message);
        }
        let planted = plant(args, &mut wrongs);
        let services = names
            .iter()
            .filter_map(|name| service(name, at(listen, name, is_all), args, planted, &mut wrongs))
            .collect();
        let config = Self {
            services,
            provider: provider(args, is_all, &mut wrongs),
            settings: Settings {
                batch_max: number(args, &mut wrongs, BATCH_MAX),
                gather: time(args, &mut wrongs, &GATHER),
                ..Settings::default()
            },
            log: log(args, &mut wrongs),
            telemetry: telemetry(args, &mut wrongs),
            start_timeout: time(args, &mut wrongs, &START_TIMEOUT),
            seed: seed(args, &mut wrongs),
            planted,
            obey: args.obey,
        };
        if wrongs.0.is_empty() {
            Ok(config)
        } else {
            Err(wrongs.0)
        }
    }
}

/// The queues of all services. A planted bug may want to hear more than its service does.
pub(super) fn queues(planted: Option<Bug>) -> Vec<Queue> {
    let hears = [orders::HEARS, products::HEARS, payments::HEARS];
    let queue = |(service, hears): (&'static str, &[EventType])| Queue {
        service,
        hears: planted.map_or(hears, |_| EventType::ALL).to_vec(),
    };
    QUEUES.into_iter().zip(hears).map(queue).collect()
}

fn service(
    name: &'static str,
    listen: SocketAddr,
    args: &ServiceArgs,
    planted: Option<Bug>,
    wrongs: &mut Wrongs,
) -> Option<ServiceConfig> {
    let url = args.postgres.replace(PLACE, name);
    let application = format!("crashcart-{name}");
    let settings = PostgresSettings {
        writers: number(args, wrongs, WRITERS),
        readers: number(args, wrongs, READERS),
        statement_timeout: time(args, wrongs, &STATEMENT_TIMEOUT),
        lock_timeout: time(args, wrongs, &LOCK_TIMEOUT),
        ca: args.ca.clone(),
        ..PostgresSettings::new(url, &application)
    };
    let store = postgres(settings);
    let store = wrongs.or(("--postgres", "SHOP_POSTGRES"), store.map(Some), None);
    let broker = if QUEUES.contains(&name) {
        rabbit(args, application, planted, wrongs).map(Some)
    } else {
        Some(None)
    };
    Some(ServiceConfig {
        name,
        listen,
        store: store?,
        broker: broker?,
    })
}

fn postgres(settings: PostgresSettings) -> Result<Postgres, String> {
    scheme(&settings.url, &["postgres://", "postgresql://"])?;
    Postgres::new(settings).map_err(|error| match error {
        StoreError::Statement(message) => message,
        other => other.to_string(),
    })
}

fn rabbit(
    args: &ServiceArgs,
    application: String,
    planted: Option<Bug>,
    wrongs: &mut Wrongs,
) -> Option<Rabbit> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if args.prefix.len() > PREFIX_MAX || !args.prefix.chars().all(fits) {
        let message = format!(
            "must be at most {PREFIX_MAX} letters, digits, `.`, `_` and `-`, got {:?}",
            args.prefix
        );
        wrongs.note("--prefix", "SHOP_PREFIX", message);
    }
    let routing = match args.routing.as_str() {
        "fanout" => Ok(Routing::Fanout),
        "topic" => Ok(Routing::Topic),
        other => Err(format!("must be fanout or topic, got {other:?}")),
    };
    let settings = RabbitSettings {
        prefix: args.prefix.clone(),
        routing: wrongs.or(("--routing", "SHOP_ROUTING"), routing, Routing::Fanout),
        prefetch: number(args, wrongs, PREFETCH),
        ca: args.ca.clone(),
        ..RabbitSettings::new(&args.amqp, application, queues(planted))
    };
    let made = scheme(&args.amqp, &["amqp://", "amqps://"]).and_then(|()| {
        Rabbit::new(settings).map_err(|error| match error {
            BrokerError::Refused(message) => message,
            other => other.to_string(),
        })
    });
    wrongs.or(("--amqp", "SHOP_AMQP"), made.map(Some), None)
}

/// The URL itself is not shown: there may be a password in it.
fn scheme(url: &str, known: &[&str]) -> Result<(), String> {
    if known.iter().any(|scheme| url.starts_with(scheme)) {
        Ok(())
    } else {
        Err(format!("must begin with {}", known.join(" or ")))
    }
}

/// Where the service called `first` listens, or the first of all.
fn listen(text: Option<&str>, is_all: bool, first: &str) -> Result<SocketAddr, String> {
    let Some(text) = text else {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST_PORT));
        return Ok(at(address, first, !is_all));
    };
    let address: SocketAddr = text.parse().map_err(|_| {
        format!("must be an address with a port, such as 0.0.0.0:{FIRST_PORT}, got {text:?}")
    })?;
    if is_all && address.port() > u16::MAX - 3 {
        return Err("the port must be at most 65532: the next three are taken too".to_owned());
    }
    Ok(address)
}

/// Where `service` listens when `first` is where orders does.
fn at(first: SocketAddr, service: &str, is_all: bool) -> SocketAddr {
    let offset = PORTS.iter().position(|name| *name == service);
    let offset = u16::try_from(offset.unwrap_or(0)).unwrap_or(0);
    let port = match first.port() {
        port if port == 0 || !is_all => port,
        port => port + offset,
    };
    SocketAddr::new(first.ip(), port)
}

fn provider(args: &ServiceArgs, is_all: bool, wrongs: &mut Wrongs) -> Option<ProviderUrl> {
    let usual = format!("http://127.0.0.1:{}", FIRST_PORT + 3);
    let text = match &args.provider {
        None if is_all => return None,
        given => given.as_deref().unwrap_or(&usual),
    };
    let parsed = ProviderUrl::from_str(text).map(Some);
    wrongs.or(("--provider", "SHOP_PROVIDER"), parsed, None)
}

fn log(args: &ServiceArgs, wrongs: &mut Wrongs) -> LogSettings {
    let format = match args.log.as_str() {
        "human" => Ok(Format::Human),
        "json" => Ok(Format::Json),
        other => Err(format!("must be human or json, got {other:?}")),
    };
    let settings = LogSettings {
        format: wrongs.or(("--log", "SHOP_LOG"), format, Format::Human),
        filter: args.log_filter.clone(),
        sink: Sink::Stderr,
    };
    if let Err(error) = logs::dispatch(orders::NAME, &settings, Clock::Os, &Tracer::off()) {
        let message = format!("must look like info,platform=debug: {error}");
        wrongs.note("--log-filter", "RUST_LOG", message);
    }
    settings
}

/// Flags go before variables, and are variables to whoever reads them.
#[expect(
    clippy::disallowed_methods,
    reason = "this is a main that reads its variables"
)]
fn telemetry(args: &ServiceArgs, wrongs: &mut Wrongs) -> Option<telemetry::Settings> {
    let flags = [
        (
            "--otlp-endpoint",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &args.otlp_endpoint,
        ),
        (
            "--otlp-protocol",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            &args.otlp_protocol,
        ),
        (
            "--traces-sampler",
            "OTEL_TRACES_SAMPLER",
            &args.traces_sampler,
        ),
        (
            "--traces-sampler-arg",
            "OTEL_TRACES_SAMPLER_ARG",
            &args.traces_sampler_arg,
        ),
    ];
    let read = telemetry::Settings::read(|name| {
        let flag = flags.iter().find(|(_, variable, _)| *variable == name);
        let given = flag.and_then(|(_, _, value)| (*value).clone());
        given.or_else(|| std::env::var(name).ok())
    });
    read.unwrap_or_else(|wrong| {
        for BadVariable { name, message } in wrong {
            let flag = flags.iter().find(|(_, known, _)| *known == name);
            wrongs.note(flag.map_or("", |(flag, _, _)| flag), name, message);
        }
        None
    })
}

fn seed(args: &ServiceArgs, wrongs: &mut Wrongs) -> Option<u64> {
    let text = args.seed.as_deref()?;
    let parsed = text.parse().map(Some);
    let parsed = parsed.map_err(|_| format!("must be a whole number, got {text:?}"));
    wrongs.or(("--seed", "SHOP_SEED"), parsed, None)
}

fn plant(args: &ServiceArgs, wrongs: &mut Wrongs) -> Option<Bug> {
    let name = args.plant.as_deref()?;
    let known = match Bug::parse(name) {
        None => Err(format!("there is no bug {name:?}")),
        Some(_) if !platform::PLANTED => {
            Err("this build has no bugs to switch on; build with --features planted".to_owned())
        }
        bug => Ok(bug),
    };
    wrongs.or(("--plant", "SHOP_PLANT"), known, None)
}

/// A flag that takes a number or a time.
struct Flag<T> {
    names: (&'static str, &'static str),
    text: fn(&ServiceArgs) -> &str,
    range: RangeInclusive<T>,
}

macro_rules! flag {
    ($name:ident: $type:ty = $field:ident, $flag:literal, $variable:literal, $range:expr) => {
        const $name: Flag<$type> = Flag {
            names: ($flag, $variable),
            text: |args| &args.$field,
            range: $range,
        };
    };
}

flag!(BATCH_MAX: usize = batch_max, "--batch-max", "SHOP_BATCH_MAX", 1..=10_000);
flag!(GATHER: u64 = gather, "--gather", "SHOP_GATHER", 0..=1_000);
flag!(PREFETCH: u16 = prefetch, "--prefetch", "SHOP_PREFETCH", 1..=u16::MAX);
flag!(WRITERS: usize = writers, "--writers", "SHOP_WRITERS", 1..=64);
flag!(READERS: usize = readers, "--readers", "SHOP_READERS", 1..=64);
flag!(STATEMENT_TIMEOUT: u64 = statement_timeout, "--statement-timeout", "SHOP_STATEMENT_TIMEOUT", 100..=600_000);
flag!(LOCK_TIMEOUT: u64 = lock_timeout, "--lock-timeout", "SHOP_LOCK_TIMEOUT", 100..=600_000);
flag!(START_TIMEOUT: u64 = start_timeout, "--start-timeout", "SHOP_START_TIMEOUT", 100..=3_600_000);

fn number<T>(args: &ServiceArgs, wrongs: &mut Wrongs, flag: Flag<T>) -> T
where
    T: FromStr + PartialOrd + fmt::Display,
{
    let text = (flag.text)(args);
    let parsed = text.parse().ok().filter(|n| flag.range.contains(n));
    let (least, most) = flag.range.into_inner();
    let wrong = format!("must be a whole number from {least} to {most}, got {text:?}");
    wrongs.or(flag.names, parsed.ok_or(wrong), least)
}

/// A time as it is written in a flag: in the largest unit that it is a whole number of.
fn written(ms: u64) -> String {
    let units = UNITS.into_iter().rev();
    let mut fitting = units.filter(|(_, size)| ms >= *size && ms.is_multiple_of(*size));
    let (unit, size) = fitting.next().unwrap_or(UNITS[0]);
    format!("{}{unit}", ms / size)
}

/// The units of a time, in milliseconds.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// The range is in milliseconds.
fn time(args: &ServiceArgs, wrongs: &mut Wrongs, flag: &Flag<u64>) -> Duration {
    let text = (flag.text)(args);
    let parsed = UNITS.into_iter().find_map(|(unit, ms)| {
        let n: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        n.checked_mul(ms)
    });
    let least = *flag.range.start();
    let (from, to) = (written(least), written(*flag.range.end()));
    let wrong =
        format!("must be a whole number with ms, s, m or h, from {from} to {to}, got {text:?}");
    let parsed = parsed.filter(|ms| flag.range.contains(ms)).ok_or(wrong);
    Duration::from_millis(wrongs.or(flag.names, parsed, least))
}
