//! A recording gives back what was recorded; one that is not whole is no evidence, and never valid.

use crate::recorded::Recipe;
use harness::check::{self, CHECKS, Verdict};
use harness::evidence::{Evidence, Source};
use harness::recording::{self, Recorder};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A good recording in a folder that is gone at the end of the test.
fn good() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::every(9, 208).record(root.path()).unwrap();
    (root, dir)
}

/// Every check that needs the source knows nothing and says why; every other is valid.
fn only_unknown_for(evidence: &Evidence, source: Source, reason: &str) {
    for (check, finding) in CHECKS.iter().zip(check::judge(evidence)) {
        if check.needs.contains(&source) {
            assert_eq!(
                finding.verdict,
                Verdict::Unknown,
                "{} without {source:?}",
                check.id
            );
            let why = finding.why.unwrap_or_default();
            assert!(
                why.contains(reason),
                "{}: {why:?} does not tell of {reason:?}",
                check.id
            );
        } else {
            assert_eq!(
                finding.verdict,
                Verdict::Valid,
                "{} without {source:?}",
                check.id
            );
        }
    }
}

/// Changes a file of the recording.
fn change(dir: &Path, source: Source, change: impl Fn(&str) -> String) {
    let path = dir.join(source.file());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, change(&text)).unwrap();
}

fn columns(evidence: &Evidence) -> String {
    let Evidence {
        plan,
        missing,
        items,
        steps,
        history,
        created,
        orders,
        products,
        ..
    } = evidence;
    let Evidence {
        reservations,
        payments,
        charges,
        said,
        tap,
        applied,
        queues,
        dead,
        faults,
        ..
    } = evidence;
    format!(
        "{plan:?} {missing:?} {items:?} {steps:?} {history:?} {created:?} {orders:?} {products:?}
         {reservations:?} {payments:?} {charges:?} {said:?} {tap:?} {applied:?} {queues:?} {dead:?} {faults:?}"
    )
}

#[test]
fn a_recording_gives_back_the_same_evidence_and_the_same_findings() {
    let (_root, dir) = good();
    let (direct, read) = (
        Recipe::every(9, 208).evidence(),
        recording::read(&dir).unwrap(),
    );
    assert_eq!(columns(&direct), columns(&read));
    assert_eq!(check::judge(&direct), check::judge(&read));
    assert_eq!(check::overall(&check::judge(&read)), Verdict::Valid);
    let latest = recording::read(&dir.with_file_name("latest")).unwrap();
    assert_eq!(columns(&latest), columns(&read));
}

#[test]
fn a_file_that_is_shorter_than_it_was_is_no_evidence() {
    for source in Source::ALL
        .into_iter()
        .filter(|source| *source != Source::DeadLetters)
    {
        let (_root, dir) = good();
        change(&dir, source, |text| {
            let rest = text.split_once('\n').expect("more than a line").1;
            rest.to_owned()
        });
        let evidence = recording::read(&dir).unwrap();
        // The first message on the tap is missed by its place, before the sizes are compared.
        let reason = if source == Source::Tap {
            "the tap begins at place 2"
        } else {
            "were written"
        };
        only_unknown_for(&evidence, source, reason);
    }
}

#[test]
fn a_file_that_ends_within_a_line_is_no_evidence() {
    for source in Source::ALL
        .into_iter()
        .filter(|source| *source != Source::DeadLetters)
    {
        let (_root, dir) = good();
        change(&dir, source, |text| text[..text.len() - 9].to_owned());
        only_unknown_for(&recording::read(&dir).unwrap(), source, source.file());
    }
}

#[test]
fn a_file_with_a_line_too_many_is_no_evidence() {
    let (_root, dir) = good();
    change(&dir, Source::Charges, |text| {
        format!("{text}{}\n", text.lines().next().unwrap())
    });
    only_unknown_for(
        &recording::read(&dir).unwrap(),
        Source::Charges,
        "were written",
    );
}

