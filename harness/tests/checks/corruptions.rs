//! Each corruption makes the check that it names object, wherever it strikes.

use crate::good::objections;
use crate::recorded::Recipe;
use harness::check::{self, Verdict};
use harness::corrupt;
use std::collections::BTreeSet;

#[test]
fn each_corruption_is_seen_by_the_check_that_it_names_wherever_it_strikes() {
    let mut silent = Vec::new();
    for seed in 0..4 {
        let evidence = Recipe::every(seed, 208 + seed * 14).evidence();
        for corruption in corrupt::all() {
            for place in (0..400).step_by(11) {
                let mut spoiled = evidence.clone();
                let strikes = (corruption.apply)(&mut spoiled, place);
                let finding =
                    check::judge_one(&spoiled, corruption.check).expect("a check of the table");
                if !strikes || finding.verdict != Verdict::Invalid {
                    let (name, id, verdict) =
                        (corruption.name, corruption.check, finding.verdict.as_str());
                    silent.push(format!(
                        "seed {seed} place {place}: {name} (strikes: {strikes}): {id} is {verdict}"
                    ));
                }
            }
        }
    }
    assert!(
        silent.is_empty(),
        "{} times: {:#?}",
        silent.len(),
        &silent[..silent.len().min(30)]
    );
}

#[test]
fn a_good_recording_proves_every_corruption_and_leaves_none_idle() {
    for seed in 0..6 {
        let evidence = Recipe::every(seed, 210 + seed).evidence();
        let proof = corrupt::prove(&evidence, seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        assert!(
            proof.unseen.is_empty() && proof.idle.is_empty(),
            "seed {seed}: {proof:?}"
        );
        assert_eq!(proof.seen.len(), corrupt::all().count());
    }
}

#[test]
fn every_check_has_a_corruption_and_every_corruption_a_check_and_a_name_of_its_own() {
    let proved: BTreeSet<&str> = corrupt::all().map(|corruption| corruption.check).collect();
    let checks: BTreeSet<&str> = check::CHECKS.iter().map(|check| check.id).collect();
    assert_eq!(proved, checks);
    let names: BTreeSet<&str> = corrupt::all().map(|corruption| corruption.name).collect();
    assert_eq!(names.len(), corrupt::all().count());
}

/// Whether a check looks at what services counted, which cannot be divided.
fn is_of_counts(id: &str) -> bool {
    id == "T6" || id.starts_with('M')
}

#[test]
fn a_part_of_a_run_is_a_good_run_and_proves_as_much() {
    let whole = Recipe::every(8, 460).evidence();
    let part = corrupt::cut(&whole, 200);
    assert!(part.orders.len() < whole.orders.len() && part.said.len() < whole.said.len());
    let mut findings = check::judge(&part);
    // A part is shorter than the whole: too short for a time in which something must settle.
    findings.retain(|finding| finding.id != "L3" && !is_of_counts(&finding.id));
    assert!(
        objections(&findings).is_empty(),
        "{:#?}",
        objections(&findings)
    );
    let proof = corrupt::prove(&part, 5);
    assert!(proof.unseen.is_empty(), "{proof:?}");
    let counts = corrupt::all().filter(|corruption| is_of_counts(corruption.check));
    let idle = counts.map(|corruption| corruption.name);
    let idle: BTreeSet<&str> = idle.chain(["nothing settles any more"]).collect();
    assert_eq!(proof.idle.into_iter().collect::<BTreeSet<_>>(), idle);
}
