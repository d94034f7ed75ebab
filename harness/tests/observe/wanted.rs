//! Expressions of the boards that have not found anything yet.

use crate::prometheus::Prometheus;
use dashboards::{Asked, PROMETHEUS, queries, with_durations};
use std::time::Duration;

/// What Grafana would put in the place of its variables: four times the longest pause between two looks, RabbitMQ's.
const RATE: Duration = Duration::from_secs(4);
/// The time that is shown.
const SHOWN: Duration = Duration::from_secs(30);

/// Expressions that have not found anything yet.
pub struct Wanted(Vec<Asked>);

impl Wanted {
    /// Those of all boards for which `is_due`.
    pub fn those(is_due: impl Fn(&Asked) -> bool) -> Self {
        let mut all = queries();
        assert!(all.iter().all(|asked| asked.datasource == PROMETHEUS));
        all.retain(is_due);
        assert!(!all.is_empty(), "nobody asks anything");
        Self(all)
    }

    /// Asks them all, and forgets those that found a number; true when none is left. Ends the test if Prometheus
    /// does not take one.
    pub fn ask(&mut self, prometheus: &Prometheus) -> bool {
        self.0.retain(|asked| {
            let expr = with_durations(&asked.expr, RATE, SHOWN);
            prometheus.first(&expr).is_none()
        });
        self.0.is_empty()
    }

    /// Ends the test if there are any left.
    pub fn none_left(&self) {
        let line = |asked: &Asked| format!("{}, {}: {}", asked.board, asked.panel, asked.expr);
        let left: Vec<String> = self.0.iter().map(line).collect();
        assert!(left.is_empty(), "nothing found by\n{}", left.join("\n"));
    }
}
