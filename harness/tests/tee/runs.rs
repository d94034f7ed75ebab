//! A run and the collector that it hands its traces on to.

use crate::kit::{Collecting, Traces, told, traces};
use crate::program::run;
use harness::evidence::{ScrapeLine, Source};
use harness::telemetry::{Exposition, SpanLine};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A run with something of everything: errors, orders that are canceled, and slow ones.
const EVERYTHING: [&str; 6] = [
    "-r",
    "50",
    "-d",
    "6s",
    "--faults",
    "declines,under-minimum,store-errors,provider-timeouts",
];

/// Why a trace must be there, in the words of the recording; none when it need not.
fn interest(spans: &[SpanLine<'_>]) -> Option<&'static str> {
    let said = |what: &str| spans.iter().any(|span| span.name.ends_with(what));
    let is_odd = |span: &SpanLine<'_>| {
        let outcome = span.outcome.as_deref();
        span.is_error || outcome.is_some_and(|it| it != "applied" && it != "duplicate")
    };
    let began = spans.iter().map(|span| span.start_us).min()?;
    let ended = spans.iter().map(|span| span.end_us).max()?;
    let is_order = said("order.created");
    if spans.iter().any(is_odd) {
        Some("failed")
    } else if said("publish checkout.events:order.canceled") {
        Some("canceled")
    } else if is_order && !said("publish checkout.events:order.finished") {
        Some("open")
    } else if is_order && ended - began >= 1_000_000 {
        Some("slow")
    } else {
        None
    }
}

/// The traces that the metrics of a run name as examples.
fn examples(recording: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(recording.join(Source::Metrics.file())).unwrap();
    let mut named = BTreeSet::new();
    for line in text.lines() {
        let line: ScrapeLine<'_> = serde_json::from_str(line).unwrap();
        let all = Exposition::parse(&line.text).unwrap();
        let examples = all.series.iter().filter_map(|series| series.example);
        named.extend(examples.map(|example| format!("{:032x}", example.trace)));
    }
    named
}

/// What the collector took of a run, which must be whole traces, each span once, as many as the run says.
fn whole(collected: Traces, all: &Traces, recording: &Path) -> Traces {
    // A run that the machine was too busy for was done again, with other ids.
    let ours = collected.into_iter().filter(|(id, _)| all.contains_key(id));
    let ours: Traces = ours.collect();
    for (id, spans) in &ours {
        let ids: BTreeSet<_> = spans.iter().map(|span| (&span.span, &span.name)).collect();
        assert_eq!(ids.len(), spans.len(), "{id}: something came twice");
        let mut sorted = [spans.clone(), all[id].clone()];
        for spans in &mut sorted {
            spans.sort_by(|a, b| (&a.span, &a.name).cmp(&(&b.span, &b.name)));
        }
        assert_eq!(sorted[0], sorted[1], "{id} is not as it came");
    }
    let told = told(recording);
    let spans: usize = ours.values().map(Vec::len).sum();
    assert_eq!(told["sent"], spans, "{told}");
    assert_eq!(told["dropped"], 0, "{told}");
    let kept: u64 = told["kept"]
        .as_object()
        .unwrap()
        .values()
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(kept, ours.len() as u64, "{told}");
    assert_eq!(told["leftOut"], all.len() - ours.len(), "{told}");
    ours
}

fn handed_on(keep: &str, args: &[&str]) -> (Traces, Traces, BTreeSet<String>) {
    let (dir, collecting) = (tempfile::tempdir().unwrap(), Collecting::start());
    let endpoint = collecting.endpoint();
    let to = ["--otlp-endpoint", &endpoint, "--otlp-keep", keep];
    let said = run(dir.path(), &[args, &to].concat());
    said.expect(0, &["handed on", " left out · "]);
    let recording = dir.path().join("latest");
    let all = traces(&recording);
    let ours = whole(collecting.finish(), &all, &recording);
    println!("{}", told(&recording));
    (all, ours, examples(&recording))
}

#[test]
fn what_is_interesting_is_all_there_and_of_the_rest_about_the_share() {
    let (all, ours, examples) = handed_on("0.2", &EVERYTHING);
    let mut found = BTreeMap::new();
    for (id, spans) in &all {
        let Some(why) = interest(spans) else {
            continue;
        };
        assert!(ours.contains_key(id), "{why} is missing: {id}, {spans:#?}");
        *found.entry(why).or_insert(0) += 1;
    }
    println!("{found:?}, {} examples", examples.len());
    for why in ["failed", "canceled", "slow"] {
        assert!(found.contains_key(why), "there was nothing {why}");
    }
    let missing: Vec<_> = examples
        .iter()
        .filter(|id| all.contains_key(*id) && !ours.contains_key(*id))
        .collect();
    assert!(missing.is_empty(), "examples are missing: {missing:?}");
    // Of orders and products: a batch may be there because of one of them. What a metric named for a while only, or was
    // slower than most, is a few more.
    let ordinary = all.iter().filter(|(id, spans)| {
        let first = spans.iter().find(|span| span.parent.is_none());
        let is_post = first.is_some_and(|first| first.name.starts_with("POST "));
        is_post && interest(spans).is_none() && !examples.contains(*id)
    });
    let (kept, left): (Vec<_>, Vec<_>) =
        ordinary.partition(|(id, _)| ours.contains_key(id.as_str()));
    let all = kept.len() + left.len();
    println!("{} of {all} ordinary ones", kept.len());
    assert!(all > 1_500, "{all} ordinary ones");
    assert!((all / 7..all / 3).contains(&kept.len()), "{}", kept.len());
}

#[test]
fn with_a_share_of_one_everything_is_there() {
    let args = ["-r", "40", "-d", "2s", "--faults", "none"];
    let (all, ours, _) = handed_on("1", &args);
    assert_eq!(all.len(), ours.len());
}

#[test]
fn the_batches_of_a_kept_order_are_kept_with_it() {
    let args = ["-r", "40", "-d", "2s", "--stories", "declined"];
    let (all, ours, _) = handed_on("0", &[&args[..], &["--faults", "declines"]].concat());
    assert!(
        ours.len() < all.len() / 2,
        "{} of {}",
        ours.len(),
        all.len()
    );
    let is_batch = |spans: &[SpanLine<'_>]| spans.iter().any(|span| span.name == "process batch");
    let batches = ours.values().filter(|spans| is_batch(spans)).count();
    let processed = ours.values().flatten();
    let processed = processed.filter(|span| span.name.starts_with("process checkout.events:order"));
    assert!(batches > 0 && processed.count() > 0, "{batches} batches");
}
