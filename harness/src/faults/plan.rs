//! When each fault happens: one after another, with quiet between them in which recovery can be measured.

use super::kind::Act;
use super::{FaultKind, Side, Wanted};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::Duration;

/// The services that can be made to fail; the provider is the outside.
const SERVICES: [&str; 3] = ["orders", "products", "payments"];
/// Windows lie between these shares of the run.
const FROM: f64 = 0.1;
const UNTIL: f64 = 0.9;
/// A window takes at most this share of its slot, and begins within the first fifth of it.
const LASTS: f64 = 0.6;
const BEGINS: f64 = 0.2;

/// A fault that is to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Unique in its plan: `crash-1`.
    pub id: String,
    /// What goes wrong.
    pub kind: FaultKind,
    /// Where; none when it is everywhere, or in the workload.
    pub service: Option<String>,
    /// On the way to which engine; none when it is not between the two.
    pub side: Option<Side>,
    /// When, from the beginning of the load.
    pub at: Duration,
    /// For how long; nothing for those that are in the workload, or over at once.
    pub lasts: Duration,
}

/// When each of `wanted` happens in a load of `duration`, in the order of their times; a kind that is given twice
/// happens twice. What has no time of its own gets one. The same seed gives the same plan.
pub fn plan<W: Into<Wanted> + Copy>(wanted: &[W], seed: u64, duration: Duration) -> Vec<Planned> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let wanted = wanted.iter().map(|wanted| (*wanted).into());
    let (mut windows, everywhere): (Vec<Wanted>, Vec<Wanted>) =
        wanted.partition(|wanted| wanted.kind.has_window());
    windows.shuffle(&mut chance);
    let mut planned: Vec<Planned> = everywhere
        .into_iter()
        .map(|wanted| Planned {
            id: String::new(),
            kind: wanted.kind,
            service: None,
            side: None,
            at: Duration::ZERO,
            lasts: Duration::ZERO,
        })
        .collect();
    let anytime = windows.iter().filter(|wanted| wanted.at.is_none()).count();
    let slots = u32::try_from(anytime.max(1)).unwrap_or(u32::MAX);
    let slot = duration.mul_f64(UNTIL - FROM) / slots;
    let mut n = 0;
    for wanted in windows {
        let kind = wanted.kind;
        let (at, usual) = if let Some(at) = wanted.at {
            (at, kind.longest())
        } else {
            let late = slot.mul_f64(chance.random::<f64>() * BEGINS);
            let at = duration.mul_f64(FROM) + slot * n + late;
            n += 1;
            (at, kind.longest().min(slot.mul_f64(LASTS)))
        };
        let (service, side) = place(kind, &mut chance);
        planned.push(Planned {
            id: String::new(),
            kind,
            service,
            side,
            at,
            lasts: wanted.lasts.unwrap_or(usual),
        });
    }
    planned.sort_by_key(|fault| fault.at);
    let mut times: BTreeMap<FaultKind, u32> = BTreeMap::new();
    for fault in &mut planned {
        let n = times.entry(fault.kind).or_default();
        *n += 1;
        fault.id = format!("{}-{n}", fault.kind);
    }
    planned
}

/// Where a fault happens.
fn place(kind: FaultKind, chance: &mut ChaCha8Rng) -> (Option<String>, Option<Side>) {
    let side = match kind.act() {
        Act::Workload | Act::Kill | Act::Close(_) | Act::Stop(_) => return (None, None),
        Act::Provider(_) => return (Some("provider".to_owned()), None),
        Act::Ports(_) | Act::Crash | Act::Pause => None,
        Act::Network(_) => Some([Side::Database, Side::Broker]),
    };
    let service = SERVICES.choose(chance).expect("three");
    let side = side.and_then(|sides| sides.choose(chance).copied());
    (Some((*service).to_owned()), side)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_come_one_after_another_with_quiet_between_them() {
        for (seed, seconds) in (0..50).zip([1_u64, 7, 60, 600].into_iter().cycle()) {
            let duration = Duration::from_secs(seconds);
            let planned = plan(&FaultKind::ALL, seed, duration);
            assert_eq!(
                planned,
                plan(&FaultKind::ALL, seed, duration),
                "not the same again"
            );
            let windows: Vec<_> = planned.iter().filter(|one| one.kind.has_window()).collect();
            assert_eq!(windows.len(), 19);
            let slot = duration.mul_f64(0.8) / 19;
            assert!(windows[0].at >= duration.mul_f64(0.1), "{planned:?}");
            let ends = windows.iter().map(|one| one.at + one.lasts);
            let begins = windows.iter().skip(1).map(|one| one.at);
            for (end, next) in ends.zip(begins.chain([duration.mul_f64(0.9)])) {
                assert!(
                    end + slot.mul_f64(0.19) <= next,
                    "{end:?} {next:?} {planned:?}"
                );
            }
            for one in windows {
                assert!(
                    one.lasts <= Duration::from_secs(2).min(slot.mul_f64(0.6)),
                    "{one:?}"
                );
            }
        }
    }

    #[test]
    fn a_kind_that_is_asked_for_twice_happens_twice_under_two_names() {
        let kinds = [FaultKind::Crash, FaultKind::Declines, FaultKind::Crash];
        let planned = plan(&kinds, 1, Duration::from_secs(10));
        let ids: Vec<&str> = planned.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["declines-1", "crash-1", "crash-2"]);
        assert!(planned[1].service.is_some() && planned[0].service.is_none());
    }

    #[test]
    fn what_has_a_time_of_its_own_happens_then_and_as_long_as_was_asked_for() {
        let wanted = |text| Wanted::parse(text).unwrap();
        let wanted = [
            wanted("crash"),
            wanted("network-cut@10s+3s"),
            wanted("kill@1s"),
        ];
        let planned = plan(&wanted, 1, Duration::from_secs(20));
        let times: Vec<_> = planned
            .iter()
            .map(|one| (one.id.as_str(), one.at.as_secs(), one.lasts))
            .collect();
        assert_eq!(times[0], ("kill-1", 1, Duration::ZERO));
        assert_eq!(times[2], ("network-cut-1", 10, Duration::from_secs(3)));
        assert_eq!(times[1].0, "crash-1");
        assert!(planned[2].service.is_some() && planned[2].side.is_some());
    }

    #[test]
    fn every_kind_has_a_name_that_leads_back_to_it() {
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::parse(kind.as_str()), Some(kind));
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
        }
        assert_eq!(FaultKind::parse("crashes"), None);
    }
}
