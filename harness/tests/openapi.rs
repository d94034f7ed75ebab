//! What `/api/v1/openapi.json` says is what is served: the same paths, the same methods, the same bodies.
//!
//! The first test is also the table of the whole API, for whoever looks for it.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use contract::http::Product;
use http_body_util::BodyExt;
use platform::world::World;
use serde_json::{Value, json};
use shop::world::ShopMischief;
use shop::{ProviderSettings, SERVICES};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What every service serves.
const EVERYWHERE: [&str; 11] = [
    "GET /health",
    "GET /ready",
    "GET /metrics",
    "GET /api/v1/openapi.json",
    "GET /api/v1/events",
    "GET /api/v1/inbox",
    "GET /api/v1/queues",
    "GET /api/v1/tap",
    "GET /api/v1/dead-letters",
    "POST /api/v1/dead-letters/{id}/replay",
    "DELETE /api/v1/dead-letters/{id}",
];

/// What each service serves besides.
const OWN: [(&str, &[&str]); 4] = [
    (
        "orders",
        &[
            "POST /api/v1/orders",
            "GET /api/v1/orders",
            "GET /api/v1/orders/{id}",
        ],
    ),
    (
        "products",
        &[
            "POST /api/v1/products",
            "GET /api/v1/products",
            "GET /api/v1/products/{id}",
            "POST /api/v1/products/{id}/restock",
            "GET /api/v1/reservations",
        ],
    ),
    (
        "payments",
        &["GET /api/v1/payments", "GET /api/v1/payments/{id}"],
    ),
    (
        "provider",
        &[
            "POST /api/v1/charges",
            "GET /api/v1/charges",
            "GET /api/v1/settings",
            "PUT /api/v1/settings",
        ],
    ),
];

/// An id that nothing has.
const NOBODY: &str = "01900000-0000-7000-8000-00000000dead";

#[test]
fn each_service_documents_exactly_these_paths_and_methods() {
    tell(async {
        let world = world().await;
        assert_eq!(OWN.len(), SERVICES.len());
        for (service, own) in OWN {
            let expected: BTreeSet<&str> = EVERYWHERE.iter().chain(own).copied().collect();
            let document = document(&world, service).await;
            let documented = operations(&document);
            let documented: BTreeSet<&str> = documented.iter().map(String::as_str).collect();
            assert_eq!(documented, expected, "{service}");
        }
    });
}

#[test]
fn what_is_documented_is_served() {
    tell(async {
        let world = world().await;
        for service in SERVICES {
            for operation in operations(&document(&world, service).await) {
                let (status, body) = ask(&world, service, &operation, None).await;
                let kind = body["type"].as_str().unwrap_or_default();
                assert_ne!(kind, "/problems/no-route", "{service} {operation}");
                assert_ne!(kind, "/problems/method", "{service} {operation}");
                assert!(!status.is_server_error(), "{service} {operation}: {body}");
            }
        }
    });
}

#[test]
fn what_is_not_documented_is_not_served() {
    tell(async {
        let world = world().await;
        for service in SERVICES {
            let documented = operations(&document(&world, service).await);
            let paths: BTreeSet<&str> = documented.iter().map(|o| path_of(o)).collect();
            for path in paths {
                for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
                    let operation = format!("{method} {path}");
                    if documented.contains(&operation) {
                        continue;
                    }
                    let (status, body) = ask(&world, service, &operation, None).await;
                    assert_eq!(
                        (status, body["type"].as_str()),
                        (StatusCode::METHOD_NOT_ALLOWED, Some("/problems/method")),
                        "{service} {operation}"
                    );
                }
            }
        }
    });
}

#[test]
fn the_documents_are_openapi_3_1_and_refer_only_to_what_is_in_them() {
    tell(async {
        let world = world().await;
        for service in SERVICES {
            let document = document(&world, service).await;
            assert_eq!(document["openapi"], "3.1.0", "{service}");
            let mut refs = BTreeSet::new();
            walk(&document, &mut |name, value| {
                // 3.1 is JSON Schema, in which null is a type; 3.0 had a word of its own for it.
                assert_ne!(name, "nullable", "{service}");
                if name == "$ref" {
                    refs.insert(value.as_str().expect("a $ref is a text").to_owned());
                }
            });
            assert!(refs.len() > 3, "{service} refers to {refs:?}");
            for reference in refs {
                assert!(
                    resolve(&document, &reference).is_some(),
                    "{service}: {reference}"
                );
            }
        }
    });
}