#[test]
fn a_line_that_cannot_be_read_is_no_evidence() {
    let (_root, dir) = good();
    change(&dir, Source::Payments, |text| {
        text.replacen("\"processed\"", "\"pr0cessed\"", 1)
    });
    only_unknown_for(
        &recording::read(&dir).unwrap(),
        Source::Payments,
        "payments.jsonl line",
    );
}

#[test]
fn a_file_that_is_not_there_is_no_evidence() {
    for source in Source::ALL {
        let (_root, dir) = good();
        fs::remove_file(dir.join(source.file())).unwrap();
        only_unknown_for(&recording::read(&dir).unwrap(), source, source.file());
    }
}

#[test]
fn a_source_that_could_not_be_read_in_the_run_is_no_evidence_later() {
    let root = tempfile::tempdir().unwrap();
    let recipe = Recipe::every(9, 208);
    let mut recorder = Recorder::create(root.path(), "run").unwrap();
    for source in Source::ALL {
        let mut file = recorder.file(source).unwrap();
        recipe.tell(source, &mut |line| file.lines(line.as_bytes()).unwrap());
        recorder.keep(file).unwrap();
    }
    recorder.miss(Source::InboxProducts, "products did not answer");
    let dir = recorder.finish(&recipe.plan()).unwrap();
    only_unknown_for(
        &recording::read(&dir).unwrap(),
        Source::InboxProducts,
        "products did not answer",
    );
}

#[test]
fn a_recording_that_was_not_finished_proves_nothing() {
    let (_root, dir) = good();
    fs::remove_file(dir.join("files.json")).unwrap();
    let findings = check::judge(&recording::read(&dir).unwrap());
    assert!(
        findings
            .iter()
            .all(|finding| finding.verdict == Verdict::Unknown)
    );
    assert!(
        findings
            .iter()
            .all(|finding| finding.why.as_deref() == Some("the recording was not finished"))
    );
    assert_eq!(check::overall(&findings), Verdict::Unknown);
    fs::remove_file(dir.join("plan.json")).unwrap();
    assert!(recording::read(&dir).is_err());
}

#[test]
fn a_gap_in_the_tap_makes_the_tap_no_evidence() {
    let root = tempfile::tempdir().unwrap();
    let recipe = Recipe::every(9, 208);
    let mut recorder = Recorder::create(root.path(), "run").unwrap();
    for source in Source::ALL {
        let mut file = recorder.file(source).unwrap();
        let mut number = 0;
        recipe.tell(source, &mut |line| {
            number += 1;
            // The sizes of the files are right: the message was never recorded.
            if !(source == Source::Tap && number == 20) {
                file.line(line.as_bytes()).unwrap();
            }
        });
        recorder.keep(file).unwrap();
    }
    let dir = recorder.finish(&recipe.plan()).unwrap();
    only_unknown_for(
        &recording::read(&dir).unwrap(),
        Source::Tap,
        "there is something missing",
    );
}

#[test]
fn tables_that_were_read_while_something_moved_are_no_evidence() {
    let root = tempfile::tempdir().unwrap();
    let recipe = Recipe::every(9, 208);
    let mut recorder = Recorder::create(root.path(), "run").unwrap();
    for source in Source::ALL {
        let mut file = recorder.file(source).unwrap();
        recipe.tell(source, &mut |line| file.line(line.as_bytes()).unwrap());
        recorder.keep(file).unwrap();
    }
    let mut plan = recipe.plan();
    plan.restless = Some("messages were still moving".to_owned());
    let dir = recorder.finish(&plan).unwrap();
    for (check, finding) in CHECKS
        .iter()
        .zip(check::judge(&recording::read(&dir).unwrap()))
    {
        let needs_rest = check.needs.iter().any(|source| source.needs_rest());
        let due = if needs_rest {
            Verdict::Unknown
        } else {
            Verdict::Valid
        };
        assert_eq!(finding.verdict, due, "{}", check.id);
    }
}
