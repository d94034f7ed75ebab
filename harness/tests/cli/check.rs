//! `crashcart check`: the same verdict from the same files, and another one from files that were touched.

use crate::kit::{Shared, crashcart, edit, json, path, rewrite, shared};
use serde_json::{Value, json as value};
use std::fs;
use std::path::Path;

fn check(recording: &Path) -> crate::kit::Said {
    crashcart(&["check", path(recording)])
}

/// The fields in which two summaries differ.
fn differences(one: &Value, other: &Value) -> Vec<String> {
    let (one, other) = (one.as_object().unwrap(), other.as_object().unwrap());
    let names = one.keys().chain(other.keys());
    names
        .filter(|name| one.get(*name) != other.get(*name))
        .cloned()
        .collect()
}

#[test]
fn a_recording_is_judged_again_as_the_run_was() {
    let copy = shared().copy();
    let before = json(&copy.path().join("summary.json"));
    let said = crashcart(&["check", "--json", path(copy.path())]);
    said.expect(0, &[]);
    let after: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(differences(&before, &after), Vec::<String>::new());
    assert_eq!(json(&copy.path().join("summary.json")), before);
    // What people read is the same as well: what the run printed after its first lines.
    let recording = shared().recording();
    let printed = shared().said.out.split_once("\n\n").unwrap().1;
    let run = fs::read_link(&recording).unwrap();
    let of_the_run = recording.with_file_name(run);
    let again = check(&of_the_run);
    assert_eq!(again.out, printed);
    assert_eq!(
        again.out,
        fs::read_to_string(of_the_run.join("report.txt")).unwrap()
    );
}

#[test]
fn the_thresholds_of_the_run_hold_for_its_recording_unless_others_are_asked_for() {
    let copy = shared().copy();
    check(copy.path()).expect(0, &["✓ accept count>=60  it was 60"]);
    let said = crashcart(&[
        "check",
        path(copy.path()),
        "--threshold",
        "settle max<0.001ms",
    ]);
    said.expect(
        99,
        &[
            "✗ settle max<0.001ms",
            "because     settle max<0.001ms: it was ",
        ],
    );
    assert!(!said.out.contains("✓ accept count"), "{}", said.all());
}

#[test]
fn a_file_that_was_changed_is_a_violation_with_code_111() {
    let copy = shared().copy();
    rewrite(copy.path(), "orders.jsonl", |lines| {
        lines.remove(7);
    });
    let said = check(copy.path());
    said.expect(111, &["INVALID (exit code 111)", "✗ S12 durable"]);
    // It says what happened to the order, and how to do it again.
    said.expect(
        111,
        &[
            "products: reservation",
            "in the end  order none",
            "run again   crashcart run --seed 11",
        ],
    );
}

#[test]
fn an_amount_that_was_changed_is_told_with_its_trace() {
    let copy = shared().copy();
    let mut trace = String::new();
    rewrite(copy.path(), "orders.jsonl", |lines| {
        let mut order: Value = serde_json::from_str(&lines[9]).unwrap();
        trace = order["traceId"].as_str().unwrap().to_owned();
        order["amountCents"] = value!(123_456);
        lines[9] = order.to_string();
    });
    check(copy.path()).expect(111, &["✗ S10 amounts agree", &format!("trace  {trace}")]);
}

#[test]
fn a_file_that_was_cut_is_named_and_nothing_is_known_of_what_needs_it_with_code_112() {
    let copy = shared().copy();
    let file = copy.path().join("charges.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let whole = text.lines().count();
    let cut = text.len() - text.lines().last().unwrap().len() - 1;
    fs::write(&file, &text[..cut]).unwrap();
    let left = whole - 1;
    let named = format!("charges.jsonl has {left} lines ({cut} bytes), {whole} (");
    check(copy.path()).expect(
        112,
        &[
            "? S9  money",
            &named,
            "UNKNOWN (exit code 112)",
            "S9 money is unknown",
        ],
    );
}

#[test]
fn a_file_that_is_gone_and_a_recording_that_was_not_finished_are_unknown_with_code_112() {
    for (file, why) in [
        ("tap.jsonl", "unknown: tap.jsonl: No such file"),
        ("files.json", "unknown: the recording was not finished"),
    ] {
        let copy = shared().copy();
        fs::remove_file(copy.path().join(file)).unwrap();
        check(copy.path()).expect(112, &[why]);
    }
}

#[test]
fn a_story_that_did_not_happen_makes_a_run_worth_nothing_with_code_114() {
    let copy = shared().copy();
    edit(&copy.path().join("plan.json"), |plan| {
        plan["stories"]
            .as_array_mut()
            .unwrap()
            .push(value!("happy"));
    });
    check(copy.path()).expect(
        114,
        &[
            "story happy did not happen: it was never tried",
            "UNKNOWN (exit code 114): the run is worth nothing",
            "because     V2 stories told (1 of ",
        ],
    );
}

#[test]
fn a_fault_that_was_not_seen_makes_a_run_worth_nothing_with_code_114() {
    let at_us = |copy: &Path| json(&copy.join("plan.json"))["loadFromUs"].clone();
    let fired = |at_us: Value| {
        value!({
            "id": "declines-1", "kind": "declines", "service": null, "askedUs": at_us, "firedUs": at_us,
            "healedUs": null, "recoveredUs": null, "fired": 0, "observed": 0, "how": "in the evidence"
        })
    };
    for (is_recorded, why) in [
        (false, "declines was asked for and never planned"),
        (
            true,
            "declines fired, and nothing was seen of it: 0 declined charges",
        ),
    ] {
        let copy = shared().copy();
        edit(&copy.path().join("plan.json"), |plan| {
            plan["faults"]
                .as_array_mut()
                .unwrap()
                .push(value!("declines"));
        });
        if is_recorded {
            let line = fired(at_us(copy.path())).to_string();
            rewrite(copy.path(), "faults.jsonl", |lines| lines.push(line));
        }
        check(copy.path()).expect(114, &[why, "because     V1 faults seen (1 of 1)"]);
    }
}

#[test]
fn a_folder_that_is_no_recording_is_named_with_code_104() {
    let Shared { .. } = shared();
    let empty = tempfile::tempdir().unwrap();
    let name = path(empty.path());
    check(empty.path()).expect(
        104,
        &[&format!(
            "{name} is no recording: there is no plan.json in it"
        )],
    );
    check(Path::new("/no/such/folder")).expect(104, &["/no/such/folder is no recording"]);
    for (plan, why) in [
        (
            "{",
            "plan.json is not part of a recording: EOF while parsing",
        ),
        (r#"{"run":"x"}"#, "missing field"),
        (r#"{"flavour":1}"#, "unknown field `flavour`"),
    ] {
        fs::write(empty.path().join("plan.json"), plan).unwrap();
        check(empty.path()).expect(104, &[why]);
    }
}

#[test]
fn a_plan_that_no_run_can_have_had_is_refused_with_code_104() {
    for (field, number, why) in [
        (
            "loadFromUs",
            value!(4_294_967_296_i64),
            "its times are not in order",
        ),
        ("restUs", value!(i64::MAX), "its times are too far apart"),
        ("settleBoundUs", value!(-1), "a time in it is too long"),
        ("starts", value!(u64::MAX), "a count in it is too large"),
    ] {
        let copy = shared().copy();
        edit(&copy.path().join("plan.json"), |plan| plan[field] = number);
        check(copy.path()).expect(104, &["plan.json is not part of a recording", why]);
    }
}
