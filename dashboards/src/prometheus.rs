//! What Prometheus asks, how often, and what it is told of whom it asks.
//!
//! Each target has a label `service`; replicas of one service differ in `instance`. The harness tells of faults *at* a
//! service in a label of the same name, which therefore goes before the one that is given here.

use crate::duration;
use std::fmt::Write;
use std::time::Duration;

/// RabbitMQ works out its numbers for each request; that costs more than a look at a counter.
const RABBITMQ_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Prometheus' own default.
const TIMEOUT_MAX: Duration = Duration::from_secs(10);

/// Everything that Prometheus is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How often everybody is asked; 250 ms is as often as makes sense.
    pub interval: Duration,
    /// The file with the rules, from the folder of the configuration on.
    pub rules: String,
    /// Who is asked.
    pub targets: Vec<Target>,
}

/// One service, with all its replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `orders`, `products`, `payments`, `provider`, `harness` or `rabbitmq`.
    pub service: String,
    /// Where its replicas are.
    pub place: Place,
}

/// Where the replicas of a service are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At these, each `host:port`.
    Addresses(Vec<String>),
    /// At every address that this name has, looked up again and again.
    Name {
        /// A name of the network's own.
        host: String,
        /// On which port.
        port: u16,
    },
}

impl Settings {
    /// Those of compose.yaml: as many replicas as its network knows, and a harness while one runs.
    pub fn compose() -> Self {
        let known = [
            ("orders", 8001),
            ("products", 8002),
            ("payments", 8003),
            ("provider", 8004),
            ("harness", 9464),
            ("rabbitmq", 15692),
        ];
        let targets = known.map(|(service, port)| Target {
            service: service.to_owned(),
            place: Place::Name {
                host: service.to_owned(),
                port,
            },
        });
        Self {
            interval: Duration::from_secs(5),
            rules: "rules.yml".to_owned(),
            targets: targets.into(),
        }
    }
}

/// Prometheus' configuration (YAML).
pub fn prometheus_config(settings: &Settings) -> String {
    let interval = settings.interval;
    let mut text = format!(
        "# Made by `cargo run -p dashboards`; change dashboards/src/prometheus.rs instead.\n\
         global:\n  scrape_interval: {interval}\n  scrape_timeout: {timeout}\n  evaluation_interval: {interval}\n\
         rule_files:\n  - {rules}\n\
         scrape_configs:\n",
        interval = duration::text(interval),
        timeout = duration::text(interval.min(TIMEOUT_MAX)),
        rules = settings.rules,
    );
    for target in &settings.targets {
        write_job(&mut text, target, interval);
    }
    text
}

fn write_job(text: &mut String, target: &Target, interval: Duration) {
    let service = &target.service;
    // Writing into a string cannot fail, here and below.
    let _ = writeln!(text, "  - job_name: {service}");
    match service.as_str() {
        "harness" => {
            text.push_str("    # A fault says at which service it is.\n    honor_labels: true\n");
        }
        "rabbitmq" => {
            let interval = interval.max(RABBITMQ_INTERVAL_MIN);
            let (every, timeout) = (
                duration::text(interval),
                duration::text(interval.min(TIMEOUT_MAX)),
            );
            text.push_str("    # Each queue by itself, not their sum.\n    metrics_path: /metrics/per-object\n");
            let _ = writeln!(
                text,
                "    scrape_interval: {every}\n    scrape_timeout: {timeout}"
            );
        }
        _ => {}
    }
    match &target.place {
        Place::Addresses(addresses) => {
            let addresses = addresses.iter().map(|address| format!("{address:?}"));
            let addresses = addresses.collect::<Vec<_>>().join(", ");
            let _ = write!(
                text,
                "    static_configs:\n      - targets: [{addresses}]\n        labels:\n          service: {service}\n"
            );
        }
        Place::Name { host, port } => {
            let _ = write!(
                text,
                "    dns_sd_configs:\n      - names: [{host}]\n        type: A\n        port: {port}\n        refresh_interval: 5s\n    \
                 relabel_configs:\n      - target_label: service\n        replacement: {service}\n"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_at_known_addresses_share_the_name_of_their_service() {
        let addresses = ["127.0.0.1:8001", "127.0.0.1:8101"].map(str::to_owned);
        let target = Target {
            service: "orders".to_owned(),
            place: Place::Addresses(addresses.into()),
        };
        let config = prometheus_config(&Settings {
            interval: Duration::from_millis(250),
            rules: "rules.yml".to_owned(),
            targets: vec![target],
        });
        assert!(
            config.contains("scrape_interval: 250ms\n  scrape_timeout: 250ms\n"),
            "{config}"
        );
        let job = "  - job_name: orders\n    static_configs:\n      - targets: [\"127.0.0.1:8001\", \"127.0.0.1:8101\"]\n        \
                   labels:\n          service: orders\n";
        assert!(config.ends_with(job), "{config}");
    }
}
