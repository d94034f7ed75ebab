//! From flags to the place where the shop of a run runs: here, in a child, on real engines, or already.

use crate::cli::RunArgs;
use harness::run::RunError;
use harness::target::{Distribution, Place, Places, RunningShop};
use platform::broker::Routing;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// The services of a running shop: `orders=http://10.0.0.7:8001`, commas between them, a name twice for two replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target(Vec<(String, SocketAddr)>);

/// What runs the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    /// In this process, or in one child: SQLite files and a broker of our own
    Embedded,
    /// Each replica of each service in a process of its own, on PostgreSQL and RabbitMQ
    Distributed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RoutingFlag {
    /// Every queue gets every message
    Fanout,
    /// A queue gets what its service hears
    Topic,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let replicas = self.0.iter();
        let replicas = replicas.map(|(service, address)| format!("{service}=http://{address}"));
        f.write_str(&replicas.collect::<Vec<_>>().join(","))
    }
}

impl Engine {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Distributed => "distributed",
        }
    }
}

impl RoutingFlag {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Topic => "topic",
        }
    }
}

/// Where the shop of a run runs.
///
/// # Errors
/// [`RunError::Config`] for flags that do not go together, with the way out.
pub(crate) fn place(args: &RunArgs) -> Result<Place, RunError> {
    refuse(args)?;
    let routing = match args.routing {
        Some(RoutingFlag::Topic) => Routing::Topic,
        Some(RoutingFlag::Fanout) | None => Routing::Fanout,
    };
    if !args.target.is_empty() {
        let (amqp, prefix) = (args.amqp.clone(), args.prefix.clone().unwrap_or_default());
        return Ok(Place::Running(Box::new(RunningShop {
            places: places(&args.target)?,
            amqp,
            prefix,
            routing,
        })));
    }
    Ok(match (args.engine, args.child) {
        (Engine::Embedded, false) => Place::Here,
        (Engine::Embedded, true) => Place::Child {
            program: this_program()?,
        },
        (Engine::Distributed, _) => Place::Distributed(Box::new(Distribution {
            program: this_program()?,
            postgres: args.postgres.clone(),
            amqp: args.amqp.clone(),
            replicas: usize::from(args.replicas.unwrap_or(1)),
            routing,
            batch_max: args.batch_max.map(usize::from),
        })),
    })
}

/// Flags that say something about another place than the one that was asked for.
fn refuse(args: &RunArgs) -> Result<(), RunError> {
    let is_target = !args.target.is_empty();
    let is_distributed = args.engine == Engine::Distributed;
    only_where_we_start(args, is_target, is_distributed)?;
    only_with_a_broker(args, is_target, is_distributed)?;
    for (flag, is_given) in [
        ("--child", args.child),
        ("--data", args.data.is_some()),
        ("--plant", args.plant.is_some() && is_target),
        ("--engine distributed", is_distributed && is_target),
    ] {
        if is_given && is_target {
            return bad(flag, "a --target runs already; leave one of the two out");
        }
        if is_given && is_distributed {
            let why = "a distributed shop has processes and databases of its own; leave it out";
            return bad(flag, why);
        }
    }
    only_with_traces(args, is_target)?;
    for (flag, url, scheme) in [
        ("--postgres", &args.postgres, "postgres"),
        ("--amqp", &args.amqp, "amqp"),
    ] {
        let is_url = |url: &String| {
            let scheme_of = url.split_once("://").map(|(scheme, _)| scheme);
            scheme_of.is_some_and(|its| its.starts_with(scheme))
        };
        if url.as_ref().is_some_and(|url| !is_url(url)) {
            return bad(
                flag,
                &format!("must look like {scheme}://user:password@host/…"),
            );
        }
    }
    Ok(())
}

