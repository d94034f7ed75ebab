//! The fast checks and the slow ones agree, on good histories and on spoiled ones.

use crate::recorded::{Mix, Recipe};
use crate::told::Told;
use crate::{folded, reference, spoil};
use harness::check::{self, Finding, Verdict};
use harness::evidence::Evidence;

/// Where fast and slow disagree, in words.
fn disagreements(evidence: &Evidence) -> Vec<String> {
    let told = Told::of(evidence);
    let findings = check::judge(evidence);
    let slow = reference::KNOWN.iter().chain(&folded::KNOWN);
    slow.filter_map(|(id, judge)| {
        let finding: &Finding = findings.iter().find(|finding| finding.id == *id)?;
        let wrong = judge(&told);
        let agree = match finding.verdict {
            Verdict::NotApplicable => true,
            Verdict::Invalid => !wrong.is_empty(),
            Verdict::Valid | Verdict::Unknown => wrong.is_empty(),
        };
        let fast = finding.sample.first().map(|violation| &violation.what);
        (!agree).then(|| {
            format!(
                "{id}: fast {} {fast:?}, slow {wrong:?}",
                finding.verdict.as_str()
            )
        })
    })
    .collect()
}

#[test]
fn fast_and_slow_agree_on_good_histories() {
    for seed in 0..60 {
        let recipe = Recipe {
            seed,
            orders: 3 + seed % 6,
            mix: Mix::Chance,
        };
        let wrong = disagreements(&recipe.evidence());
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    }
    let wrong = disagreements(&Recipe::every(1, 225).evidence());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn fast_and_slow_agree_on_spoiled_histories() {
    // ROUNDS=20000 makes a long search of it.
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_500);
    let mut all = Vec::new();
    for seed in 0..rounds {
        let recipe = Recipe {
            seed: seed % 40,
            orders: 3 + seed % 6,
            mix: Mix::Chance,
        };
        let mut evidence = recipe.evidence();
        let done = spoil::spoil(&mut evidence, seed);
        let wrong = disagreements(&evidence);
        all.extend(
            wrong
                .into_iter()
                .map(|wrong| format!("seed {seed} {done:?}: {wrong}")),
        );
    }
    assert!(
        all.is_empty(),
        "{} disagreements: {:#?}",
        all.len(),
        &all[..all.len().min(12)]
    );
}
