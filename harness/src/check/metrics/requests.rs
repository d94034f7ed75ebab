//! M4: services count as many requests as clients have sent, within what nobody knows.

use super::Lives;
use crate::check::{Tally, Violation};
use crate::evidence::{Act, Did, End, View};
use std::collections::BTreeSet;

/// M4
pub(in crate::check) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    let orders: &[Act] = &[Act::Place, Act::PlaceBadly];
    for (service, route, acts) in [
        ("orders", "/api/v1/orders", orders),
        ("products", "/api/v1/products", &[Act::CreateProduct]),
    ] {
        let lives = Lives::of(view, service);
        if lives.lives.is_empty() {
            continue;
        }
        let did = || view.history.iter().filter(|did| acts.contains(&did.act));
        let unknown = did().filter(|did| did.end == End::Unknown).count() as u64;
        let counted = |status: u16| {
            let status = status.to_string();
            let labels = [
                ("http_request_method", "POST"),
                ("http_route", route),
                ("http_response_status_code", status.as_str()),
            ];
            lives.sum("http_server_request_duration_seconds_count", &labels)
        };
        for status in statuses(view, route, did()) {
            let told = did().filter(|did| self::status(did) == Some(status));
            let (mut answers, mut untold) = (0_u64, 0_u64);
            for did in told {
                answers += 1;
                untold += u64::from(lives.is_untold(did.end_us));
            }
            let (least, most) = (answers.saturating_sub(untold), answers + unknown);
            let counted = counted(status);
            let wrong = !(least..=most).contains(&counted);
            tally.look(wrong.then(|| {
                Violation::run(format!(
                    "{service} counts {counted} times POST {route} → {status}, and clients know of {least} to {most}"
                ))
            }));
        }
    }
    tally
}

/// The statuses that a client or a service tells of.
fn statuses<'d>(view: &View<'_>, route: &str, did: impl Iterator<Item = &'d Did>) -> BTreeSet<u16> {
    let mut statuses: BTreeSet<u16> = did.filter_map(status).collect();
    let counted = view.scrapes.iter().flat_map(|scrape| &scrape.series);
    let counted = counted.filter(|series| {
        series.name == "http_server_request_duration_seconds_count"
            && series.has(&[("http_request_method", "POST"), ("http_route", route)])
    });
    let counted = counted.filter_map(|series| series.labels.get("http_response_status_code"));
    statuses.extend(counted.filter_map(|status| status.parse::<u16>().ok()));
    statuses
}

/// What the client was answered, if it knows.
const fn status(did: &Did) -> Option<u16> {
    match did.end {
        End::Ok => Some(201),
        End::Refused => Some(did.status),
        End::Unknown => None,
    }
}
