//! The report as people read it.

use crate::kit::{finding, finished, order, report, threshold, violated, without};
use harness::check::Verdict::{Invalid, NotApplicable, Unknown, Valid};
use harness::evidence::{Source, View};
use harness::report::{FaultFigures, Report, TeeFigures, Times, Told, timeline};
use insta::assert_snapshot;

/// The report, of which no line but a command is wider than a page.
fn text(report: &Report) -> String {
    let text = report.to_string();
    let too_wide = |line: &&str| line.chars().count() > 120 && !line.contains("crashcart ");
    assert_eq!(text.lines().find(too_wide), None, "{text}");
    text
}

fn fault(kind: &str, service: Option<&str>, window: [Option<i64>; 3], how: &str) -> FaultFigures {
    FaultFigures {
        kind: kind.to_owned(),
        service: service.map(str::to_owned),
        from_ms: window[0],
        to_ms: window[1],
        fired: 1,
        seen: 1,
        how: how.to_owned(),
        recovery_ms: window[2],
    }
}

#[test]
fn a_valid_run() {
    let mut money = finding("S9", "money", Valid);
    money
        .notes
        .push("9000 cents were processed, 9000 are in finished orders".to_owned());
    let checks = vec![
        finding("S1", "agreement", Valid),
        money,
        without(
            "L4",
            "recovery",
            NotApplicable,
            "the plan has no fault that is healed",
        ),
        finding("V6", "spoiled copies", Valid),
    ];
    let held = vec![
        threshold("accept p(99)<250ms", true, "17.0 ms"),
        threshold("settle max<2s", true, "1034.0 ms"),
    ];
    assert_snapshot!(text(&report(checks, held)), @r"
    run         20270115-080000-7, seed 7
    offered     1 250 in 2.5 s, 500 a second asked for
                1 248 accepted, 1 refused, 1 unknown, 0 dropped
    finished    1 230
    canceled    18 = 11 out_of_stock + 7 declined

    ms               p50      p90      p99      max
    accept            1.0      2.2     17.0    123.4   from the intended start to the 201 (from the actual one: p99 16.0)
    settle            9.0     21.5    260.0   1034.0   from the intended start to the end of the order
    generator         0.1      0.2      1.5     12.0   from the intended start to the actual one

    checks                    looked at
    ✓ S1  agreement               1 250  order, reservation and payment of each order tell the same story
    ✓ S9  money                   1 250  one charge per processed payment and none for any other, of the same amount
          9000 cents were processed, 9000 are in finished orders
    · L4  recovery                       not due: the plan has no fault that is healed
    ✓ V6  spoiled copies          1 250  the checks object to each spoiled copy of this recording

    thresholds
    ✓ accept p(99)<250ms  it was 17.0 ms
    ✓ settle max<2s       it was 1034.0 ms

    VALID (exit code 0): every check that was due looked at something and found no violation
    checks      3 valid, 1 not due · 3 750 items looked at · the run took 4.0 s
    recording   runs/20270115-080000-7
    judge again crashcart check runs/20270115-080000-7
    ");
}

#[test]
fn a_violation_is_told_with_its_order_once_and_the_command_that_does_it_again() {
    let charged = "order 01a1fece-c3e7-7b75-9d09-5cb6120aaf44: its payment is processed and was charged 2 times";
    let checks = vec![
        finding("S1", "agreement", Valid),
        violated("S9", "money", 1, &[charged]),
        violated(
            "S10",
            "amounts agree",
            12,
            &["the first of them", "the second of them"],
        ),
    ];
    let mut report = report(checks, Vec::new());
    let scene = finished().line(Source::Charges, r#"{"key":"again","paymentId":"$y","orderId":"$o","amountCents":374700,"outcome":"charged","atUs":@21}"#);
    let evidence = scene.evidence();
    let story = timeline(&View::new(&evidence), order(), None);
    report.told.insert("S9".to_owned(), Told::Here(story));
    report
        .told
        .insert("S10".to_owned(), Told::At("S9".to_owned()));
    let text = text(&report);
    assert_snapshot!(text[text.find("  ✗ S9").unwrap()..], @r"
      ✗ S9  money                   1 250  1 violates it
            must hold: one charge per processed payment and none for any other, of the same amount
          - order 01a1fece-c3e7-7b75-9d09-5cb6120aaf44: its payment is processed and was charged 2 times

          order  01a1fece-c3e7-7b75-9d09-5cb6120aaf44, of the story reread
             ms  client          orders: order        products: reservation  payments: payment  provider
            0.0  POST 3 units
            3.0                  created
            6.0  201
            9.0                                       created 3 units
           14.0                                                              created 374 700 ¢
           19.0                                                                                 charged 374 700 ¢
           20.0                                                                                 charged 374 700 ¢
           21.0                                                              processed 374 700 ¢
           25.0                                       consumed 374 700 ¢
           29.0                  finished 374 700 ¢
           39.0  GET
           40.0  200 finished v2
     in the end  order finished, reservation consumed, payment processed
    faults then  none
          trace  not recorded
          again  crashcart run --seed 7 -r 500 -d 2.5s

      ✗ S10 amounts agree           1 250  12 violate it
            must hold: quantities and cents are the same in tables, events and catalogue
          - the first of them
          - the second of them
          - … 10 more, the last one: the last of them
            the order is told at S9

      INVALID (exit code 111): a check found a violation
      because     S9 money (1 of 1 250); S10 amounts agree (12 of 1 250)
      checks      2 violated, 1 valid · 3 750 items looked at · the run took 4.0 s
      recording   runs/20270115-080000-7
      judge again crashcart check runs/20270115-080000-7
      run again   crashcart run --seed 7 -r 500 -d 2.5s
    ");
}

#[test]
fn what_is_not_known_is_said_with_its_reason() {
    let why = "charges.jsonl has 1249 lines (261842 bytes), 1250 (262052 bytes) were written";
    let checks = vec![
        finding("S1", "agreement", Valid),
        without("S9", "money", Unknown, why),
        without(
            "V3",
            "nothing unseen",
            Unknown,
            "due, and without evidence: S9",
        ),
    ];
    let text = text(&report(checks, Vec::new()));
    assert_snapshot!(text[text.find("  checks").unwrap()..], @r"
    checks                    looked at
    ✓ S1  agreement               1 250  order, reservation and payment of each order tell the same story
    ? S9  money                          unknown: charges.jsonl has 1249 lines (261842 bytes), 1250 (262052 bytes) were
                                         written
    ? V3  nothing unseen                 unknown: due, and without evidence: S9

    UNKNOWN (exit code 112): a check was due, and there was no evidence
    because     S9 money is unknown; V3 nothing unseen is unknown
    checks      2 unknown, 1 valid · 1 250 items looked at · the run took 4.0 s
    recording   runs/20270115-080000-7
    judge again crashcart check runs/20270115-080000-7
    run again   crashcart run --seed 7 -r 500 -d 2.5s
    ");
}

#[test]
fn a_missed_threshold_is_said_beside_what_was_reached() {
    let checks = vec![finding("S1", "agreement", Valid)];
    let judged = vec![
        threshold("accept p(99)<10ms", false, "17.0 ms"),
        threshold("settle max<2s", true, "1034.0 ms"),
    ];
    let text = text(&report(checks, judged));
    assert_snapshot!(text[text.find("  thresholds").unwrap()..], @r"
    thresholds
    ✗ accept p(99)<10ms  it was 17.0 ms
    ✓ settle max<2s      it was 1034.0 ms

    VALID (exit code 99): every check is valid, and a threshold was missed
    because     accept p(99)<10ms: it was 17.0 ms
    checks      1 valid · 1 250 items looked at · the run took 4.0 s
    recording   runs/20270115-080000-7
    judge again crashcart check runs/20270115-080000-7
    run again   crashcart run --seed 7 -r 500 -d 2.5s
    ");
}

#[test]
fn faults_stand_with_their_time_and_with_what_was_seen_of_them() {
    let mut report = report(vec![finding("V1", "faults seen", Invalid)], Vec::new());
    report.summary.faults = vec![
        fault(
            "declines",
            None,
            [Some(0), None, None],
            "7 declined charges in the provider's ledger",
        ),
        fault(
            "crash",
            Some("payments"),
            [Some(812), Some(1_012), Some(267)],
            "incarnation 1 → 2",
        ),
        fault(
            "provider-timeouts",
            Some("provider"),
            [Some(12_400), Some(13_600), Some(1_250)],
            "31 payments took longer than a second, so the provider was asked again",
        ),
        fault(
            "store-slow",
            Some("orders"),
            [None, None, None],
            "it could not be brought about",
        ),
    ];
    let text = text(&report);
    let from = text.find("  faults  ").unwrap();
    let to = text.find("  checks").unwrap();
    assert_snapshot!(text[from..to], @r"
    faults                               seconds  back after   seen
    declines                           all along               7 declined charges in the provider's ledger
    crash at payments                0.8 to  1.0      267 ms   incarnation 1 → 2
    provider-timeouts at provider   12.4 to 13.6     1250 ms   31 payments took longer than a second, so the provider was
                                                               asked again
    store-slow at orders            did not fire               it could not be brought about
    ");
    assert!(
        text.contains("UNKNOWN (exit code 114): the run is worth nothing"),
        "{text}"
    );
}

#[test]
fn where_the_time_goes_is_told_by_story_and_adds_up() {
    let times = Times {
        orders: 1_234,
        total_ms: 12.5,
        generator_ms: 0.25,
        network_ms: 0.5,
        services_ms: 5.0,
        broker_ms: 4.0,
        provider_ms: 1.5,
        outbox_ms: 0.25,
        waiting_ms: 0.75,
        unexplained_ms: 0.25,
    };
    let mut report = report(vec![finding("S1", "agreement", Valid)], Vec::new());
    report.summary.times.insert("happy".to_owned(), times);
    let text = text(&report);
    let table: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.contains("where it goes"))
        .take(2)
        .collect();
    assert_snapshot!(table.join("\n"), @r"
    where it goes, ms orders   total =generator +network +services + broker +provider + outbox +waiting + unexplained
    happy              1 234   12.50       0.25     0.50      5.00     4.00      1.50     0.25     0.75     0.25   2%
    ");
}

#[test]
fn the_page_of_traces_is_named_where_there_is_one() {
    let mut report = report(vec![finding("S1", "agreement", Valid)], Vec::new());
    assert!(!text(&report).contains("traces"));
    report.traces = Some("runs/20270115-080000-7/traces.html".to_owned());
    let text = text(&report);
    assert_snapshot!(text[text.find("  checks      1").unwrap()..], @r"
    checks      1 valid · 1 250 items looked at · the run took 4.0 s
    traces      runs/20270115-080000-7/traces.html
    recording   runs/20270115-080000-7
    judge again crashcart check runs/20270115-080000-7
    ");
}

#[test]
fn what_was_handed_on_is_told_where_there_was_a_collector() {
    let mut report = report(vec![finding("S1", "agreement", Valid)], Vec::new());
    assert!(!text(&report).contains("handed on"));
    let kept = [("canceled", 18), ("share", 1_102)];
    let mut tee = TeeFigures {
        kept: kept.map(|(why, n)| (why.to_owned(), n)).into(),
        left_out: 12_345,
        sent: 9_876,
        dropped: 0,
    };
    report.summary.tee = Some(tee.clone());
    let line = |report: &Report| {
        let text = text(report);
        let line = text.lines().find(|line| line.contains("handed on"));
        line.unwrap_or_default().to_owned()
    };
    assert_snapshot!(line(&report), @"  handed on   1 120 traces (1 102 share, 18 canceled), 12 345 left out · 9 876 spans taken, 0 dropped");
    (tee.kept, tee.sent) = (std::collections::BTreeMap::new(), 0);
    report.summary.tee = Some(tee);
    assert_snapshot!(line(&report), @"  handed on   0 traces, 12 345 left out · 0 spans taken, 0 dropped");
}
