//! What the shop promises, and how each promise is measured: good events, of all events.

use crate::duration::{hours, minutes};
use std::time::Duration;

/// The windows over which a promise is looked at, by the name that stands in the recorded series.
pub const WINDOWS: [(&str, Duration); 4] = [
    ("5m", minutes(5)),
    ("30m", minutes(30)),
    ("1h", hours(1)),
    ("6h", hours(6)),
];

/// A promise: so many of all are good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// `accept` or `settle`, as in the names of the recorded series.
    pub name: &'static str,
    /// What is promised, in words.
    pub promise: &'static str,
    /// The share that must be good, between 0 and 1.
    pub target: f64,
    good: &'static str,
    all: &'static str,
}

/// All that the shop promises.
pub const OBJECTIVES: [Objective; 2] = [
    Objective {
        name: "accept",
        promise: "99.5 % of orders are answered within 100 ms, and not with a 5xx",
        target: 0.995,
        good: r#"http_server_request_duration_seconds_bucket{service="orders", http_request_method="POST", http_route="/api/v1/orders", http_response_status_code!~"5..", le="0.1"}"#,
        all: r#"http_server_request_duration_seconds_count{service="orders", http_request_method="POST", http_route="/api/v1/orders"}"#,
    },
    Objective {
        name: "settle",
        promise: "99 % of sagas settle within a second",
        target: 0.99,
        // Prometheus writes 1.0 for what it scraped as OpenMetrics, 1 for what it scraped as text.
        good: r#"crashcart_saga_duration_seconds_bucket{service="orders", le=~"1|1\\.0"}"#,
        all: r#"crashcart_saga_duration_seconds_count{service="orders"}"#,
    },
];

impl Objective {
    /// The share that may be bad.
    pub fn budget(&self) -> f64 {
        // Without the last digits of a binary fraction: this number stands in files that people read.
        ((1.0 - self.target) * 1e6).round() / 1e6
    }

    /// The name of the recorded share over a window.
    pub fn recorded(&self, window: &str) -> String {
        format!("shop:{}_good:ratio_{window}", self.name)
    }

    /// The share of good ones, between 0 and 1; nothing at all where there was nothing to judge.
    pub fn ratio(&self, range: &str) -> String {
        let Self { good, all, .. } = self;
        // When each of them failed there is no series of good ones; that is a share of 0, not a gap.
        format!("(sum(rate({good}[{range}])) or vector(0))\n/\n(sum(rate({all}[{range}])) > 0)")
    }

    /// How many times faster than it may the budget is spent: 1 spends exactly all of it.
    pub fn burn(&self, window: &str) -> String {
        format!("(1 - {}) / {}", self.recorded(window), self.budget())
    }
}
