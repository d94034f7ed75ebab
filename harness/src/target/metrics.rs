//! A service's own metrics, as far as the harness looks at them while a run is on.
//!
//! Clients count for themselves, so counts are added up. What they read from their common database each of them
//! says whole: there the largest counts.

use super::Clients;
use crate::client::{Call, Client};
use hyper::StatusCode;
use std::collections::BTreeMap;

/// All series of a service at one moment, by replica.
#[derive(Debug, Clone)]
pub struct Metrics(Vec<String>);

impl Metrics {
    /// Asks one replica of a service; none when it does not answer.
    pub async fn read(client: &Client) -> Option<Self> {
        Some(Self(vec![text(client).await?]))
    }

    /// Asks all replicas of a service; none when one does not answer.
    pub async fn read_all(replicas: &Clients) -> Option<Self> {
        let texts = replicas.all().iter().map(text);
        let texts = futures_util::future::join_all(texts).await;
        Some(Self(texts.into_iter().collect::<Option<_>>()?))
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The sum of all series of a metric; none when there is none, or one is no whole number.
    pub fn sum(&self, name: &str) -> Option<u64> {
        let mut series = self.series(name).peekable();
        series.peek()?;
        series.map(|(_, value)| value.parse::<u64>().ok()).sum()
    }

    /// The sum of all series of a metric in seconds, as microseconds; none when there is none.
    pub fn micros(&self, name: &str) -> Option<u64> {
        let mut series = self.series(name).peekable();
        series.peek()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time since 1970 of a few replicas"
        )]
        let micros = |value: f64| (value * 1e6) as u64;
        series
            .map(|(_, value)| value.parse::<f64>().ok().map(micros))
            .sum()
    }

    /// The sum of the series of a metric that have a label with this value.
    pub fn sum_where(&self, name: &str, key: &str, value: &str) -> u64 {
        let series = self.series(name);
        let meant = series.filter(|(labels, _)| label(labels, key) == Some(value));
        meant
            .filter_map(|(_, count)| count.parse::<u64>().ok())
            .sum()
    }

    /// What the replica with the most of it says of a metric that each of them reads from the same database; none
    /// when there is none.
    pub fn most(&self, name: &str) -> Option<u64> {
        let replicas = self.0.iter();
        let each = replicas.filter_map(|replica| Self(vec![replica.clone()]).sum(name));
        each.max()
    }

    /// Sagas by how they ended: `finished`, `under_minimum`, …
    pub fn settled(&self) -> BTreeMap<String, u64> {
        let mut settled = BTreeMap::new();
        for (labels, value) in self.series("crashcart_sagas_settled_total") {
            let reason = label(labels, "reason").filter(|reason| !reason.is_empty());
            let outcome = reason.or_else(|| label(labels, "outcome"));
            if let (Some(outcome), Ok(count)) = (outcome, value.parse::<u64>()) {
                *settled.entry(outcome.to_owned()).or_default() += count;
            }
        }
        settled
    }

    /// Buckets of how long sagas took: the upper bound in seconds, and how many took at most that.
    pub fn saga_buckets(&self) -> BTreeMap<String, u64> {
        let mut buckets = BTreeMap::new();
        for (labels, value) in self.series("crashcart_saga_duration_seconds_bucket") {
            if let (Some(bound), Ok(count)) = (label(labels, "le"), value.parse::<u64>()) {
                *buckets.entry(bound.to_owned()).or_default() += count;
            }
        }
        buckets
    }

    /// How many values of a histogram lie above one of its bounds.
    pub fn above(&self, name: &str, bound: &str) -> u64 {
        self.above_where(name, bound, |_| true)
    }

    /// How many requests that change something took longer than a bound, in seconds. Those that only look do not
    /// count: we look ourselves, and what we see must not come from that.
    pub fn changes_above(&self, bound: &str) -> u64 {
        let name = "http_server_request_duration_seconds";
        self.above_where(name, bound, |labels| {
            label(labels, "http_request_method") == Some("POST")
        })
    }

    fn above_where(&self, name: &str, bound: &str, is_meant: fn(&str) -> bool) -> u64 {
        let (counts, buckets) = (format!("{name}_count"), format!("{name}_bucket"));
        let total = |series: &str, is_in: &dyn Fn(&str) -> bool| -> u64 {
            let meant = self.series(series);
            let meant = meant.filter(|(labels, _)| is_meant(labels) && is_in(labels));
            meant
                .filter_map(|(_, value)| value.parse::<u64>().ok())
                .sum()
        };
        let below = total(&buckets, &|labels| label(labels, "le") == Some(bound));
        total(&counts, &|_| true).saturating_sub(below)
    }

    fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let lines = self.0.iter().flat_map(|replica| replica.lines());
        lines.filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, value))
        })
    }
}

async fn text(client: &Client) -> Option<String> {
    let Ok((StatusCode::OK, body)) = client.send(Call::get("/metrics")).await else {
        return None;
    };
    Some(String::from_utf8_lossy(&body).into_owned())
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = labels.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_hangs_is_late_and_one_that_only_looks_does_not_count() {
        let series = |method: &str, below: u64, all: u64| {
            let name = "http_server_request_duration_seconds";
            let labels = format!("http_request_method=\"{method}\",http_route=\"/api/v1/orders\"");
            format!(
                "{name}_bucket{{{labels},le=\"0.1\"}} {below}\n{name}_bucket{{{labels},le=\"0.5\"}} {below}\n\
                 {name}_bucket{{{labels},le=\"+Inf\"}} {all}\n{name}_sum{{{labels}}} 3.5\n\
                 {name}_count{{{labels}}} {all}\n"
            )
        };
        let metrics = Metrics(vec![series("POST", 3, 8), series("GET", 1, 90)]);
        assert_eq!(metrics.changes_above("0.5"), 5);
        assert_eq!(
            metrics.above("http_server_request_duration_seconds", "0.5"),
            94
        );
        assert_eq!(Metrics(vec![String::new()]).changes_above("0.5"), 0);
    }
}
