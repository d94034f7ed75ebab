//! What all services must refuse: lists cut wrongly, letters that are not there, methods, paths, what is not HTTP.

use crate::case::{Case, Row};
use crate::scene::Scene;
use crate::wire::{Request, ask, get, post};
use shop::SERVICES;

/// The lists.
#[rustfmt::skip]
const LISTS: &[(&str, &str)] = &[
    ("orders", "/api/v1/orders"),
    ("products", "/api/v1/products"),
    ("products", "/api/v1/reservations"),
    ("payments", "/api/v1/payments"),
    ("provider", "/api/v1/charges"),
    ("orders", "/api/v1/events"),
    ("provider", "/api/v1/inbox"),
    ("payments", "/api/v1/dead-letters"),
];

/// What cannot be asked of a list.
#[rustfmt::skip]
const QUERIES: &[Row] = &[
    ("limit 0", "limit=0", 400, "limit"),
    ("limit 1001", "limit=1001", 400, "limit"),
    ("limit -1", "limit=-1", 400, "limit"),
    ("limit abc", "limit=abc", 400, "limit"),
    ("limit 1.5", "limit=1.5", 400, "limit"),
    ("an empty limit", "limit=", 400, "limit"),
    ("limit 2^63", "limit=9223372036854775808", 400, "limit"),
    ("limit twice", "limit=5&limit=5", 400, "limit"),
    ("after twice", "after=$N&after=$N", 400, "after"),
    ("after what is no key", "after=yesterday", 400, "after"),
    ("after a zero byte", "after=%00", 400, "after"),
    ("a bad limit behind a good after", "after=$N&limit=x", 400, "limit"),
];

/// What cannot be asked of the tap.
#[rustfmt::skip]
const TAPS: &[Row] = &[
    ("after -1", "after=-1", 400, "after"),
    ("after abc", "after=abc", 400, "after"),
    ("an empty after", "after=", 400, "after"),
    ("after 2^63", "after=9223372036854775808", 400, "after"),
    ("after twice", "after=1&after=2", 400, "after"),
    ("limit 0", "limit=0", 400, "limit"),
    ("limit 10001", "limit=10001", 400, "limit"),
    ("limit abc", "limit=abc", 400, "limit"),
    ("limit twice", "limit=1&limit=1", 400, "limit"),
];

/// Methods that the paths of a service do not take.
#[rustfmt::skip]
const METHODS: &[(&str, &str, &str)] = &[
    ("orders", "DELETE", "/api/v1/orders"),
    ("orders", "PUT", "/api/v1/orders"),
    ("orders", "PATCH", "/api/v1/orders/$O"),
    ("orders", "POST", "/api/v1/orders/$O"),
    ("orders", "DELETE", "/api/v1/orders/$O"),
    ("orders", "post", "/api/v1/orders"),
    ("orders", "BREW", "/api/v1/orders"),
    ("products", "DELETE", "/api/v1/products"),
    ("products", "PUT", "/api/v1/products/$P"),
    ("products", "DELETE", "/api/v1/products/$P"),
    ("products", "GET", "/api/v1/products/$P/restock"),
    ("products", "POST", "/api/v1/reservations"),
    ("payments", "POST", "/api/v1/payments"),
    ("payments", "DELETE", "/api/v1/payments/$Y"),
    ("provider", "DELETE", "/api/v1/charges"),
    ("provider", "POST", "/api/v1/settings"),
    ("provider", "DELETE", "/api/v1/settings"),
];

/// The same for paths that all services have.
#[rustfmt::skip]
const METHODS_EVERYWHERE: &[(&str, &str)] = &[
    ("POST", "/health"),
    ("DELETE", "/ready"),
    ("PUT", "/metrics"),
    ("POST", "/api/v1/events"),
    ("DELETE", "/api/v1/inbox"),
    ("POST", "/api/v1/queues"),
    ("POST", "/api/v1/tap"),
    ("DELETE", "/api/v1/dead-letters"),
    ("GET", "/api/v1/dead-letters/$N"),
    ("GET", "/api/v1/dead-letters/$N/replay"),
    ("POST", "/api/v1/openapi.json"),
];

/// Paths at which no service has anything.
#[rustfmt::skip]
const NOWHERE: &[&str] = &[
    "/", "/api", "/api/v1", "/api/v2/events", "/API/V1/EVENTS", "/api/v1/events/", "//api/v1/events", "/api/v1/../v1/events",
    "/api/v1/refunds", "/api/v1/orders/$O/items", "/health/live", "/%68ealth", "/api/v1/events%2f", "/api/v1/events;x=1",
];

