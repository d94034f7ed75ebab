//! T6: names and attributes of spans, metrics and labels are those of the registry.

use super::{Tally, Violation};
use crate::evidence::{Scrape, View};
use crate::telemetry::registry::{Attribute, Level, Registry};
use crate::telemetry::{REGISTRY, Shape};
use std::collections::{BTreeMap, BTreeSet};

/// How many names a note quotes.
const QUOTED: usize = 12;

/// T6
pub(super) fn judge(view: &View<'_>) -> Tally {
    let registry = &*REGISTRY;
    let mut tally = Tally::default();
    let mut seen = BTreeSet::new();
    for shape in &view.shapes {
        let wrong = form(registry, shape, &mut seen);
        tally.look(wrong.map(|wrong| {
            let Shape {
                service,
                name,
                count,
                ..
            } = shape;
            Violation::run(format!("{count} spans {name:?} of {service}: {wrong}"))
        }));
    }
    for scrape in &view.scrapes {
        for name in scrape.families.keys() {
            let wrong = metric(registry, scrape, name);
            seen.insert(name.clone());
            let service = &scrape.service;
            tally.look(wrong.map(|wrong| Violation::run(format!("{name} of {service} {wrong}"))));
        }
    }
    coverage(registry, view, &seen, &mut tally);
    tally
}

/// What is wrong with a form of spans.
fn form(registry: &Registry, shape: &Shape, seen: &mut BTreeSet<String>) -> Option<String> {
    if shape.kind == "resource" {
        seen.extend(shape.attributes.keys().map(|key| format!("resource/{key}")));
        // Whoever runs it may say more of it.
        return missing(&registry.resource, shape);
    }
    let values = shape.attributes.iter();
    let values: BTreeMap<String, String> = values
        .map(|(key, attribute)| (key.clone(), attribute.example.clone()))
        .collect();
    let Some(span) = registry.span(&shape.name, &shape.kind, &values) else {
        return Some(format!("no {} span has such a name", shape.kind));
    };
    if !span.by.is_empty() && !span.by.contains(&shape.service) {
        return Some("its service has no such span".to_owned());
    }
    seen.insert(span.id.clone());
    for (key, attribute) in &shape.attributes {
        let Some(known) = span.attributes.iter().find(|known| known.key == *key) else {
            return Some(format!("it has no attribute {key}"));
        };
        if known.kind != attribute.kind {
            return Some(format!("{key} is {}, not {}", attribute.kind, known.kind));
        }
        seen.insert(format!("{}/{key}", span.id));
    }
    missing(&span.attributes, shape)
}

fn missing(known: &[Attribute], shape: &Shape) -> Option<String> {
    let required = known.iter().filter(|known| known.level == Level::Required);
    let mut missing = required.filter(|known| !shape.attributes.contains_key(&known.key));
    missing
        .next()
        .map(|known| format!("{} is missing", known.key))
}

/// What is wrong with a metric.
fn metric(registry: &Registry, scrape: &Scrape, name: &str) -> Option<String> {
    let Some(metric) = registry.metric(name) else {
        return Some("is not in the registry".to_owned());
    };
    let family = &scrape.families[name];
    if family.kind != metric.kind {
        return Some(format!("is a {}, not a {}", family.kind, metric.kind));
    }
    if family.help != metric.brief && !name.starts_with("process_") {
        return Some(format!("says that it is {:?}", family.help));
    }
    let series = scrape.series.iter();
    let mut series = series.filter(|series| series.name.strip_prefix(name).is_some_and(is_part));
    series.find_map(|series| {
        let mut labels = series.labels.keys().filter(|label| *label != "le");
        let other = labels.find(|label| !metric.labels.contains(label))?;
        Some(format!("has no label {other}"))
    })
}

fn is_part(ending: &str) -> bool {
    ["", "_bucket", "_sum", "_count"].contains(&ending)
}

/// Tells how much of the registry there was in this run.
fn coverage(registry: &Registry, view: &View<'_>, seen: &BTreeSet<String>, tally: &mut Tally) {
    let is_there = |engine: &Option<String>| {
        let engine = engine.as_deref();
        engine.is_none_or(|_| view.plan.engine.name == "distributed")
    };
    let mut all: Vec<String> = Vec::new();
    let resource = registry.resource.iter();
    all.extend(resource.map(|attribute| format!("resource/{}", attribute.key)));
    for span in &registry.spans {
        all.push(span.id.clone());
        let attributes = span.attributes.iter();
        all.extend(attributes.map(|attribute| format!("{}/{}", span.id, attribute.key)));
    }
    let metrics = registry.metrics.iter();
    let metrics = metrics.filter(|metric| metric.by != ["harness"] && is_there(&metric.engine));
    all.extend(metrics.map(|metric| metric.name.clone()));
    let unseen: Vec<&String> = all.iter().filter(|name| !seen.contains(*name)).collect();
    let (there, of) = (all.len() - unseen.len(), all.len());
    let mut note = format!("{there} of {of} names in the registry were seen");
    if !unseen.is_empty() {
        let names = unseen.iter().take(QUOTED);
        let names: Vec<&str> = names.map(|name| name.as_str()).collect();
        let more = unseen.len().saturating_sub(QUOTED);
        note = format!("{note}; not seen: {}", names.join(", "));
        if more > 0 {
            note = format!("{note} and {more} more");
        }
    }
    tally.note(note);
}
