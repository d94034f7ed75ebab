//! What a shop can be told, and what it says to what it cannot do.

use crate::kit::{PATIENCE, config, create_product, start, tell};
use harness::client::{Call, Client, ClientError};
use harness::target::{Place, Shop};
use shop::{Answer, Command, State};
use std::collections::BTreeMap;

fn obey(shop: &mut Shop, json: &str) -> Result<Answer, String> {
    let command: Command = serde_json::from_str(json).map_err(|error| error.to_string())?;
    shop.obey(command).map_err(|error| error.to_string())
}

fn states(shop: &mut Shop) -> BTreeMap<String, State> {
    match obey(shop, r#"{"do":"fired"}"#) {
        Ok(Answer::Fired(states)) => states,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_done_is_refused_with_the_reason_and_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut shop = start(data.path(), &Place::Here);
    let before = states(&mut shop);
    for (told, refusal) in [
        (
            r#"{"do":"crash","service":"shipping"}"#,
            "there is no service \"shipping\"",
        ),
        (
            r#"{"do":"crash","service":"provider"}"#,
            "the provider does not crash",
        ),
        (
            r#"{"do":"restart","service":"orders"}"#,
            "orders runs already",
        ),
        (
            r#"{"do":"faults","service":"orders","settings":{"duplicateRate":1.5}}"#,
            "duplicateRate: must be between 0 and 1, got 1.5",
        ),
        (
            r#"{"do":"faults","service":"orders","settings":{"delayMs":60001}}"#,
            "delayMs: must be at most 60000, got 60001",
        ),
    ] {
        assert_eq!(obey(&mut shop, told), Err(refusal.to_owned()), "{told}");
    }
    let unknown = r#"{"do":"faults","service":"orders","settings":{"storeErorRate":1}}"#;
    assert!(
        obey(&mut shop, unknown)
            .unwrap_err()
            .contains("storeErorRate")
    );
    assert_eq!(states(&mut shop), before);
    assert_eq!(
        obey(&mut shop, r#"{"do":"crash","service":"orders"}"#),
        Ok(Answer::Done)
    );
    let twice = obey(&mut shop, r#"{"do":"crash","service":"orders"}"#);
    assert_eq!(twice, Err("orders does not run".to_owned()));
    assert!(!states(&mut shop)["orders"].runs);
    shop.stop();
}

#[test]
fn a_crash_cuts_connections_and_closes_the_port_until_the_restart() {
    tell(async {
        let data = tempfile::tempdir().unwrap();
        let mut shop = start(data.path(), &Place::Here);
        let addresses = shop.addresses();
        create_product(&addresses, "a-record", 1).await;
        let products = Client::new(addresses.products, PATIENCE);
        let ready = products.send(Call::get("/ready")).await.expect("an answer");
        assert_eq!(ready.0, 200);
        obey(&mut shop, r#"{"do":"crash","service":"products"}"#).unwrap();
        let cut = products.send(Call::get("/ready")).await;
        assert!(cut.is_err(), "a kept connection survived the crash");
        let stranger = Client::new(addresses.products, PATIENCE);
        let closed = stranger.send(Call::get("/ready")).await;
        let nobody = matches!(closed, Err(ClientError::NotSent { .. }));
        assert!(nobody, "{closed:?}");
        obey(&mut shop, r#"{"do":"restart","service":"products"}"#).unwrap();
        assert_eq!(shop.addresses(), addresses);
        let page = products.send(Call::get("/api/v1/products")).await.unwrap();
        assert!(String::from_utf8_lossy(&page.1).contains("a-record"));
        let state = states(&mut shop)["products"];
        assert_eq!((state.incarnation, state.runs), (2, true));
        shop.stop();
    });
}

#[test]
fn a_shop_starts_again_on_the_four_ports_that_it_had() {
    let data = tempfile::tempdir().unwrap();
    let shop = start(data.path(), &Place::Here);
    let addresses = shop.addresses();
    shop.stop();
    let mut again = config(data.path());
    again.addresses = Some(addresses);
    let shop = Shop::start(&again, &Place::Here).expect("the ports are free again");
    assert_eq!(shop.addresses(), addresses);
    shop.stop();
}
