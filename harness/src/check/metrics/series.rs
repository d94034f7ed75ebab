//! M6: there are few series, and no id is a label.

use crate::check::{Tally, Violation};
use crate::evidence::{Scrape, View};
use std::collections::BTreeSet;

/// Far above what a service with all its routes, types and reasons has.
const SERIES_MAX: usize = 2_000;
/// So many digits in a row are no number of anything that a label should tell.
const DIGITS_MAX: usize = 7;

/// M6
pub(in crate::check) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for scrape in &view.scrapes {
        let Scrape { service, len, .. } = scrape;
        tally.look((*len > SERIES_MAX).then(|| {
            Violation::run(format!(
                "{service} has {len} series, and {SERIES_MAX} are enough"
            ))
        }));
        let labels = scrape.series.iter().flat_map(|series| {
            let labels = series.labels.iter();
            labels.map(|(label, value)| (series.name.as_str(), label.as_str(), value.as_str()))
        });
        let labels: BTreeSet<_> = labels.collect();
        for (name, label, value) in labels {
            tally.look(is_id(value).then(|| {
                Violation::run(format!(
                    "{name} of {service} has an id as its {label}: {value}"
                ))
            }));
        }
    }
    tally
}

fn is_id(value: &str) -> bool {
    let hex = value.bytes().filter(u8::is_ascii_hexdigit).count();
    let is_hex = hex >= 16 && value.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let runs = value.split(|c: char| !c.is_ascii_digit());
    is_hex || runs.map(str::len).any(|run| run > DIGITS_MAX)
}

#[cfg(test)]
mod tests {
    use super::is_id;

    #[test]
    fn ids_are_told_from_types_routes_and_bounds() {
        for id in [
            "019b2c3d-4e5f-7a6b-8c9d-0e1f2a3b4c5d",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "order-1767225600",
        ] {
            assert!(is_id(id), "{id}");
        }
        for label in [
            "order.created",
            "/api/v1/orders/{id}",
            "0.0005",
            "+Inf",
            "201",
            "0.1.0",
        ] {
            assert!(!is_id(label), "{label}");
        }
    }
}
