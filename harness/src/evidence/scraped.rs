//! What services counted: the first and the last that each life of a replica told.

use super::read::{Reader, Result};
use crate::telemetry::{Example, Exposition, Family, Series, Shape, micros};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// When this life of the service began.
const BEGAN: &str = "crashcart_start_time_seconds";
/// What the process uses is nobody's promise, and not the same from run to run.
const OF_THE_PROCESS: &str = "process_";

/// The metrics of a replica at one moment, as they are kept in a recording.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScrapeLine<'a> {
    /// The service.
    #[serde(borrow)]
    pub service: Cow<'a, str>,
    /// Which of its replicas, from 0.
    pub replica: u32,
    /// When it was asked, microseconds since 1970.
    pub at_us: i64,
    /// What it said.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
}

/// The metrics of a replica at one moment.
#[derive(Debug, Clone)]
pub struct Scrape {
    /// The service.
    pub service: String,
    /// Which of its replicas.
    pub replica: u32,
    /// When it was asked, microseconds since 1970.
    pub at_us: i64,
    /// When this life of it began.
    pub life_us: i64,
    /// How many series there were.
    pub len: usize,
    /// The metrics, and what they are.
    pub families: BTreeMap<String, Family>,
    /// The values, but for those of the process.
    pub series: Vec<Series>,
}

impl Scrape {
    /// The sum of all series with this name whose labels have these values.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let meant = self.series.iter();
        let meant = meant.filter(|series| series.name == name && series.has(labels));
        meant.map(|series| series.value).sum()
    }

    /// Whether there is a series with this name.
    pub fn has(&self, name: &str) -> bool {
        self.series.iter().any(|series| series.name == name)
    }

    /// The traces that stand as examples.
    pub fn examples(&self) -> impl Iterator<Item = (&str, Example)> {
        let series = self.series.iter();
        series.filter_map(|series| Some((series.name.as_str(), series.example?)))
    }
}

/// When a request that was traced ended, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Microseconds since 1970.
    pub at_us: i64,
    /// Microseconds.
    pub took_us: i64,
}

impl Reader {
    /// Adds the metrics of a replica.
    ///
    /// # Errors
    /// When they cannot be read, or do not tell of which life they are.
    pub fn scrape(&mut self, line: &ScrapeLine<'_>) -> Result<()> {
        let Exposition {
            families,
            mut series,
        } = Exposition::parse(&line.text)?;
        let began = series.iter().find(|series| series.name == BEGAN);
        let began = began.ok_or_else(|| format!("{BEGAN} is not there"))?;
        let (life_us, len) = (micros(began.value), series.len());
        series.retain(|series| !series.name.starts_with(OF_THE_PROCESS));
        let examples = series.iter().filter_map(|series| series.example);
        let examples = examples.map(|example| (example.trace, false));
        let evidence = self.evidence();
        evidence.examples.extend(examples);
        evidence.scrapes.push(Scrape {
            service: line.service.to_string(),
            replica: line.replica,
            at_us: line.at_us,
            life_us,
            len,
            families,
            series,
        });
        Ok(())
    }

    /// Adds a form of spans.
    pub fn shape(&mut self, shape: Shape) {
        self.evidence().shapes.push(shape);
    }
}
