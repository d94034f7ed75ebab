//! `summary.json` is a promise to programs: its schema is published, and what is written keeps to it.

use crate::kit::{finding, finished, report, threshold, violated, without};
use harness::check::Verdict;
use harness::report::{Summary, TeeFigures};
use serde_json::Value;
use std::path::Path;

fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(Summary)).unwrap()
}

#[test]
fn the_published_schema_is_the_one_of_the_code() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/summary.json");
    let generated = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&file, &generated).unwrap();
    }
    let published = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        published == generated,
        "schema/summary.json is not the schema of Summary any more. If that is meant: \
         `UPDATE_SCHEMA=1 cargo test -p harness --test report`, and one more for SCHEMA in report/mod.rs if a field \
         is gone or means something else"
    );
}

/// Where `value` does not keep to `schema`: types, required fields, fields that are not in it, names of variants.
fn broken(root: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/$defs/");
        return broken(root, &root["$defs"][name], value, place);
    }
    let any = ["oneOf", "anyOf"]
        .into_iter()
        .find_map(|key| schema[key].as_array());
    if let Some(any) = any {
        let fits = any
            .iter()
            .any(|one| broken(root, one, value, place).is_empty());
        return if fits {
            Vec::new()
        } else {
            vec![format!("{place}: no variant fits")]
        };
    }
    let is_type = |name: &str| match name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{place}: type {other} in the schema"),
    };
    let fits = match &schema["type"] {
        Value::String(name) => is_type(name),
        Value::Array(names) => names.iter().any(|name| is_type(name.as_str().unwrap())),
        _ => true,
    };
    let is_variant = schema["const"].is_null() || schema["const"] == *value;
    let is_listed = schema["enum"]
        .as_array()
        .is_none_or(|all| all.contains(value));
    if !(fits && is_variant && is_listed) {
        return vec![format!("{place}: {value} does not fit")];
    }
    let mut found = fields(root, schema, value, place);
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(broken(
            root,
            &schema["items"],
            item,
            &format!("{place}[{index}]"),
        ));
    }
    found
}

fn fields(root: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let Some(object) = value.as_object() else {
        return Vec::new();
    };
    let required = schema["required"].as_array().into_iter().flatten();
    let required = required
        .filter_map(Value::as_str)
        .filter(|name| !object.contains_key(*name));
    let mut found: Vec<String> = required
        .map(|name| format!("{place}.{name} is missing"))
        .collect();
    for (name, field) in object {
        let place = format!("{place}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Null | Value::Bool(_)) => {
                found.push(format!("{place} is not in it"));
            }
            (Value::Null, others) => found.extend(broken(root, others, field, &place)),
            (known, _) => found.extend(broken(root, known, field, &place)),
        }
    }
    found
}

/// Where a summary does not keep to the schema.
fn validated(summary: &Value) -> Vec<String> {
    let schema = schema();
    broken(&schema, &schema, summary, "summary")
}

#[test]
fn what_is_written_keeps_to_the_schema() {
    let checks = vec![
        finding("S1", "agreement", Verdict::Valid),
        violated("S9", "money", 3, &["one", "two"]),
        without("L4", "recovery", Verdict::NotApplicable, "no faults"),
    ];
    let by_hand = report(checks, vec![threshold("settle max<2s", true, "1.0 ms")]).summary;
    let judged = harness::report::report(&finished().evidence(), &[], |_| None).summary;
    let mut handed_on = by_hand.clone();
    handed_on.tee = Some(TeeFigures {
        kept: [("failed".to_owned(), 1)].into(),
        ..TeeFigures::default()
    });
    for summary in [by_hand, judged, handed_on] {
        let written = serde_json::to_value(&summary).unwrap();
        assert_eq!(validated(&written), Vec::<String>::new());
        assert_eq!(serde_json::from_value::<Summary>(written).unwrap(), summary);
    }
}

#[test]
fn what_does_not_keep_to_the_schema_is_found() {
    let good = serde_json::to_value(
        report(vec![finding("S1", "agreement", Verdict::Valid)], Vec::new()).summary,
    );
    let good = good.unwrap();
    let without = |name: &str| {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(name);
        validated(&bad)
    };
    for name in good.as_object().unwrap().keys() {
        assert_eq!(without(name), [format!("summary.{name} is missing")]);
    }
    let with = |change: fn(&mut Value)| {
        let mut bad = good.clone();
        change(&mut bad);
        validated(&bad)
    };
    assert_eq!(
        with(|bad| bad["flavour"] = 1.into()),
        ["summary.flavour is not in it"]
    );
    assert_eq!(
        with(|bad| bad["checks"][0]["verdict"] = "fine".into()),
        ["summary.checks[0].verdict: no variant fits"]
    );
    assert_eq!(
        with(|bad| bad["accept"]["msP99"] = "fast".into()),
        ["summary.accept.msP99: \"fast\" does not fit"]
    );
}
