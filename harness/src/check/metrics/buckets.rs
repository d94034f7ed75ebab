//! What holds within a histogram, whatever it measures: promises are made of its buckets.

use crate::check::{Tally, Violation};
use crate::evidence::{Scrape, View};
use std::collections::BTreeMap;

/// The labels of a histogram without its bound, as text.
type Labels = String;

/// Looks at every histogram that any service told.
pub(super) fn judge(view: &View<'_>, tally: &mut Tally) {
    for scrape in &view.scrapes {
        let families = scrape.families.iter();
        let histograms = families.filter(|(_, family)| family.kind == "histogram");
        for (name, _) in histograms {
            for (labels, wrong) in wrongs(scrape, name) {
                let service = &scrape.service;
                tally.look(wrong.map(|wrong| {
                    Violation::run(format!("{name}{{{labels}}} of {service} {wrong}"))
                }));
            }
        }
    }
}

/// What a histogram has.
#[derive(Default)]
struct Parts {
    /// Bound and count, in the order of the bounds.
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// Each series of a histogram, and what is wrong with it.
fn wrongs(scrape: &Scrape, name: &str) -> BTreeMap<Labels, Option<String>> {
    let mut all: BTreeMap<Labels, Parts> = BTreeMap::new();
    for series in &scrape.series {
        let Some(part) = series.name.strip_prefix(name) else {
            continue;
        };
        let labels = series.labels.iter().filter(|(label, _)| *label != "le");
        let labels: Vec<String> = labels
            .map(|(label, value)| format!("{label}={value:?}"))
            .collect();
        let parts = || labels.join(",");
        match part {
            "_bucket" => {
                let bound = series.labels.get("le").and_then(|le| le.parse().ok());
                let bound = bound.unwrap_or(f64::NAN);
                let buckets = &mut all.entry(parts()).or_default().buckets;
                buckets.push((bound, series.value));
            }
            "_sum" => all.entry(parts()).or_default().sum = Some(series.value),
            "_count" => all.entry(parts()).or_default().count = Some(series.value),
            _ => {}
        }
    }
    let judged = all
        .into_iter()
        .map(|(labels, parts)| (labels, parts.wrong()));
    judged.collect()
}

impl Parts {
    fn wrong(mut self) -> Option<String> {
        let (Some(sum), Some(count)) = (self.sum, self.count) else {
            return Some("has no sum or no count".to_owned());
        };
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let top = self.buckets.last().copied();
        let Some((_, all)) = top.filter(|(bound, _)| bound.is_infinite()) else {
            return Some("has no bucket for all".to_owned());
        };
        if (all - count).abs() > 0.5 {
            return Some(format!("has {all} in its last bucket and counts {count}"));
        }
        if !self.buckets.is_sorted_by(|a, b| a.1 <= b.1) {
            return Some("has fewer in a bucket than in the one below".to_owned());
        }
        let (mut least, mut most, mut below) = (0.0, 0.0, (0.0, 0.0));
        for (bound, upto) in self.buckets {
            least += (upto - below.1) * below.0;
            most += if upto > below.1 {
                (upto - below.1) * bound
            } else {
                0.0
            };
            below = (bound, upto);
        }
        // Rounding, a little of it.
        let room = 1e-6 + 1e-6 * count;
        let fits = (least - room..=most + room).contains(&sum);
        (!fits).then(|| format!("sums up to {sum}, and its buckets to {least} to {most}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Parts;

    fn parts(buckets: &[(f64, f64)], sum: f64, count: f64) -> Option<String> {
        let (sum, count) = (Some(sum), Some(count));
        let buckets = buckets.to_vec();
        Parts {
            buckets,
            sum,
            count,
        }
        .wrong()
    }

    #[test]
    fn a_histogram_adds_up_or_is_wrong() {
        let all = f64::INFINITY;
        assert_eq!(parts(&[(0.1, 2.0), (1.0, 3.0), (all, 4.0)], 7.0, 4.0), None);
        for wrong in [
            parts(&[(0.1, 2.0), (1.0, 3.0)], 1.0, 3.0),
            parts(&[(0.1, 2.0), (all, 4.0)], 7.0, 5.0),
            parts(&[(0.1, 3.0), (1.0, 2.0), (all, 4.0)], 7.0, 4.0),
            // All at most 0.1, and 5 seconds together.
            parts(&[(0.1, 4.0), (all, 4.0)], 5.0, 4.0),
        ] {
            assert!(wrong.is_some());
        }
    }
}
