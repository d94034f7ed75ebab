//! Nothing is valid because it saw nothing; the edge of the price rule is where it should be; rows stay small.

use crate::recorded::{EDGES, Recipe};
use contract::Reason;
use contract::http::{ChargeOutcome, PaymentStatus};
use harness::check::{self, Class, Verdict};
use harness::evidence::{Applied, Did, Evidence, Item, OrderRow, Said, SpanRow, Step, Tapped};
use harness::plan::Plan;
use std::mem::size_of;

#[test]
fn a_check_that_was_due_and_saw_nothing_knows_nothing() {
    let plan = Plan {
        load: harness::report::LoadFigures::default(),
        ..Recipe::every(1, 208).plan()
    };
    let findings = check::judge(&Evidence {
        plan,
        ..Evidence::default()
    });
    for (check, finding) in check::CHECKS.iter().zip(&findings) {
        // Whether the run did what it was asked to do can be said of a run that did nothing.
        let due = if check.class == Class::Run {
            Verdict::Invalid
        } else {
            Verdict::Unknown
        };
        assert_eq!(finding.verdict, due, "{}: {finding:?}", check.id);
        if due == Verdict::Unknown {
            assert_eq!(
                finding.why.as_deref(),
                Some("there was nothing to look at"),
                "{}",
                check.id
            );
        }
    }
}

#[test]
fn a_run_of_which_nothing_was_due_is_unknown_and_never_valid() {
    let findings = check::judge(&Evidence {
        plan: Plan::default(),
        ..Evidence::default()
    });
    assert_eq!(check::overall(&findings), Verdict::Unknown);
    let not_due: Vec<_> = findings
        .into_iter()
        .filter(|finding| finding.verdict == Verdict::NotApplicable)
        .collect();
    assert!(not_due.iter().all(|finding| finding.why.is_some()));
    assert_eq!(check::overall(&not_due), Verdict::Unknown);
    assert_eq!(check::overall(&[]), Verdict::Unknown);
}

/// The verdict of S5 when the payment of an order of this price ends like this.
fn price_rule(
    evidence: &Evidence,
    cents: i64,
    status: PaymentStatus,
    reason: Option<Reason>,
) -> Verdict {
    let mut evidence = evidence.clone();
    let is_asked = |row: &harness::evidence::PaymentRow| row.amount == cents;
    let row = evidence
        .payments
        .iter_mut()
        .find(|row| is_asked(row))
        .expect("an order at each edge");
    (row.status, row.reason) = (status, reason);
    check::judge_one(&evidence, "S5").expect("a check").verdict
}

#[test]
fn payments_fail_below_a_hundred_cents_and_from_there_on_they_do_not() {
    let evidence = Recipe::every(2, 264).evidence();
    for cents in EDGES {
        let is_small = [0, 1, 99].contains(&cents);
        let (good, bad) = if is_small {
            (Verdict::Invalid, Verdict::Valid)
        } else {
            (Verdict::Valid, Verdict::Invalid)
        };
        assert_eq!(
            price_rule(&evidence, cents, PaymentStatus::Processed, None),
            good,
            "{cents} processed"
        );
        let small = Some(Reason::UnderMinimum);
        assert_eq!(
            price_rule(&evidence, cents, PaymentStatus::Failed, small),
            bad,
            "{cents} failed as too small"
        );
        for reason in [None, Some(Reason::Declined), Some(Reason::OutOfStock)] {
            let verdict = price_rule(&evidence, cents, PaymentStatus::Failed, reason);
            assert_eq!(verdict, Verdict::Invalid, "{cents} failed with {reason:?}");
        }
    }
}

#[test]
fn a_payment_that_the_provider_declined_may_fail_at_any_price() {
    let mut evidence = Recipe::every(2, 264).evidence();
    for cents in [100, 101, 1_000_000_000_000] {
        let charge = evidence
            .charges
            .iter_mut()
            .find(|charge| charge.amount == cents)
            .expect("a charge");
        charge.outcome = ChargeOutcome::Declined;
        let verdict = price_rule(
            &evidence,
            cents,
            PaymentStatus::Failed,
            Some(Reason::Declined),
        );
        assert_eq!(verdict, Verdict::Valid, "{cents} declined");
        let verdict = price_rule(
            &evidence,
            cents,
            PaymentStatus::Failed,
            Some(Reason::UnderMinimum),
        );
        assert_eq!(
            verdict,
            Verdict::Invalid,
            "{cents} declined, failed as too small"
        );
    }
}

#[test]
fn a_row_is_not_larger_than_it_was() {
    assert_eq!(size_of::<Said>(), 48);
    assert_eq!(size_of::<Tapped>(), 12);
    assert_eq!(size_of::<Applied>(), 16);
    assert_eq!(size_of::<SpanRow>(), 56);
    assert_eq!(size_of::<Did>(), 48);
    assert_eq!(size_of::<OrderRow>(), 56);
    assert_eq!(size_of::<Step>(), 32);
    assert_eq!(size_of::<Item>(), 8);
}
