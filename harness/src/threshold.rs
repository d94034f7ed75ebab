//! Thresholds: what a run must reach besides being right. `accept p(99)<10ms`, in the words of k6.

use crate::report::{Figures, Latency};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What a threshold looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    Accept,
    AcceptRaw,
    Settle,
    Late,
}

/// Which number of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Statistic {
    /// 0 to 1.
    Quantile(f64),
    Max,
    Count,
}

/// A condition such as `settle p(99)<250ms`.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    text: String,
    metric: Metric,
    statistic: Statistic,
    /// `<` or `<=`, else `>` or `>=`.
    is_below: bool,
    includes: bool,
    /// In milliseconds, or a count.
    bound: f64,
}

/// A threshold and whether it held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Judged {
    /// As it was asked for.
    pub threshold: String,
    /// Whether it held.
    pub held: bool,
    /// What was measured, with its unit.
    pub was: String,
}

const FORM: &str = "must look like `accept p(99)<10ms`: accept, accept-raw, settle or generator; p(1) to p(99.99), max \
                    or count; <, <=, > or >=; a number with ms or s (none for count)";

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| FORM.to_owned())
    }
}

fn parse(text: &str) -> Option<Threshold> {
    let compact: String = text.split_whitespace().collect();
    let at = compact.find(['<', '>'])?;
    let (left, right) = compact.split_at(at);
    let is_below = right.starts_with('<');
    let right = &right[1..];
    let (includes, right) = right
        .strip_prefix('=')
        .map_or((false, right), |right| (true, right));
    let names = [
        ("accept-raw", Metric::AcceptRaw),
        ("accept", Metric::Accept),
        ("settle", Metric::Settle),
        ("generator", Metric::Late),
    ];
    let (metric, statistic) = names
        .into_iter()
        .find_map(|(name, metric)| Some((metric, left.strip_prefix(name)?)))?;
    let statistic = match statistic {
        "max" => Statistic::Max,
        "count" => Statistic::Count,
        other => {
            let percent: f64 = other.strip_prefix("p(")?.strip_suffix(')')?.parse().ok()?;
            Statistic::Quantile(
                Some(percent / 100.0).filter(|quantile| (0.0..1.0).contains(quantile))?,
            )
        }
    };
    let (number, factor) = match statistic {
        Statistic::Count => (right, 1.0),
        _ => right
            .strip_suffix("ms")
            .map(|ms| (ms, 1.0))
            .or_else(|| Some((right.strip_suffix('s')?, 1_000.0)))?,
    };
    let bound = number
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number >= 0.0)?
        * factor;
    Some(Threshold {
        text: text.to_owned(),
        metric,
        statistic,
        is_below,
        includes,
        bound,
    })
}

impl Threshold {
    /// Whether it held.
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds and counts for people"
    )]
    pub fn judge(&self, figures: &Figures) -> Judged {
        let (histogram, late) = match self.metric {
            Metric::Accept => (Some(&figures.accept_us), None),
            Metric::AcceptRaw => (Some(&figures.accept_raw_us), None),
            Metric::Settle => (Some(&figures.settle_us), None),
            Metric::Late => (None, Some(figures.late)),
        };
        let was = match (self.statistic, histogram, late) {
            (Statistic::Count, Some(histogram), _) => histogram.len() as f64,
            (Statistic::Max, Some(histogram), _) => histogram.max() as f64 / 1e3,
            (Statistic::Quantile(quantile), Some(histogram), _) => {
                histogram.value_at_quantile(quantile) as f64 / 1e3
            }
            (statistic, None, late) => of_latency(statistic, late.unwrap_or_default()),
        };
        let held = match (self.is_below, self.includes) {
            (true, false) => was < self.bound,
            (true, true) => was <= self.bound,
            (false, false) => was > self.bound,
            (false, true) => was >= self.bound,
        };
        let unit = if self.statistic == Statistic::Count {
            ""
        } else {
            " ms"
        };
        Judged {
            threshold: self.text.clone(),
            held,
            was: format!("{was:.1}{unit}"),
        }
    }

    /// As it was asked for.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The generator's lateness is recorded as a few quantiles; the next higher one is the honest answer.
#[expect(clippy::cast_precision_loss, reason = "counts for people")]
fn of_latency(statistic: Statistic, latency: Latency) -> f64 {
    match statistic {
        Statistic::Count => latency.count as f64,
        Statistic::Quantile(quantile) if quantile <= 0.5 => latency.ms_p50,
        Statistic::Quantile(quantile) if quantile <= 0.9 => latency.ms_p90,
        Statistic::Quantile(quantile) if quantile <= 0.99 => latency.ms_p99,
        Statistic::Quantile(_) | Statistic::Max => latency.ms_max,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_read_or_refused_with_its_form() {
        for good in [
            "accept p(99)<10ms",
            "settle p(99.9) <= 2s",
            "settle max<3s",
            "accept count>=1000",
            "generator p(99)<1ms",
        ] {
            assert!(good.parse::<Threshold>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "accept",
            "accept<10ms",
            "accept p(100)<1ms",
            "accept p(99)<10",
            "pay p(9)<1ms",
            "settle max<-1s",
        ] {
            assert!(bad.parse::<Threshold>().is_err(), "{bad}");
        }
    }

    #[test]
    fn it_is_judged_by_the_figures() {
        let mut figures = Figures {
            accept_us: crate::load::histogram(),
            accept_raw_us: crate::load::histogram(),
            settle_us: crate::load::histogram(),
            late: Latency::default(),
        };
        for us in [1_000, 2_000, 9_000] {
            figures.accept_us.saturating_record(us);
        }
        let held = |text: &str| text.parse::<Threshold>().unwrap().judge(&figures).held;
        assert!(held("accept p(50)<2.1ms") && held("accept count>=3") && held("accept max>8ms"));
        assert!(!held("accept p(99)<5ms") && !held("accept count>3"));
    }
}
