//! What orders must refuse: orders that make no sense, and reads of what is not there.

use crate::case::{Case, Row};
use crate::scene::{Scene, USED_KEY};
use crate::wire::{get, post};

/// Bodies of `POST /orders`. `$line` and `$other` are good lines.
#[rustfmt::skip]
const BODIES: &[Row] = &[
    ("no items", r"{}", 422, "items"),
    ("items that are null", r#"{"items":null}"#, 422, "items"),
    ("items that are an object", r#"{"items":$line}"#, 422, "items"),
    ("items that are a text", r#"{"items":"two records"}"#, 422, "items"),
    ("zero lines", r#"{"items":[]}"#, 422, "items"),
    ("items twice", r#"{"items":[$line],"items":[$other]}"#, 422, "items"),
    ("the order as a list of its fields", r"[[$line]]", 422, "body"),
    ("a line that is null", r#"{"items":[null]}"#, 422, "items[0]"),
    ("a line that is a number", r#"{"items":[$line,7]}"#, 422, "items[1]"),
    ("a line as a list of its fields", r#"{"items":[$line,["$Q",1]]}"#, 422, "items[1]"),
    ("an empty line", r#"{"items":[{}]}"#, 422, "items[0].productId"),
    ("no quantity", r#"{"items":[{"productId":"$P"}]}"#, 422, "items[0].quantity"),
    ("no product in the second line", r#"{"items":[$line,{"quantity":1}]}"#, 422, "items[1].productId"),
    ("quantity 0", r#"{"items":[{"productId":"$P","quantity":0}]}"#, 422, "items[0].quantity"),
    ("quantity 1001", r#"{"items":[{"productId":"$P","quantity":1001}]}"#, 422, "items[0].quantity"),
    ("quantity -1", r#"{"items":[{"productId":"$P","quantity":-1}]}"#, 422, "items[0].quantity"),
    ("quantity 1.5", r#"{"items":[{"productId":"$P","quantity":1.5}]}"#, 422, "items[0].quantity"),
    ("quantity 1.0", r#"{"items":[{"productId":"$P","quantity":1.0}]}"#, 422, "items[0].quantity"),
    ("quantity as a text", r#"{"items":[{"productId":"$P","quantity":"2"}]}"#, 422, "items[0].quantity"),
    ("quantity null", r#"{"items":[{"productId":"$P","quantity":null}]}"#, 422, "items[0].quantity"),
    ("quantity true", r#"{"items":[{"productId":"$P","quantity":true}]}"#, 422, "items[0].quantity"),
    ("quantity as a list", r#"{"items":[{"productId":"$P","quantity":[1]}]}"#, 422, "items[0].quantity"),
    ("quantity 1e30", r#"{"items":[{"productId":"$P","quantity":1e30}]}"#, 422, "items[0].quantity"),
    ("quantity 1e400", r#"{"items":[{"productId":"$P","quantity":1e400}]}"#, 422, "items[0].quantity"),
    ("quantity 2^63", r#"{"items":[{"productId":"$P","quantity":9223372036854775808}]}"#, 422, "items[0].quantity"),
    ("quantity 2^64 + 1", r#"{"items":[{"productId":"$P","quantity":18446744073709551617}]}"#, 422, "items[0].quantity"),
    ("quantity 0 in the second line", r#"{"items":[$line,{"productId":"$Q","quantity":0}]}"#, 422, "items[1].quantity"),
    ("quantity twice", r#"{"items":[{"productId":"$P","quantity":1,"quantity":2}]}"#, 422, "items[0].quantity"),
    ("a product that is a number", r#"{"items":[{"productId":1,"quantity":1}]}"#, 422, "items[0].productId"),
    ("a product that is null", r#"{"items":[{"productId":null,"quantity":1}]}"#, 422, "items[0].productId"),
    ("a product without a name", r#"{"items":[{"productId":"","quantity":1}]}"#, 422, "items[0].productId"),
    ("a product that is no UUID", r#"{"items":[$line,{"productId":"record","quantity":1}]}"#, 422, "items[1].productId"),
    ("a product with one digit more", r#"{"items":[{"productId":"$P0","quantity":1}]}"#, 422, "items[0].productId"),
    ("a product twice", r#"{"items":[$line,$line]}"#, 422, "items[1].productId"),
    ("a product again in the third line", r#"{"items":[$line,$other,{"productId":"$P","quantity":9}]}"#, 422, "items[2].productId"),
    ("a product again in other letters", r#"{"items":[$line,{"productId":"urn:uuid:$P","quantity":1}]}"#, 422, "items[1].productId"),
    ("a coupon", r#"{"items":[$line],"coupon":"HALF"}"#, 422, "coupon"),
    ("a price of the client's own", r#"{"items":[{"productId":"$P","quantity":1,"priceCents":1}]}"#, 422, "items[0].priceCents"),
    ("a field in another spelling", r#"{"items":[{"product_id":"$P","quantity":1}]}"#, 422, "items[0].product_id"),
    ("NaN", r#"{"items":[{"productId":"$P","quantity":NaN}]}"#, 400, "body"),
    ("quantity with a leading zero", r#"{"items":[{"productId":"$P","quantity":01}]}"#, 400, "body"),
    ("a comma too many", r#"{"items":[$line,]}"#, 400, "body"),
    ("a comment", r#"{"items":[$line] /* please */}"#, 400, "body"),
    ("single quotes", r"{'items':[$line]}", 400, "body"),
    ("half of a surrogate pair", r#"{"items":[{"productId":"\ud800","quantity":1}]}"#, 400, "body"),
];

/// Paths of `GET`.
#[rustfmt::skip]
const READS: &[Row] = &[
    ("an order that is not there", "/api/v1/orders/$N", 404, "id"),
    ("waiting for an order that is not there", "/api/v1/orders/$N?wait=settled", 404, "id"),
    ("a product's id as an order's", "/api/v1/orders/$P", 404, "id"),
    ("an id that is no UUID", "/api/v1/orders/first", 400, "id"),
    ("an id that is no UTF-8", "/api/v1/orders/%ff", 400, "id"),
    ("an id with a quote", "/api/v1/orders/$O'--", 400, "id"),
    ("wait=nonsense", "/api/v1/orders/$O?wait=nonsense", 400, "wait"),
    ("wait with nothing", "/api/v1/orders/$O?wait=", 400, "wait"),
    ("wait twice", "/api/v1/orders/$O?wait=settled&wait=settled", 400, "wait"),
    ("timeoutMs=30001", "/api/v1/orders/$O?wait=settled&timeoutMs=30001", 400, "timeoutMs"),
    ("timeoutMs=-1", "/api/v1/orders/$O?wait=settled&timeoutMs=-1", 400, "timeoutMs"),
    ("timeoutMs=abc", "/api/v1/orders/$O?wait=settled&timeoutMs=abc", 400, "timeoutMs"),
    ("timeoutMs=1.5", "/api/v1/orders/$O?wait=settled&timeoutMs=1.5", 400, "timeoutMs"),
    ("timeoutMs with nothing", "/api/v1/orders/$O?wait=settled&timeoutMs=", 400, "timeoutMs"),
    ("timeoutMs of 2^64", "/api/v1/orders/$O?wait=settled&timeoutMs=18446744073709551616", 400, "timeoutMs"),
    ("a bad timeoutMs without a wait", "/api/v1/orders/$O?timeoutMs=abc", 400, "timeoutMs"),
    ("timeoutMs twice", "/api/v1/orders/$O?timeoutMs=1&timeoutMs=2", 400, "timeoutMs"),
];

pub fn cases(scene: &Scene) -> Vec<Case> {
    let body = |&(what, body, status, field): &Row| {
        let request = post("orders", "/api/v1/orders", scene.fill(body));
        Case::names(what, request, (status, field))
    };
    let read = |&(what, path, status, field): &Row| {
        Case::names(what, get("orders", &scene.fill(path)), (status, field))
    };
    let mut cases: Vec<Case> = BODIES.iter().map(body).collect();
    cases.extend(READS.iter().map(read));
    cases.push(Case::names(
        "51 lines",
        post("orders", "/api/v1/orders", lines(51)),
        (422, "items"),
    ));
    let other_body = post(
        "orders",
        "/api/v1/orders",
        scene.fill(r#"{"items":[$other]}"#),
    );
    cases.push(Case::names(
        "a key that was sent with another order",
        other_body.with("idempotency-key", USED_KEY),
        (422, "Idempotency-Key"),
    ));
    cases
}

/// An order of `n` lines that would be good if there were not so many.
fn lines(n: u32) -> String {
    let line = |n| format!(r#"{{"productId":"01900000-0000-7000-8000-{n:012}","quantity":1}}"#);
    let lines: Vec<String> = (0..n).map(line).collect();
    format!(r#"{{"items":[{}]}}"#, lines.join(","))
}