fn only_where_we_start(
    args: &RunArgs,
    is_target: bool,
    is_distributed: bool,
) -> Result<(), RunError> {
    for (flag, is_given) in [
        ("--postgres", args.postgres.is_some()),
        ("--replicas", args.replicas.is_some()),
        ("--batch-max", args.batch_max.is_some()),
    ] {
        if is_given && is_target {
            let why = "a --target runs already, nothing is started for it; leave it out";
            return bad(flag, why);
        }
        if is_given && !is_distributed {
            return bad(flag, "the embedded shop has none; add --engine distributed");
        }
    }
    Ok(())
}

fn only_with_traces(args: &RunArgs, is_target: bool) -> Result<(), RunError> {
    for (flag, is_given) in [
        ("--otlp-endpoint", args.otlp_endpoint.is_some()),
        ("--otlp-keep", args.otlp_keep.is_some()),
    ] {
        if is_given && is_target {
            let why = "the traces of a --target do not come to the run; \
                       set OTEL_EXPORTER_OTLP_ENDPOINT for its services";
            return bad(flag, why);
        }
        if is_given && args.traces <= 0.0 {
            let why = "--traces 0 records nothing to hand on; leave one of the two out";
            return bad(flag, why);
        }
    }
    Ok(())
}

fn only_with_a_broker(
    args: &RunArgs,
    is_target: bool,
    is_distributed: bool,
) -> Result<(), RunError> {
    for (flag, is_given) in [
        ("--amqp", args.amqp.is_some()),
        ("--routing", args.routing.is_some()),
    ] {
        if is_given && !is_target && !is_distributed {
            let why =
                "the embedded shop has a broker of its own; add --engine distributed or --target";
            return bad(flag, why);
        }
    }
    if args.prefix.is_some() && !is_target {
        return bad(
            "--prefix",
            "only a --target has names that we do not choose",
        );
    }
    if is_target && args.amqp.is_none() && (args.prefix.is_some() || args.routing.is_some()) {
        let why = "they say what to listen to on the broker; add --amqp";
        return bad("--prefix, --routing", why);
    }
    Ok(())
}

fn bad(flag: &str, why: &str) -> Result<(), RunError> {
    Err(RunError::Config(format!("{flag}: {why}")))
}

fn this_program() -> Result<PathBuf, RunError> {
    let program = std::env::current_exe();
    program.map_err(|error| RunError::SetUp(format!("where is this program? {error}")))
}

/// All replicas that were named, when each service has one.
fn places(targets: &[Target]) -> Result<Places, RunError> {
    let mut places = Places::default();
    for (service, address) in targets.iter().flat_map(|target| &target.0) {
        places.add(service, *address);
    }
    let missing = places.missing();
    if missing.is_empty() {
        return Ok(places);
    }
    let missing: Vec<String> = missing.iter().map(|name| format!("{name}=URL")).collect();
    let missing = missing.join(",");
    Err(RunError::Config(format!("--target: missing are {missing}")))
}

/// Reads one `--target`.
pub(crate) fn target(text: &str) -> Result<Target, String> {
    text.split(',')
        .map(replica)
        .collect::<Result<_, _>>()
        .map(Target)
}

fn replica(text: &str) -> Result<(String, SocketAddr), String> {
    let (service, url) = text
        .trim()
        .split_once('=')
        .ok_or_else(|| format!("{text:?} must look like orders=http://host:8001"))?;
    let known = harness::target::SERVICES;
    if !known.contains(&service) {
        let known = known.join(" ");
        return Err(format!(
            "there is no service {service:?}; there are: {known}"
        ));
    }
    let host = url
        .strip_prefix("http://")
        .map(|rest| rest.strip_suffix('/').unwrap_or(rest))
        .filter(|host| !host.is_empty() && !host.contains(['/', '?', '@']))
        .ok_or_else(|| format!("{service}: {url:?} must look like http://host:port"))?;
    let host = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let found = host.to_socket_addrs();
    let found = found.map_err(|error| format!("{service}: {host}: {error}"))?;
    // A name for both families is mostly served on the older one only.
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(|address| !address.is_ipv4());
    let first = found.first().copied();
    let first = first.ok_or_else(|| format!("{service}: nobody knows where {host} is"))?;
    Ok((service.to_owned(), first))
}