pub fn cases(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    for &(service, path) in LISTS {
        cases.extend(QUERIES.iter().map(|row| query(scene, service, path, row)));
    }
    for &(service, method, path) in METHODS {
        cases.push(no_method(scene, service, method, path));
    }
    for service in SERVICES {
        cases.extend(
            TAPS.iter()
                .map(|row| query(scene, service, "/api/v1/tap", row)),
        );
        cases.extend(dead_letters(scene, service));
        for &(method, path) in METHODS_EVERYWHERE {
            cases.push(no_method(scene, service, method, path));
        }
        for path in NOWHERE {
            let request = get(service, &scene.fill(path));
            cases.push(Case::tells(format!("nothing at {path}"), request, 404));
        }
        let host = get(service, "shop:80");
        cases.push(Case::tells("a host instead of a path", host, 404));
        cases.extend(not_http(service));
    }
    for (service, path) in [
        ("products", "/api/v1/orders"),
        ("orders", "/api/v1/products"),
        ("payments", "/api/v1/charges"),
        ("provider", "/api/v1/payments"),
    ] {
        let request = post(service, path, "{}");
        cases.push(Case::tells(
            format!("another service's {path}"),
            request,
            404,
        ));
    }
    cases
}

fn query(scene: &Scene, service: &'static str, path: &str, row: &Row) -> Case {
    let &(what, query, status, field) = row;
    let request = get(service, &scene.fill(&format!("{path}?{query}")));
    Case::names(format!("{path}: {what}"), request, (status, field))
}

fn no_method(scene: &Scene, service: &'static str, method: &str, path: &str) -> Case {
    let request = ask(service, method, &scene.fill(path));
    Case::tells(format!("{method} {path}"), request, 405)
}

fn dead_letters(scene: &Scene, service: &'static str) -> Vec<Case> {
    let case = |what, method, path, expected| {
        Case::names(what, ask(service, method, &scene.fill(path)), expected)
    };
    let letter = "/api/v1/dead-letters/$N";
    let replay = "/api/v1/dead-letters/$N/replay";
    vec![
        case(
            "replaying a letter that is not there",
            "POST",
            replay,
            (404, "id"),
        ),
        case(
            "removing a letter that is not there",
            "DELETE",
            letter,
            (404, "id"),
        ),
        case(
            "replaying no UUID",
            "POST",
            "/api/v1/dead-letters/all/replay",
            (400, "id"),
        ),
        case(
            "removing no UUID",
            "DELETE",
            "/api/v1/dead-letters/*",
            (400, "id"),
        ),
    ]
}

/// Requests around a list that would be given, so that each refusal has only one reason.
fn not_http(service: &'static str) -> Vec<Case> {
    let good = get(service, "/api/v1/events");
    let line = |line: &str| good.clone().line(line);
    let with = |name, value: &str| good.clone().with(name, value);
    let case = |what: &str, request: Request, status| Case::is_not_http(what, request, status);
    let many = (0..200).fold(good.clone(), |request, _| request.with("x-more", "of it"));
    let lengths = with("content-length", "2").with("content-length", "3");
    vec![
        case("a greeting", line("hello"), 400),
        case("a path with a space", line("GET /api v1 HTTP/1.1"), 400),
        case(
            "a version that is not there",
            line("GET /api/v1/events HTTP/7.0"),
            400,
        ),
        case(
            "a method of other letters",
            line("G\u{c9}T /api/v1/events HTTP/1.1"),
            400,
        ),
        case(
            "a length that is a word",
            with("content-length", "long"),
            400,
        ),
        case("a length below zero", with("content-length", "-1"), 400),
        case("two lengths", lengths, 400),
        case(
            "an encoding without an end",
            with("transfer-encoding", "gzip"),
            400,
        ),
        case(
            "a header with a space in its name",
            with("x more", "1"),
            400,
        ),
        case("a header with a zero byte", with("x-more", "\0"), 400),
        case(
            "a line break smuggled into a header",
            with("x-more", "a\n b\r c"),
            400,
        ),
        case("200 headers", many, 431),
        case(
            "a header of 1 MB",
            with("x-more", &"x".repeat(1_000_000)),
            431,
        ),
        case(
            "a path of 100 kB",
            line(&format!("GET /{} HTTP/1.1", "x".repeat(100_000))),
            414,
        ),
    ]
}
