//! Exit codes, and which of them wins.

use crate::kit::{finding, threshold};
use harness::check::{CHECKS, Class, Finding, Verdict, overall};
use harness::report::{Exit, exit};

fn of(findings: &[(&str, Verdict)], is_missed: bool) -> Exit {
    let findings: Vec<Finding> = findings
        .iter()
        .map(|(id, verdict)| finding(id, "a check", *verdict))
        .collect();
    let thresholds = [threshold("accept max<1ms", !is_missed, "2.0 ms")];
    exit(&findings, &thresholds)
}

#[test]
fn each_code_is_that_of_its_list_and_no_two_are_the_same() {
    let codes = Exit::ALL.map(Exit::code);
    assert_eq!(codes, [104, 100, 109, 105, 111, 112, 114, 113, 99, 0]);
    assert!(
        Exit::ALL.is_sorted(),
        "the order of the list is the order in which they win"
    );
}

#[test]
fn a_violation_means_what_its_check_is_about() {
    for check in CHECKS {
        let expected = match check.class {
            Class::Shop => Exit::Invalid,
            Class::Run => Exit::RunInvalid,
            Class::Telemetry => Exit::Telemetry,
            Class::Harness => Exit::Harness,
        };
        assert_eq!(
            of(&[(check.id, Verdict::Invalid)], false),
            expected,
            "{}",
            check.id
        );
        assert_eq!(
            of(&[(check.id, Verdict::Unknown)], false),
            Exit::Unknown,
            "{}",
            check.id
        );
        assert_eq!(
            of(&[(check.id, Verdict::Valid)], false),
            Exit::Valid,
            "{}",
            check.id
        );
    }
    // A spoiled copy to which nobody objected: the checks are wrong, not the shop.
    assert_eq!(of(&[("V6", Verdict::Invalid)], false), Exit::Harness);
}

#[test]
fn of_two_reasons_the_first_of_the_list_wins() {
    use Verdict::{Invalid, Unknown, Valid};
    let reasons = [
        (Exit::Harness, Some(("V6", Invalid))),
        (Exit::Invalid, Some(("S1", Invalid))),
        (Exit::Unknown, Some(("S9", Unknown))),
        (Exit::RunInvalid, Some(("V1", Invalid))),
        (Exit::Threshold, None),
        (Exit::Valid, Some(("D1", Valid))),
    ];
    for (index, (first, one)) in reasons.iter().enumerate() {
        for (second, other) in &reasons[index..] {
            let findings: Vec<_> = [*one, *other, Some(("D2", Valid))]
                .into_iter()
                .flatten()
                .collect();
            let is_missed = [first, second].contains(&&Exit::Threshold);
            assert_eq!(of(&findings, is_missed), *first, "{first:?} and {second:?}");
        }
    }
}

#[test]
fn a_run_of_which_nothing_was_due_is_unknown() {
    assert_eq!(of(&[], false), Exit::Unknown);
    assert_eq!(of(&[("S1", Verdict::NotApplicable)], false), Exit::Unknown);
    let findings = [finding("S1", "agreement", Verdict::NotApplicable)];
    assert_eq!(overall(&findings), Verdict::Unknown);
    // One that was due is enough.
    let both = [("S1", Verdict::NotApplicable), ("S2", Verdict::Valid)];
    assert_eq!(of(&both, false), Exit::Valid);
}
