//! On the evidence of a good run every check is valid, has looked at something, and says nothing of anything else.

use crate::recorded::Recipe;
use harness::check::{self, Finding, Verdict};

/// Findings in short, of the checks that are not valid.
pub fn objections(findings: &[Finding]) -> Vec<String> {
    let other = findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Valid);
    other
        .map(|finding| {
            let Finding {
                id,
                verdict,
                why,
                sample,
                ..
            } = finding;
            let what = sample.first().map(|violation| &violation.what);
            format!("{id} {}: {why:?} {what:?}", verdict.as_str())
        })
        .collect()
}

#[test]
fn every_check_is_valid_on_a_good_run_and_has_looked_at_something() {
    for seed in 0..20 {
        let evidence = Recipe::every(seed, 210 + seed * 3).evidence();
        assert!(evidence.missing.is_empty(), "{:?}", evidence.missing);
        let findings = check::judge(&evidence);
        assert_eq!(findings.len(), check::CHECKS.len());
        assert!(
            objections(&findings).is_empty(),
            "seed {seed}: {:#?}",
            objections(&findings)
        );
        assert_eq!(check::overall(&findings), Verdict::Valid);
        for finding in findings {
            assert!(
                finding.evaluated > 0,
                "seed {seed}: {} looked at nothing",
                finding.id
            );
        }
    }
}
