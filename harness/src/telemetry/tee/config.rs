//! Where kept traces go, from a flag or from the variables that OpenTelemetry gives for it.

use platform::telemetry::{BadVariable, Protocol, Settings};

/// Of what is not interesting, so much is kept if nothing else is said.
pub const KEEP: f64 = 0.1;
/// What is said of all signals.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Where kept traces go.
#[derive(Debug, Clone, PartialEq)]
pub struct TeeConfig {
    /// The collector, and how it is spoken to.
    pub collector: Settings,
    /// The share that is kept of what is not interesting, from 0 to 1.
    pub keep: f64,
}

impl TeeConfig {
    /// To `endpoint`, or to where `variable` says; none when nobody says anything.
    ///
    /// # Errors
    /// What cannot be used, with the name of its flag and its variable.
    pub fn read(
        endpoint: Option<&str>,
        keep: f64,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        // Who names a collector means that one; how the shop itself would sample and queue is not meant for us.
        let is_heard = |name: &str| match endpoint {
            Some(_) => name.ends_with("_PROTOCOL") || is_about_the_way(name),
            None => name.starts_with("OTEL_EXPORTER") || is_about_sending(name),
        };
        let read = Settings::read(|name| match (name, endpoint) {
            (ENDPOINT, Some(endpoint)) => Some(endpoint.to_owned()),
            _ if is_heard(name) => variable(name),
            _ => None,
        });
        let collector = read.map_err(|bad| {
            let bad: Vec<String> = bad.iter().map(|bad| told(bad, endpoint)).collect();
            bad.join("\n")
        })?;
        let Some(collector) = collector else {
            return Ok(None);
        };
        if collector.protocol == Protocol::Grpc {
            return Err(
                "OTEL_EXPORTER_OTLP_PROTOCOL: a run hands traces on as http/protobuf, got \"grpc\"; unset it, and name \
                 the collector's address for HTTP, which mostly has the port 4318"
                    .to_owned(),
            );
        }
        Ok(Some(Self { collector, keep }))
    }
}

fn is_about_the_way(name: &str) -> bool {
    name.ends_with("_HEADERS") || name.ends_with("_TIMEOUT")
}

fn is_about_sending(name: &str) -> bool {
    ["OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"].contains(&name)
}

fn told(bad: &BadVariable, endpoint: Option<&str>) -> String {
    let BadVariable { name, message } = bad;
    match endpoint {
        Some(_) if *name == ENDPOINT => format!("--otlp-endpoint: {message}"),
        _ => format!("{name}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flag: Option<&str>, set: &[(&str, &str)]) -> Result<Option<TeeConfig>, String> {
        TeeConfig::read(flag, KEEP, |name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_flag_goes_before_the_variables_and_without_both_nothing_is_handed_on() {
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:9/x");
        let set = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"),
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "key=secret"),
        ];
        assert_eq!(read(None, &[]), Ok(None));
        assert_eq!(read(None, &set), Ok(None));
        let ambient = read(None, &set[..1]).unwrap().unwrap();
        assert_eq!(ambient.collector.endpoint, "http://a:4318/v1/traces");
        let flag = [&set[..], &[traces]].concat();
        let named = read(Some("https://c/"), &flag).unwrap().unwrap();
        assert_eq!(named.collector.endpoint, "https://c/v1/traces");
        assert_eq!(named.collector.headers.len(), 1);
    }

    #[test]
    fn what_cannot_be_used_is_named_with_the_way_out() {
        let wrong = read(Some("localhost"), &[]).unwrap_err();
        assert_eq!(
            wrong,
            "--otlp-endpoint: must look like http://host:4318, got \"localhost\""
        );
        let set = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        let wrong = read(None, &set).unwrap_err();
        assert!(wrong.contains("OTEL_EXPORTER_OTLP_PROTOCOL") && wrong.contains("4318"));
    }
}
