//! A service's own metrics, as far as the harness looks at them while a run is on.

use crate::client::{Call, Client};
use hyper::StatusCode;
use std::collections::BTreeMap;

/// All series of a service at one moment.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// Asks a service; none when it does not answer.
    pub async fn read(client: &Client) -> Option<Self> {
        let Ok((StatusCode::OK, body)) = client.send(Call::get("/metrics")).await else {
            return None;
        };
        Some(Self(String::from_utf8_lossy(&body).into_owned()))
    }

    /// The sum of all series of a metric; none when there is none, or one is no whole number.
    pub fn sum(&self, name: &str) -> Option<u64> {
        let mut series = self.series(name).peekable();
        series.peek()?;
        series.map(|(_, value)| value.parse::<u64>().ok()).sum()
    }

    /// Sagas by how they ended: `finished`, `under_minimum`, …
    pub fn settled(&self) -> BTreeMap<String, u64> {
        let series = self.series("crashcart_sagas_settled_total");
        let named = series.filter_map(|(labels, value)| {
            let reason = label(labels, "reason").filter(|reason| !reason.is_empty());
            Some((
                reason.or_else(|| label(labels, "outcome"))?.to_owned(),
                value.parse().ok()?,
            ))
        });
        named.collect()
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
        let all = self.sum(&format!("{name}_count")).unwrap_or(0);
        let buckets = format!("{name}_bucket");
        let below = self
            .series(&buckets)
            .filter(|(labels, _)| label(labels, "le") == Some(bound));
        let below: u64 = below
            .filter_map(|(_, value)| value.parse::<u64>().ok())
            .sum();
        all.saturating_sub(below)
    }

    fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            (labels.is_empty() || labels.starts_with('{')).then_some((labels, value))
        })
    }
}

fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = labels.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}
