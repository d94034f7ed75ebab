//! What people look at while the shop runs: Grafana boards, alerts and recording rules, and Prometheus' own settings.
//!
//! Everything is written here as code and checked in as files; a test says when the two differ. Which metrics there are
//! is said in `services/platform/telemetry.yaml`, and another test holds each expression against it.

#![deny(missing_docs)]

mod board;
mod boards;
mod duration;
mod files;
mod json;
mod objective;
mod palette;
mod prometheus;
mod promql;
mod provisioning;
mod rules;

pub use board::{Board, Kind, Needs, Panel, Query, Row, Unit};
pub use boards::{Asked, boards, queries};
pub use duration::Scale;
pub use files::{File, files};
pub use objective::{OBJECTIVES, Objective, WINDOWS};
pub use prometheus::{Place, Settings, Target, prometheus_config};
pub use promql::with_durations;
pub use rules::{Rule, RuleKind, rule_list, rules};

/// The name under which panels, and the provisioning, know Prometheus.
pub const PROMETHEUS: &str = "prometheus";
/// The name under which exemplars, and the provisioning, know Jaeger.
pub const JAEGER: &str = "jaeger";
