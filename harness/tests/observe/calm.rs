//! A calm day: orders come, nothing is broken, and no alert fires from its beginning to its end.
//!
//! It is told once, and before anything else here: whoever is busy beside it would make it less calm.

use crate::embedded::Shop;
use crate::kit::{target, until};
use crate::program::{Said, TRIES, run_command};
use crate::prometheus::{Prometheus, scale};
use crate::wanted::Wanted;
use dashboards::{Needs, RuleKind, rule_list};
use harness::engines::{can_observe, free_port};
use harness::target::Places;
use harness::telemetry::REGISTRY;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

/// Few enough orders for two slow cores.
const LOAD: [&str; 5] = ["-q", "-r", "40", "-d", "10s"];
/// What is promised, and a bit more.
const KEPT: [&str; 4] = [
    "--threshold",
    "accept p(99)<100ms",
    "--threshold",
    "settle p(99)<1s",
];

/// What was seen on a calm day.
pub struct Day {
    /// What the run said in the end.
    said: Said,
    /// What the boards asked for and did not find.
    wanted: Wanted,
    /// The alerts that fired.
    fired: Vec<Value>,
    /// What Prometheus says of each rule.
    rules: Vec<Value>,
    /// The recorded series without a number.
    unrecorded: Vec<String>,
    /// The traces that examples lead to, by metric.
    examples: BTreeMap<&'static str, Vec<String>>,
    /// Those of them that the collector has not heard of.
    unknown: Vec<String>,
}

impl Day {
    /// Whether the machine had time for it: to send orders in time, and to keep what is promised, as clients saw it.
    const fn was_calm(&self) -> bool {
        self.said.code == 0
    }
}

/// The day that all look back on; none where there is no Prometheus.
pub fn day() -> Option<&'static Day> {
    static DAY: OnceLock<Option<Day>> = OnceLock::new();
    DAY.get_or_init(|| {
        can_observe("a calm day").then(|| {
            let mut days = (1..TRIES).map(|_| live());
            days.find(Day::was_calm).unwrap_or_else(live)
        })
    })
    .as_ref()
}

fn live() -> Day {
    let shop = Shop::start();
    let figures = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().expect("a port")));
    let prometheus = Prometheus::start(&[&shop.asked()[..], &[("harness", figures)]].concat());
    // Faults of a run are shown where there are some.
    let is_due = |needs| matches!(needs, Needs::Orders | Needs::Harness);
    let mut wanted = Wanted::those(|asked| is_due(asked.needs) && asked.panel != "Faults");
    let more = [&["--faults", "none"][..], &KEPT].concat();
    let mut unrecorded = rule_list(scale());
    unrecorded.retain(|rule| rule.kind == RuleKind::Recording);
    let said = load(&shop.places(), figures, &more, || {
        wanted.ask(&prometheus);
        unrecorded.retain(|rule| prometheus.first(&rule.name).is_none());
    });
    let mut day = Day {
        said,
        wanted,
        fired: prometheus.have_fired(),
        rules: prometheus.rules(),
        unrecorded: unrecorded.into_iter().map(|rule| rule.name).collect(),
        examples: examples(&prometheus),
        unknown: Vec::new(),
    };
    drop(prometheus);
    // It sends the last spans as it ends.
    let collector = shop.close();
    let traces = day.examples.values().flatten();
    let unknown = traces.filter(|trace| !collector.knows(trace));
    day.unknown = unknown.cloned().collect();
    day
}

/// A run with these flags against a shop that is there, which tells its figures at an address; `meanwhile` is done
/// again and again until it has ended.
pub fn load(
    places: &Places,
    figures: SocketAddr,
    flags: &[&str],
    mut meanwhile: impl FnMut(),
) -> Said {
    let runs = tempfile::tempdir().expect("a temporary directory");
    let (target, figures) = (target(places), figures.to_string());
    let there = ["--target", &target, "--metrics", &figures];
    let mut command = run_command(runs.path(), &[&LOAD[..], &there, flags].concat());
    std::thread::scope(|scope| {
        let run = scope.spawn(move || Said::from(command.output().expect("crashcart runs")));
        until("the run has ended", || {
            meanwhile();
            run.is_finished().then_some(())
        });
        run.join().expect("it was not killed")
    })
}

/// The traces that examples lead to, by each metric that has some.
fn examples(prometheus: &Prometheus) -> BTreeMap<&'static str, Vec<String>> {
    let metrics = REGISTRY.metrics.iter().filter(|metric| metric.exemplars);
    let traces = metrics.map(|metric| {
        let buckets = format!("{}_bucket", metric.name);
        (metric.name.as_str(), prometheus.example_traces(&buckets))
    });
    traces.collect()
}

#[test]
fn every_panel_finds_what_it_asks_for() {
    if let Some(day) = day() {
        day.said.expect(0, &["VALID"]);
        day.wanted.none_left();
    }
}

#[test]
fn every_rule_is_looked_at_without_an_error_and_every_recorded_series_has_a_number() {
    let Some(day) = day() else { return };
    let name = |rule: &Value| rule["name"].as_str().expect("a name").to_owned();
    let known: BTreeSet<String> = day.rules.iter().map(name).collect();
    let all = rule_list(scale()).into_iter().map(|rule| rule.name);
    assert_eq!(known, all.collect());
    for rule in &day.rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    assert_eq!(day.unrecorded, [""; 0]);
}

#[test]
fn no_alert_fires_on_a_calm_day() {
    if let Some(day) = day() {
        assert!(day.fired.is_empty(), "{:#?}", day.fired);
    }
}

#[test]
fn what_histograms_give_as_examples_are_traces_that_exist() {
    let Some(day) = day() else { return };
    for (metric, traces) in &day.examples {
        assert!(!traces.is_empty(), "no examples of {metric}");
    }
    assert_eq!(day.examples.len(), 4);
    assert_eq!(day.unknown, [""; 0], "of {:#?}", day.examples);
}
