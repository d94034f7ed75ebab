//! Which alert is for which fault, and what is done to see it fire.

use crate::kit::until;
use crate::prometheus::{Prometheus, scale};
use crate::{distributed, embedded, loops};
use dashboards::{RuleKind, rule_list};
use std::collections::BTreeSet;

/// Something that goes wrong with a shop, and who must say so.
pub struct Fault<Shop> {
    /// What goes wrong.
    pub what: &'static str,
    /// The alerts that must fire.
    pub raises: &'static [&'static str],
    /// Makes it go wrong.
    pub begin: fn(&mut Shop),
    /// Makes it good again.
    pub end: fn(&mut Shop),
}

impl<Shop> Fault<Shop> {
    /// Each of its alerts is silent before the fault, and fires under it; `meanwhile` is done while it waits.
    pub fn happens(&self, shop: &mut Shop, prometheus: &Prometheus, mut meanwhile: impl FnMut()) {
        for alert in self.raises {
            let what = format!("{alert} is silent before: {}", self.what);
            until(what, || (!prometheus.fires(alert)).then_some(()));
        }
        (self.begin)(shop);
        for alert in self.raises {
            until(format!("{alert} fires when: {}", self.what), || {
                meanwhile();
                prometheus.fires(alert).then_some(())
            });
        }
        (self.end)(shop);
    }
}

#[test]
fn every_alert_has_a_fault_under_which_it_was_seen_to_fire() {
    let seen = [
        embedded::FAULTS.map(|fault| fault.raises).concat(),
        distributed::FAULTS.map(|fault| fault.raises).concat(),
        loops::FAULTS.map(|fault| fault.raises).concat(),
    ];
    let seen: BTreeSet<String> = seen.concat().into_iter().map(str::to_owned).collect();
    let rules = rule_list(scale()).into_iter();
    let alerts = rules.filter(|rule| rule.kind != RuleKind::Recording);
    let alerts: BTreeSet<String> = alerts.map(|rule| rule.name).collect();
    assert_eq!(seen, alerts);
}
