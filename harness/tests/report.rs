//! What people read at the end of a run.

use harness::check::{Finding, Verdict};
use harness::report::{Latency, Summary};
use harness::run::exit_code;

fn finding(check: &'static str, verdict: Verdict, violations: usize, sample: &[&str]) -> Finding {
    let sample = sample.iter().map(|&line| line.to_owned()).collect();
    Finding {
        check,
        verdict,
        evaluated: 6_919,
        violations,
        sample,
    }
}

fn summary(verdict: Verdict, findings: Vec<Finding>) -> Summary {
    let latency = |ms| Latency {
        count: 6_900,
        ms_p50: ms,
        ms_p99: ms * 10.0,
        ms_max: ms * 20.0,
    };
    Summary {
        seed: 7,
        source: None,
        rate: 1_000.0,
        data: None,
        stock_percent: 50,
        offered: 6_919,
        accepted: 6_900,
        refused: 10,
        outcomes: [
            ("finished".to_owned(), 6_000),
            ("canceled out_of_stock".to_owned(), 900),
        ]
        .into(),
        accept: latency(0.4),
        settle: latency(8.25),
        late: latency(0.02),
        took_ms: 8_123,
        findings,
        verdict,
    }
}

#[test]
fn a_valid_run_says_so_and_how_much_was_looked_at() {
    let summary = summary(
        Verdict::Valid,
        vec![finding("S1 agreement", Verdict::Valid, 0, &[])],
    );
    insta::assert_snapshot!(summary.to_string(), @r"
      orders     6 919 offered at 1000/s
                 6 900 accepted, 10 refused, 9 unknown
      canceled   900 out_of_stock
      finished   6 000
      accept     p50 0.4 ms   p99 4.0 ms   max 8.0 ms
      settle     p50 8.2 ms   p99 82.5 ms   max 165.0 ms
      generator  p50 0.0 ms   p99 0.2 ms   max 0.4 ms late

      ✓ S1 agreement                valid    6 919 looked at

      VALID for the 6 900 of 6 919 orders that were accepted  in 8.1 s
    ");
    assert_eq!(exit_code(summary.verdict), 0);
}

#[test]
fn an_invalid_run_says_what_is_wrong_and_how_to_see_it_again() {
    let findings = vec![
        finding("S1 agreement", Verdict::Valid, 0, &[]),
        finding(
            "S2 stock conserved",
            Verdict::Invalid,
            1_234,
            &["product p: 9 available + 0 reserved + 2 sold = 11, received 10"],
        ),
        finding(
            "S9 money",
            Verdict::Unknown,
            0,
            &["provider/api/v1/charges: no answer: none within 30s"],
        ),
    ];
    let summary = summary(Verdict::Invalid, findings);
    insta::assert_snapshot!(summary.to_string(), @r"
      orders     6 919 offered at 1000/s
                 6 900 accepted, 10 refused, 9 unknown
      canceled   900 out_of_stock
      finished   6 000
      accept     p50 0.4 ms   p99 4.0 ms   max 8.0 ms
      settle     p50 8.2 ms   p99 82.5 ms   max 165.0 ms
      generator  p50 0.0 ms   p99 0.2 ms   max 0.4 ms late

      ✓ S1 agreement                valid    6 919 looked at
      ✗ S2 stock conserved          invalid  6 919 looked at, 1 234 violate it
          product p: 9 available + 0 reserved + 2 sold = 11, received 10
      ? S9 money                    unknown  6 919 looked at
          provider/api/v1/charges: no answer: none within 30s

      INVALID for the 6 900 of 6 919 orders that were accepted  in 8.1 s
      again: crashcart run --seed 7 -r 1000 --stock 50
    ");
    assert_eq!(
        (exit_code(Verdict::Invalid), exit_code(Verdict::Unknown)),
        (111, 112)
    );
}
