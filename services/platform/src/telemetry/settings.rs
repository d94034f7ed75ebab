//! Where telemetry goes and how much of it, read from the variables that OpenTelemetry gives for it.

use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// Protobuf over HTTP/1.1.
    Http,
    /// gRPC over HTTP/2.
    Grpc,
}

/// Which of the traces that begin here are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Root {
    All,
    None,
    Ratio(f64),
}

impl Root {
    const fn sampler(self) -> Sampler {
        match self {
            Self::All => Sampler::AlwaysOn,
            Self::None => Sampler::AlwaysOff,
            Self::Ratio(ratio) => Sampler::TraceIdRatioBased(ratio),
        }
    }
}

/// Which traces are recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Whoever called decides, if he has.
    parent_decides: bool,
    root: Root,
}

impl Sampling {
    /// This share of the traces that begin here, and those that others have begun to record.
    pub fn ratio(ratio: f64) -> Self {
        Self {
            parent_decides: true,
            root: Root::Ratio(ratio),
        }
    }

    /// Reads the values of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.
    ///
    /// # Errors
    /// Which of them cannot be used, and what could.
    pub fn parse(name: &str, argument: Option<&str>) -> Result<Self, BadVariable> {
        let (parent_decides, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_on" => Root::All,
            "always_off" => Root::None,
            "traceidratio" => {
                let given = argument.unwrap_or("1");
                let ratio = given
                    .parse()
                    .ok()
                    .filter(|ratio| (0.0..=1.0).contains(ratio));
                Root::Ratio(ratio.ok_or_else(|| BadVariable {
                    name: "OTEL_TRACES_SAMPLER_ARG",
                    message: format!("must be between 0 and 1, got {given:?}"),
                })?)
            }
            _ => {
                let known = "must be always_on, always_off or traceidratio, each also after \"parentbased_\"";
                return Err(BadVariable {
                    name: "OTEL_TRACES_SAMPLER",
                    message: format!("{known}, got {name:?}"),
                });
            }
        };
        Ok(Self {
            parent_decides,
            root,
        })
    }

    /// Whether a step of this trace is recorded; `parent` is what the caller has decided, if there is one.
    pub fn takes(&self, trace_id: u128, parent: Option<bool>) -> bool {
        match parent {
            Some(taken) if self.parent_decides => taken,
            _ => {
                let id = TraceId::from_bytes(trace_id.to_be_bytes());
                let decided =
                    self.root
                        .sampler()
                        .should_sample(None, id, "", &SpanKind::Server, &[], &[]);
                decided.decision == SamplingDecision::RecordAndSample
            }
        }
    }

    pub(super) fn sampler(&self) -> Sampler {
        if self.parent_decides {
            Sampler::ParentBased(Box::new(self.root.sampler()))
        } else {
            self.root.sampler()
        }
    }
}

/// Where spans go, how many, and how long they may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The collector, with the path of the signal for HTTP.
    pub endpoint: String,
    /// How spans travel.
    pub protocol: Protocol,
    /// Sent along with each request.
    pub headers: Vec<(String, String)>,
    /// How long a request may take.
    pub timeout: Duration,
    /// Which traces are recorded.
    pub sampling: Sampling,
    /// Said of every service besides its own name.
    pub resource: Vec<(String, String)>,
    /// Spans that wait to be sent, of each service; one more is dropped.
    pub queue_max: usize,
    /// Spans in one request.
    pub batch_max: usize,
    /// How long spans are gathered for a request.
    pub delay: Duration,
}

impl Settings {
    /// To the collector at `endpoint`, for HTTP with its path, and everything else as usual.
    pub fn to(endpoint: String, protocol: Protocol) -> Self {
        Self {
            endpoint,
            protocol,
            headers: Vec::new(),
            timeout: Duration::from_secs(10),
            sampling: Sampling::ratio(1.0),
            resource: Vec::new(),
            queue_max: 65_536,
            batch_max: 2_048,
            delay: Duration::from_millis(500),
        }
    }

    /// Reads the `OTEL_*` variables; none when there is nowhere to send to, or nothing is to be sent.
    ///
    /// # Errors
    /// Everything that cannot be used, each with the name of its variable.
    pub fn read(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Vec<BadVariable>> {
        let variables = Variables {
            variable,
            bad: Vec::new(),
        };
        variables.read()
    }
}

/// A variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadVariable {
    /// Its name.
    pub name: &'static str,
    /// What it must be, and what it is.
    pub message: String,
}

/// The variables, and what is wrong with them.
struct Variables<F> {
    variable: F,
    bad: Vec<BadVariable>,
}

