//! The report as CI shows it.

use crate::kit::{finding, report, threshold, violated, without};
use harness::check::Verdict::{NotApplicable, Unknown, Valid};
use harness::report::{Told, junit};
use insta::assert_snapshot;

#[test]
fn each_check_and_each_threshold_is_a_test_case() {
    let checks = vec![
        finding("S1", "agreement", Valid),
        violated("S9", "money", 3, &["a < b", "c & d"]),
        without("S12", "durable", Unknown, "orders.jsonl: No such file"),
        without(
            "L4",
            "recovery",
            NotApplicable,
            "the plan has no fault that is healed",
        ),
    ];
    let judged = vec![
        threshold("accept p(99)<10ms", false, "17.0 ms"),
        threshold("settle max<2s", true, "1034.0 ms"),
    ];
    let mut report = report(checks, judged);
    report.told.insert(
        "S9".to_owned(),
        Told::Here("the story of an order\n".to_owned()),
    );
    assert_snapshot!(junit(&report).unwrap(), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="crashcart" tests="6" skipped="1" failures="2" errors="1">
        <testsuite name="20270115-080000-7" tests="6" skipped="1" errors="1" failures="2">
            <testcase name="S1 agreement" classname="crashcart.check"/>
            <testcase name="S9 money" classname="crashcart.check">
                <failure message="3 of 1250 violate it: a &lt; b">a &lt; b
    c &amp; d

    the story of an order
    again: crashcart run --seed 7 -r 500 -d 2.5s
    </failure>
            </testcase>
            <testcase name="S12 durable" classname="crashcart.check">
                <error message="orders.jsonl: No such file"/>
            </testcase>
            <testcase name="L4 recovery" classname="crashcart.check">
                <skipped message="the plan has no fault that is healed"/>
            </testcase>
            <testcase name="accept p(99)&lt;10ms" classname="crashcart.threshold">
                <failure message="accept p(99)&lt;10ms: it was 17.0 ms"/>
            </testcase>
            <testcase name="settle max&lt;2s" classname="crashcart.threshold"/>
        </testsuite>
    </testsuites>
    "#);
}
