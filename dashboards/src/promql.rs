//! Pieces of PromQL that several panels and rules are made of.

use crate::duration;
use std::time::Duration;

/// The services that tell of a process of their own.
pub(crate) const SHOP: &str = r#"service=~"orders|products|payments|provider""#;
/// Each fault that is on, with the service that it is at.
pub(crate) const FAULTS: &str = "max by (fault, service) (crashcart_run_fault_active) > 0";
/// Grafana puts at least four scrapes here.
const RATE: &str = "[$__rate_interval]";

/// A quantile of a histogram over the last few scrapes, for each combination of `by`.
pub(crate) fn quantile(q: f64, metric: &str, selector: &str, by: &[&str]) -> String {
    let by = [&["le"], by].concat().join(", ");
    let braces = braces(selector);
    format!("histogram_quantile({q}, sum by ({by}) (rate({metric}_bucket{braces}{RATE})))")
}

/// How often a second, for each combination of `by`.
pub(crate) fn rate(metric: &str, selector: &str, by: &[&str]) -> String {
    let by = if by.is_empty() {
        String::new()
    } else {
        format!(" by ({})", by.join(", "))
    };
    format!("sum{by} (rate({metric}{}{RATE}))", braces(selector))
}

/// The mean of what a histogram was given, for each service.
pub(crate) fn mean(metric: &str) -> String {
    format!(
        "{} / ({} > 0)",
        rate(&format!("{metric}_sum"), "", &["service"]),
        rate(&format!("{metric}_count"), "", &["service"])
    )
}

/// What a shared database says: each replica tells the same, so the highest is the truth, not the sum.
pub(crate) fn shared(metric: &str, by: &[&str]) -> String {
    let by = [&["service"], by].concat().join(", ");
    format!("max by ({by}) ({metric})")
}

fn braces(selector: &str) -> String {
    if selector.is_empty() {
        String::new()
    } else {
        format!("{{{selector}}}")
    }
}

/// An expression of a board as Prometheus itself takes it: Grafana's `$__rate_interval` is `rate`, its `$__range` is
/// `range`, its `$__interval` a quarter of `rate`.
pub fn with_durations(expr: &str, rate: Duration, range: Duration) -> String {
    expr.replace("$__rate_interval", &duration::text(rate))
        .replace("$__range", &duration::text(range))
        .replace("$__interval", &duration::text(rate / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_grafana_become_durations_of_prometheus() {
        let expr = with_durations(
            &rate("crashcart_retries_total", r#"service="orders""#, &["type"]),
            Duration::from_millis(2_500),
            Duration::from_secs(60),
        );
        assert_eq!(
            expr,
            r#"sum by (type) (rate(crashcart_retries_total{service="orders"}[2500ms]))"#
        );
        let expr = with_durations(
            "increase(x[$__range])",
            Duration::from_secs(4),
            Duration::from_secs(60),
        );
        assert_eq!(expr, "increase(x[1m])");
    }
}
