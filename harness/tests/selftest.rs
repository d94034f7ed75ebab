//! The checks are proved: a shop without bugs passes in every scene, and each planted bug is found.

use harness::check::judge;
use harness::selftest::scene::{CRASH, REPEATS, SCENES, SWARM};
use harness::selftest::{Clean, judge_clean, trial};

#[test]
fn a_shop_without_bugs_passes_in_every_scene() {
    for scene in SCENES {
        for seed in 1..=3 {
            let Clean { alarms, .. } = judge_clean(seed, scene);
            assert!(alarms.is_empty(), "{alarms:#?}");
        }
    }
}

#[test]
fn the_same_seed_leaves_the_same_evidence() {
    for scene in [&REPEATS, &CRASH, &SWARM] {
        let twice = [(); 2].map(|()| {
            let evidence = trial::run(7, None, scene);
            let tables = format!(
                "{:?} {:?} {:?}",
                evidence.orders, evidence.products, evidence.payments
            );
            let messages = format!(
                "{:?} {:?} {:?}",
                evidence.said, evidence.tap, evidence.applied
            );
            let clients = format!("{:?} {:?}", evidence.plan, evidence.history);
            (tables, messages, clients, judge(&evidence))
        });
        let [first, second] = twice;
        assert!(first == second, "{}: two runs of seed 7 differ", scene.name);
    }
}

#[test]
fn another_seed_is_another_world() {
    let [one, other] = [1, 2].map(|seed| format!("{:?}", trial::run(seed, None, &SWARM).history));
    assert_ne!(one, other);
}

#[cfg(feature = "planted")]
mod planted {
    use harness::selftest::{Config, run};

    #[test]
    fn every_planted_bug_is_found_by_the_check_that_is_meant_for_it() {
        let config = Config {
            clean_seeds: 0,
            ..Config::default()
        };
        let proof = run(&config, &|_| {});
        println!("{proof}");
        assert!(proof.is_proved(), "{proof}");
    }
}