/// A value and the variable that it stood in.
type Found = Option<(String, &'static str)>;

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn get(&self, name: &'static str) -> Found {
        let value = (self.variable)(name)?.trim().to_owned();
        (!value.is_empty()).then_some((value, name))
    }

    fn wrong(&mut self, name: &'static str, message: String) {
        self.bad.push(BadVariable { name, message });
    }

    fn read(mut self) -> Result<Option<Settings>, Vec<BadVariable>> {
        let disabled = self.get("OTEL_SDK_DISABLED");
        if disabled.is_some_and(|(value, _)| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        match self.get("OTEL_TRACES_EXPORTER") {
            Some((value, _)) if value == "none" => return Ok(None),
            Some((value, name)) if value != "otlp" => {
                self.wrong(name, format!("must be otlp or none, got {value:?}"));
            }
            _ => {}
        }
        // What holds for traces alone goes before what holds for all signals.
        let of_otlp = |traces, all| self.get(traces).or_else(|| self.get(all));
        let protocol = of_otlp(
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        );
        let endpoint = of_otlp(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        );
        let headers = of_otlp(
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        );
        let timeout = of_otlp(
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
        );
        let protocol = self.protocol(&protocol);
        let endpoint = self.endpoint(endpoint, protocol);
        let mut settings = Settings::to(endpoint.clone().unwrap_or_default(), protocol);
        settings.headers = self.pairs(headers);
        settings.resource = self.pairs(self.get("OTEL_RESOURCE_ATTRIBUTES"));
        let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        if let Some(ms) = self.number(timeout) {
            settings.timeout = Duration::from_millis(ms);
        }
        if let Some(ms) = self.number(self.get("OTEL_BSP_SCHEDULE_DELAY")) {
            settings.delay = Duration::from_millis(ms);
        }
        if let Some(n) = self.number(self.get("OTEL_BSP_MAX_QUEUE_SIZE")) {
            settings.queue_max = size(n);
        }
        if let Some(n) = self.number(self.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")) {
            settings.batch_max = size(n);
        }
        if let Some((sampler, _)) = self.get("OTEL_TRACES_SAMPLER") {
            let argument = self.get("OTEL_TRACES_SAMPLER_ARG").map(|(value, _)| value);
            match Sampling::parse(&sampler, argument.as_deref()) {
                Ok(sampling) => settings.sampling = sampling,
                Err(bad) => self.bad.push(bad),
            }
        }
        if self.bad.is_empty() {
            Ok(endpoint.map(|_| settings))
        } else {
            Err(self.bad)
        }
    }

    fn protocol(&mut self, found: &Found) -> Protocol {
        match found.as_ref().map(|(value, name)| (value.as_str(), *name)) {
            None | Some(("http/protobuf", _)) => Protocol::Http,
            Some(("grpc", _)) => Protocol::Grpc,
            Some((other, name)) => {
                self.wrong(
                    name,
                    format!("must be http/protobuf or grpc, got {other:?}"),
                );
                Protocol::Http
            }
        }
    }

    /// The address of a signal is taken as it is, the address of all of them gets a path.
    fn endpoint(&mut self, found: Found, protocol: Protocol) -> Option<String> {
        let (given, name) = found?;
        let uri = given.parse::<hyper::Uri>().ok();
        let is_url = uri.is_some_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !is_url {
            self.wrong(
                name,
                format!("must look like http://host:4318, got {given:?}"),
            );
        }
        let is_whole = protocol == Protocol::Grpc || name.contains("_TRACES_");
        Some(if is_whole {
            given
        } else {
            format!("{}/v1/traces", given.trim_end_matches('/'))
        })
    }

    fn number(&mut self, found: Found) -> Option<u64> {
        let (value, name) = found?;
        let number = value.parse().ok().filter(|n| (1..=100_000_000).contains(n));
        if number.is_none() {
            self.wrong(
                name,
                format!("must be a whole number between 1 and 100000000, got {value:?}"),
            );
        }
        number
    }

    /// `key=value,key=value`, percent-encoded.
    fn pairs(&mut self, found: Found) -> Vec<(String, String)> {
        let Some((value, name)) = found else {
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for pair in value
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            match pair
                .split_once('=')
                .map(|(key, value)| (decoded(key), decoded(value)))
            {
                Some((Some(key), Some(value))) if !key.is_empty() => pairs.push((key, value)),
                _ => self.wrong(
                    name,
                    format!("must look like key=value,key=value, got {pair:?}"),
                ),
            }
        }
        pairs
    }
}

fn decoded(text: &str) -> Option<String> {
    let text = text.trim();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, Vec<BadVariable>> {
        Settings::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_a_collector_nothing_is_sent_and_with_one_everything() {
        assert_eq!(read(&[]), Ok(None));
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/");
        let settings = read(&[endpoint]).unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://127.0.0.1:4318/v1/traces");
        assert!(settings.sampling.takes(1, None) && !settings.sampling.takes(1, Some(false)));
        assert_eq!(read(&[endpoint, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        assert_eq!(
            read(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]),
            Ok(None)
        );
    }

    #[test]
    fn what_is_said_of_traces_goes_before_what_is_said_of_all() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:9/x"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1, b=x%20y"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=test",
            ),
        ]);
        let settings = settings.unwrap().unwrap();
        assert_eq!(settings.endpoint, "http://traces:9/x");
        assert_eq!(settings.headers[1], ("b".to_owned(), "x y".to_owned()));
        assert_eq!(settings.timeout, Duration::from_millis(250));
        assert!(!settings.sampling.takes(u128::MAX >> 64, Some(true)));
        assert_eq!(settings.resource.len(), 1);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_with_the_name_of_its_variable() {
        let wrong = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ]);
        let wrong = wrong.unwrap_err();
        let names: Vec<_> = wrong.iter().map(|bad| bad.name).collect();
        assert_eq!(
            names,
            [
                "OTEL_TRACES_EXPORTER",
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "OTEL_EXPORTER_OTLP_HEADERS",
                "OTEL_BSP_MAX_QUEUE_SIZE",
                "OTEL_TRACES_SAMPLER",
            ]
        );
    }

    #[test]
    fn a_ratio_takes_its_share() {
        let sampling = Sampling::parse("parentbased_traceidratio", Some("0.25")).unwrap();
        let spread = (0..4_000_u128).map(|n| n * (u128::from(u64::MAX) / 4_000));
        let taken = spread.filter(|id| sampling.takes(*id, None)).count();
        assert!((990..=1_010).contains(&taken), "{taken}");
        assert!(Sampling::parse("traceidratio", Some("2")).is_err());
    }
}
