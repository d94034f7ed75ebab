//! Requests that no honest client sends: each is refused with the field named, and none has an effect.
//!
//! The shop runs on real sockets here, because half of what can go wrong does so below any HTTP client.

mod bodies;
mod case;
mod everywhere;
mod orders;
mod payments;
mod products;
mod scene;
mod slow;
mod wire;

use scene::Scene;

#[tokio::test]
async fn each_bad_request_is_refused_with_its_field_named_and_changes_nothing() {
    let scene = Scene::open().await;
    let mut cases = orders::cases(&scene);
    cases.extend(products::cases(&scene));
    cases.extend(payments::cases(&scene));
    cases.extend(bodies::cases(&scene));
    cases.extend(everywhere::cases(&scene));
    // A table that is not asked any more would pass unseen.
    assert!(cases.len() >= 700, "only {} cases", cases.len());
    let mut objections = Vec::new();
    for case in &cases {
        objections.extend(case.objection(&scene).await);
    }
    assert!(
        objections.is_empty(),
        "{} of {} bad requests are not refused as they should be:\n{}",
        objections.len(),
        cases.len(),
        objections.join("\n")
    );
    scene.ends_unchanged().await;
}
