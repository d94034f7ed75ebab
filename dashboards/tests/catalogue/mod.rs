//! Which metrics there are, and which labels each has.

use dashboards::{RuleKind, Scale, rule_list};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Labels that Prometheus gives to whatever it scrapes.
const OF_TARGETS: [&str; 3] = ["service", "instance", "job"];
/// RabbitMQ's own, as far as we ask for them.
const OF_RABBITMQ: [&str; 2] = ["queue", "vhost"];

/// Every metric with its labels.
pub struct Catalogue(BTreeMap<String, BTreeSet<String>>);

impl Catalogue {
    /// What telemetry.yaml says, what rules record, and what Prometheus says of itself.
    pub fn read() -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/platform/telemetry.yaml");
        let text = fs::read_to_string(path).expect("the catalogue");
        let catalogue: Value = serde_saphyr::from_str(&text).expect("YAML");
        let mut known = BTreeMap::new();
        for metric in catalogue["metrics"].as_array().expect("metrics") {
            let name = metric["name"].as_str().expect("a name");
            let labels = metric["labels"].as_array().expect("labels").iter();
            let labels = labels.map(|label| label.as_str().expect("a label"));
            let labels: Vec<&str> = labels.chain(OF_TARGETS).collect();
            if metric["type"] == "histogram" {
                let with_le = [labels.as_slice(), &["le"]].concat();
                put(&mut known, &format!("{name}_bucket"), &with_le);
                put(&mut known, &format!("{name}_sum"), &labels);
                put(&mut known, &format!("{name}_count"), &labels);
            } else {
                put(&mut known, name, &labels);
            }
        }
        put(&mut known, "up", &OF_TARGETS);
        put(
            &mut known,
            "ALERTS",
            &["alertname", "alertstate", "severity", "service"],
        );
        for rule in rule_list(Scale::REAL) {
            if rule.kind == RuleKind::Recording {
                put(&mut known, &rule.name, &[]);
            }
        }
        Self(known)
    }

    /// The labels of a metric; none for a metric that there is not.
    pub fn labels(&self, metric: &str) -> Option<BTreeSet<String>> {
        if metric.starts_with("rabbitmq_") {
            return Some(
                [OF_TARGETS.as_slice(), &OF_RABBITMQ]
                    .concat()
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
            );
        }
        self.0.get(metric).cloned()
    }
}

fn put(known: &mut BTreeMap<String, BTreeSet<String>>, name: &str, labels: &[&str]) {
    known.insert(
        name.to_owned(),
        labels.iter().map(|label| (*label).to_owned()).collect(),
    );
}
