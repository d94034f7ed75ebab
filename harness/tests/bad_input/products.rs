//! What products must refuse: products that make no sense, and stock for what is not there.

use crate::case::{Case, Row};
use crate::scene::{GOOD_KEY, Scene, USED_KEY};
use crate::wire::{get, post};

/// Bodies of `POST /products`.
#[rustfmt::skip]
const CREATE: &[Row] = &[
    ("no name", r#"{"priceCents":100,"stock":1}"#, 422, "name"),
    ("a name that is null", r#"{"name":null,"priceCents":100,"stock":1}"#, 422, "name"),
    ("a name that is a number", r#"{"name":7,"priceCents":100,"stock":1}"#, 422, "name"),
    ("an empty name", r#"{"name":"","priceCents":100,"stock":1}"#, 422, "name"),
    ("a name of white space", r#"{"name":" \t\n","priceCents":100,"stock":1}"#, 422, "name"),
    ("no price", r#"{"name":"a","stock":1}"#, 422, "priceCents"),
    ("price -1", r#"{"name":"a","priceCents":-1,"stock":1}"#, 422, "priceCents"),
    ("price 10^12 + 1", r#"{"name":"a","priceCents":1000000000001,"stock":1}"#, 422, "priceCents"),
    ("price 2^53", r#"{"name":"a","priceCents":9007199254740992,"stock":1}"#, 422, "priceCents"),
    ("price 14.99", r#"{"name":"a","priceCents":14.99,"stock":1}"#, 422, "priceCents"),
    ("price as a text", r#"{"name":"a","priceCents":"100","stock":1}"#, 422, "priceCents"),
    ("price 1e30", r#"{"name":"a","priceCents":1e30,"stock":1}"#, 422, "priceCents"),
    ("price twice", r#"{"name":"a","priceCents":1,"priceCents":2,"stock":1}"#, 422, "priceCents"),
    ("no stock", r#"{"name":"a","priceCents":100}"#, 422, "stock"),
    ("stock -1", r#"{"name":"a","priceCents":100,"stock":-1}"#, 422, "stock"),
    ("stock 10^9 + 1", r#"{"name":"a","priceCents":100,"stock":1000000001}"#, 422, "stock"),
    ("stock 2^64", r#"{"name":"a","priceCents":100,"stock":18446744073709551616}"#, 422, "stock"),
    ("stock null", r#"{"name":"a","priceCents":100,"stock":null}"#, 422, "stock"),
    ("an id of the client's own", r#"{"id":"$N","name":"a","priceCents":100,"stock":1}"#, 422, "id"),
    ("the product as a list of its fields", r#"["a",100,1]"#, 422, "body"),
    ("a line break in the name", "{\"name\":\"a\nb\",\"priceCents\":100,\"stock\":1}", 400, "body"),
];

/// Bodies of `POST /products/{id}/restock`.
#[rustfmt::skip]
const RESTOCK: &[Row] = &[
    ("no units", r"{}", 422, "quantity"),
    ("0 units", r#"{"quantity":0}"#, 422, "quantity"),
    ("-1 units", r#"{"quantity":-1}"#, 422, "quantity"),
    ("10^9 + 1 units", r#"{"quantity":1000000001}"#, 422, "quantity"),
    ("2^63 units", r#"{"quantity":9223372036854775808}"#, 422, "quantity"),
    ("-2^63 units", r#"{"quantity":-9223372036854775808}"#, 422, "quantity"),
    ("half a unit", r#"{"quantity":0.5}"#, 422, "quantity"),
    ("units as a text", r#"{"quantity":"5"}"#, 422, "quantity"),
    ("units twice", r#"{"quantity":5,"quantity":5}"#, 422, "quantity"),
    ("units and a field more", r#"{"quantity":5,"productId":"$Q"}"#, 422, "productId"),
    ("units as a list", r"[5]", 422, "body"),
];

/// Paths of `GET`.
const READS: &[Row] = &[
    (
        "a product that is not there",
        "/api/v1/products/$N",
        404,
        "id",
    ),
    (
        "an order's id as a product's",
        "/api/v1/products/$O",
        404,
        "id",
    ),
    (
        "an id that is no UUID",
        "/api/v1/products/record",
        400,
        "id",
    ),
];

/// Paths of `POST` with a good restock.
#[rustfmt::skip]
const RESTOCK_OF: &[Row] = &[
    ("units for a product that is not there", "/api/v1/products/$N/restock", 404, "id"),
    ("units for an id that is no UUID", "/api/v1/products/record/restock", 400, "id"),
    ("units for an empty id", "/api/v1/products/%20/restock", 400, "id"),
];

pub fn cases(scene: &Scene) -> Vec<Case> {
    let body = |path: &str, &(what, body, status, field): &Row| {
        let request = post("products", &scene.fill(path), scene.fill(body));
        Case::names(what, request, (status, field))
    };
    let create = CREATE.iter().map(|row| body("/api/v1/products", row));
    let restock = RESTOCK
        .iter()
        .map(|row| body("/api/v1/products/$P/restock", row));
    let read = READS.iter().map(|&(what, path, status, field)| {
        Case::names(what, get("products", &scene.fill(path)), (status, field))
    });
    let restock_of = RESTOCK_OF.iter().map(|&(what, path, status, field)| {
        let request = post("products", &scene.fill(path), r#"{"quantity":5}"#);
        // With the key of a later, good restock: a refused one must not use it up.
        Case::names(
            what,
            request.with("idempotency-key", GOOD_KEY),
            (status, field),
        )
    });
    let more = [
        long_name(),
        key_of_another_product(),
        key_of_another_path(scene),
    ];
    create
        .chain(restock)
        .chain(read)
        .chain(restock_of)
        .chain(more)
        .collect()
}

fn long_name() -> Case {
    let name = "ä".repeat(201);
    let body = format!(r#"{{"name":"{name}","priceCents":100,"stock":1}}"#);
    Case::names(
        "a name of 201 letters",
        post("products", "/api/v1/products", body),
        (422, "name"),
    )
}

fn key_of_another_product() -> Case {
    let body = r#"{"name":"another record","priceCents":1499,"stock":1000}"#;
    let request = post("products", "/api/v1/products", body).with("idempotency-key", USED_KEY);
    Case::names(
        "a key that was sent with another product",
        request,
        (422, "Idempotency-Key"),
    )
}

fn key_of_another_path(scene: &Scene) -> Case {
    let path = scene.fill("/api/v1/products/$Q/restock");
    let key = format!("{USED_KEY}-restock");
    let request = post("products", &path, r#"{"quantity":5}"#).with("idempotency-key", key);
    Case::names(
        "a key that was sent to another path",
        request,
        (422, "Idempotency-Key"),
    )
}
