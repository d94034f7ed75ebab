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