#[test]
fn every_parameter_in_a_path_is_documented() {
    tell(async {
        let world = world().await;
        for service in SERVICES {
            let document = document(&world, service).await;
            for operation in operations(&document) {
                let documented = &described(&document, &operation)["parameters"];
                let is_id =
                    |p: &Value| p["in"] == "path" && p["name"] == "id" && p["required"] == true;
                let has_id = documented
                    .as_array()
                    .is_some_and(|all| all.iter().any(is_id));
                assert_eq!(has_id, operation.contains("{id}"), "{service} {operation}");
            }
        }
    });
}

#[test]
fn a_sold_record_looks_everywhere_as_documented() {
    tell(async {
        let world = world().await;
        let record = json!({ "name": "a record", "priceCents": 1_499, "stock": 10 });
        let created = looks_right(&world, "products", "POST /api/v1/products", Some(record)).await;
        let product: Product = serde_json::from_value(created).expect("a product");
        let restock = format!("POST /api/v1/products/{}/restock", product.id);
        looks_right(&world, "products", &restock, Some(json!({ "quantity": 1 }))).await;
        let order = json!({ "items": [{ "productId": product.id, "quantity": 1 }] });
        let order = looks_right(&world, "orders", "POST /api/v1/orders", Some(order)).await;
        let id = order["id"].as_str().expect("an id");
        let wait = format!("GET /api/v1/orders/{id}?wait=settled");
        let settled = looks_right(&world, "orders", &wait, None).await;
        assert_eq!(settled["status"], "finished");
        for (service, list) in [
            ("orders", "orders"),
            ("orders", "events"),
            ("orders", "inbox"),
            ("products", "products"),
            ("products", "reservations"),
            ("products", "events"),
            ("products", "inbox"),
            ("payments", "payments"),
            ("payments", "events"),
            ("payments", "inbox"),
            ("provider", "charges"),
        ] {
            let operation = format!("GET /api/v1/{list}");
            let page = looks_right(&world, service, &operation, None).await;
            assert_ne!(page["items"], json!([]), "{service} {operation}");
        }
        let charge = json!({ "paymentId": NOBODY, "orderId": NOBODY, "amountCents": 100 });
        looks_right(&world, "provider", "POST /api/v1/charges", Some(charge)).await;
        let settings = json!({ "declineRate": 0.5 });
        looks_right(&world, "provider", "PUT /api/v1/settings", Some(settings)).await;
        looks_right(&world, "provider", "GET /api/v1/settings", None).await;
        for service in SERVICES {
            looks_right(&world, service, "GET /ready", None).await;
            looks_right(&world, service, "GET /api/v1/queues", None).await;
            looks_right(&world, service, "GET /api/v1/dead-letters", None).await;
        }
    });
}

#[test]
fn a_problem_looks_as_documented() {
    tell(async {
        let world = world().await;
        let document = document(&world, "orders").await;
        let operation = "POST /api/v1/orders";
        let (status, body) = ask(&world, "orders", operation, Some(json!({ "items": [] }))).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let schema = &described(&document, operation)["responses"]["default"]["content"]["application/problem+json"]
            ["schema"];
        assert_eq!(
            differences(&document, schema, &body, "problem"),
            Vec::<String>::new()
        );
    });
}

/// Runs `story` in a fresh runtime with paused time.
fn tell(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime with a timer")
        .block_on(story);
}

async fn world() -> World {
    let quiet = ShopMischief::default();
    shop::world::build(1, ProviderSettings::default(), quiet)
        .await
        .0
}

/// Sends a request such as `GET /api/v1/orders/{id}`; there is nothing with the id.
async fn ask(
    world: &World,
    service: &'static str,
    operation: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let (method, path) = operation.split_once(' ').expect("a method and a path");
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).expect("a method"))
        .uri(path.replace("{id}", NOBODY));
    let request = match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    };
    let response = world.request(service, request.expect("a request")).await;
    let response = response.expect("nobody crashes here");
    let status = response.status();
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn document(world: &World, service: &'static str) -> Value {
    let (status, document) = ask(world, service, "GET /api/v1/openapi.json", None).await;
    assert_eq!(status, StatusCode::OK);
    document
}

