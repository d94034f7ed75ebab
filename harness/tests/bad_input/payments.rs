//! What payments and the provider must refuse: payments that are not there, charges and moods that cannot be.

use crate::case::{Case, Row};
use crate::scene::Scene;
use crate::wire::{get, post, send};

/// Paths of `GET` at payments.
#[rustfmt::skip]
const READS: &[Row] = &[
    ("a payment that is not there", "/api/v1/payments/$N", 404, "id"),
    ("an order's id as a payment's", "/api/v1/payments/$O", 404, "id"),
    ("an id that is no UUID", "/api/v1/payments/mine", 400, "id"),
];

/// Bodies of `POST /charges` at the provider. `$Y` was charged with 1499 cents for `$O`.
#[rustfmt::skip]
const CHARGES: &[Row] = &[
    ("a payment charged before, with more", r#"{"paymentId":"$Y","orderId":"$O","amountCents":1500}"#, 409, "amountCents"),
    ("a payment charged before, with nothing", r#"{"paymentId":"$Y","orderId":"$O","amountCents":0}"#, 409, "amountCents"),
    ("a payment charged before, for another order", r#"{"paymentId":"$Y","orderId":"$N","amountCents":1499}"#, 409, "orderId"),
    ("no payment", r#"{"orderId":"$N","amountCents":100}"#, 422, "paymentId"),
    ("a payment that is no UUID", r#"{"paymentId":"mine","orderId":"$N","amountCents":100}"#, 422, "paymentId"),
    ("no order", r#"{"paymentId":"$N","amountCents":100}"#, 422, "orderId"),
    ("an order that is a number", r#"{"paymentId":"$N","orderId":1,"amountCents":100}"#, 422, "orderId"),
    ("no amount", r#"{"paymentId":"$N","orderId":"$N"}"#, 422, "amountCents"),
    ("amount -1", r#"{"paymentId":"$N","orderId":"$N","amountCents":-1}"#, 422, "amountCents"),
    ("amount 2^53", r#"{"paymentId":"$N","orderId":"$N","amountCents":9007199254740992}"#, 422, "amountCents"),
    ("amount 1e2", r#"{"paymentId":"$N","orderId":"$N","amountCents":1e2}"#, 422, "amountCents"),
    ("amount as a text", r#"{"paymentId":"$N","orderId":"$N","amountCents":"100"}"#, 422, "amountCents"),
    ("amount twice", r#"{"paymentId":"$N","orderId":"$N","amountCents":1,"amountCents":1}"#, 422, "amountCents"),
    ("a currency", r#"{"paymentId":"$N","orderId":"$N","amountCents":100,"currency":"EUR"}"#, 422, "currency"),
    ("the charge as a list of its fields", r#"["$N","$N",100]"#, 422, "body"),
];

/// Bodies of `PUT /settings` at the provider.
#[rustfmt::skip]
const SETTINGS: &[Row] = &[
    ("latency -1", r#"{"latencyMsP50":-1}"#, 422, "latencyMsP50"),
    ("latency above a minute", r#"{"latencyMsP50":60001,"latencyMsP99":60002}"#, 422, "latencyMsP50"),
    ("latency as a text", r#"{"latencyMsP50":"2"}"#, 422, "latencyMsP50"),
    ("latency null", r#"{"latencyMsP50":null}"#, 422, "latencyMsP50"),
    ("latency 1e400", r#"{"latencyMsP50":1e400}"#, 422, "latencyMsP50"),
    ("p99 below p50", r#"{"latencyMsP50":20,"latencyMsP99":10}"#, 422, "latencyMsP99"),
    ("p99 above a minute", r#"{"latencyMsP99":1e30}"#, 422, "latencyMsP99"),
    ("declines above 1", r#"{"declineRate":1.0001}"#, 422, "declineRate"),
    ("declines below 0", r#"{"declineRate":-0.1}"#, 422, "declineRate"),
    ("declines that are true", r#"{"declineRate":true}"#, 422, "declineRate"),
    ("declines twice", r#"{"declineRate":1,"declineRate":1}"#, 422, "declineRate"),
    ("lost requests above 1", r#"{"lostRequestRate":2}"#, 422, "lostRequestRate"),
    ("lost answers below 0", r#"{"lostAnswerRate":-1}"#, 422, "lostAnswerRate"),
    ("amounts that are a number", r#"{"declineAmountsCents":100}"#, 422, "declineAmountsCents"),
    ("an amount below 0", r#"{"declineAmountsCents":[100,-1]}"#, 422, "declineAmountsCents[1]"),
    ("an amount of 2^53", r#"{"declineAmountsCents":[9007199254740992]}"#, 422, "declineAmountsCents[0]"),
    ("a setting that there is not", r#"{"declineRate":1,"refundRate":1}"#, 422, "refundRate"),
    ("the settings as a list", r"[0,0,1,[],0,0]", 422, "body"),
    ("the settings as an empty list", r"[]", 422, "body"),
];

pub fn cases(scene: &Scene) -> Vec<Case> {
    let read = READS.iter().map(|&(what, path, status, field)| {
        Case::names(what, get("payments", &scene.fill(path)), (status, field))
    });
    let charge = CHARGES.iter().map(|&(what, body, status, field)| {
        let request = post("provider", "/api/v1/charges", scene.fill(body));
        Case::names(what, request, (status, field))
    });
    let setting = SETTINGS.iter().map(|&(what, body, status, field)| {
        let request = send("provider", "PUT", "/api/v1/settings", body);
        Case::names(what, request, (status, field))
    });
    let amounts = format!(r#"{{"declineAmountsCents":[1{}]}}"#, ",1".repeat(1_000));
    let too_many = Case::names(
        "1001 amounts",
        send("provider", "PUT", "/api/v1/settings", amounts),
        (422, "declineAmountsCents"),
    );
    read.chain(charge)
        .chain(setting)
        .chain([too_many])
        .collect()
}