/// The documented operations, each as `GET /path`.
fn operations(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods");
        let name = |method: &String| format!("{} {path}", method.to_uppercase());
        methods.keys().map(name).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

fn path_of(operation: &str) -> &str {
    operation
        .split_once(' ')
        .map_or(operation, |(_, path)| path)
}

/// The operation as the document calls it: ids are `{id}`, and no query.
fn template(operation: &str) -> String {
    let operation = operation.split('?').next().unwrap_or(operation);
    let segment = |text| match Uuid::try_parse(text) {
        Ok(_) => "{id}",
        Err(_) => text,
    };
    operation
        .split('/')
        .map(segment)
        .collect::<Vec<_>>()
        .join("/")
}

/// What the document says of an operation.
fn described<'d>(document: &'d Value, operation: &str) -> &'d Value {
    let template = template(operation);
    let (method, path) = template.split_once(' ').expect("a method and a path");
    &document["paths"][path][method.to_lowercase()]
}

/// Sends a good request and compares it and its answer with the document; returns the answer.
async fn looks_right(
    world: &World,
    service: &'static str,
    operation: &str,
    body: Option<Value>,
) -> Value {
    let document = document(world, service).await;
    let described = described(&document, operation);
    if let Some(body) = &body {
        let schema = &described["requestBody"]["content"]["application/json"]["schema"];
        let differences = differences(&document, schema, body, "request");
        assert!(
            differences.is_empty(),
            "{service} {operation}: {differences:#?}"
        );
    }
    let (status, answer) = ask(world, service, operation, body).await;
    assert!(
        status.is_success(),
        "{service} {operation}: {status} {answer}"
    );
    let response = &described["responses"][status.as_str()];
    let schema = &response["content"]["application/json"]["schema"];
    assert!(
        schema.is_object(),
        "{service} {operation}: nothing about {status}"
    );
    let differences = differences(&document, schema, &answer, "response");
    assert!(
        differences.is_empty(),
        "{service} {operation}: {differences:#?}"
    );
    answer
}

/// Calls `see` with every name and value in `json`.
fn walk(json: &Value, see: &mut impl FnMut(&str, &Value)) {
    match json {
        Value::Object(fields) => {
            for (name, value) in fields {
                see(name, value);
                walk(value, see);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, see)),
        _ => {}
    }
}

/// What a `$ref` points to.
fn resolve<'d>(document: &'d Value, reference: &str) -> Option<&'d Value> {
    document.pointer(reference.strip_prefix('#')?)
}

/// Where `value` is not what `schema` says, as far as these documents say anything.
fn differences(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = resolve(document, reference).expect("checked by another test");
        return differences(document, schema, value, at);
    }
    for choice in ["anyOf", "oneOf"] {
        let fits = |schema: &Value| differences(document, schema, value, at).is_empty();
        if schema[choice]
            .as_array()
            .is_some_and(|all| !all.iter().any(fits))
        {
            return vec![format!("{at} is none of what it may be: {value}")];
        }
    }
    let mut found = Vec::new();
    if !has_type(&schema["type"], value) {
        found.push(format!("{at} is not of type {}: {value}", schema["type"]));
    }
    let is_constant = |schema: &Value| schema.get("const").is_none_or(|only| only == value);
    let is_listed = schema["enum"]
        .as_array()
        .is_none_or(|all| all.contains(value));
    if !is_constant(schema) || !is_listed {
        found.push(format!("{at} is not one of the constants: {value}"));
    }
    let number = |bound: &str| schema[bound].as_f64().zip(value.as_f64());
    if number("minimum").is_some_and(|(min, value)| value < min)
        || number("maximum").is_some_and(|(max, value)| value > max)
    {
        found.push(format!("{at} is out of its bounds: {value}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}[{index}]");
        found.extend(differences(document, &schema["items"], item, &at));
    }
    found.extend(field_differences(document, schema, value, at));
    found
}

/// Fields that are missing, not documented, or not as documented.
fn field_differences(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for required in schema["required"].as_array().into_iter().flatten() {
        let name = required.as_str().expect("names are texts");
        if !fields.contains_key(name) {
            found.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, value) in fields {
        let at = format!("{at}.{name}");
        match properties.get(name) {
            Some(schema) => found.extend(differences(document, schema, value, &at)),
            None => found.push(format!("{at} is not documented")),
        }
    }
    found
}

/// Whether `value` has one of the types; no types take everything.
fn has_type(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str().expect("types are texts") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other}"),
    };
    match types {
        Value::Null => true,
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}
