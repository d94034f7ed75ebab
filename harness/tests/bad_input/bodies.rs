//! What every route that takes a body must refuse, whatever the body is about.

use crate::case::Case;
use crate::scene::Scene;
use crate::wire::{Request, send};

/// The routes that take a body, each with one that would be good: the reason to refuse is always around it.
const ROUTES: [(&str, &str, &str, &str); 5] = [
    ("orders", "POST", "/api/v1/orders", r#"{"items":[$line]}"#),
    (
        "products",
        "POST",
        "/api/v1/products",
        r#"{"name":"a","priceCents":100,"stock":1}"#,
    ),
    (
        "products",
        "POST",
        "/api/v1/products/$P/restock",
        r#"{"quantity":5}"#,
    ),
    (
        "provider",
        "POST",
        "/api/v1/charges",
        r#"{"paymentId":"$N","orderId":"$N","amountCents":100}"#,
    ),
    (
        "provider",
        "PUT",
        "/api/v1/settings",
        r#"{"declineRate":1}"#,
    ),
];

/// Bodies that are no object, or no JSON, with the status; the field is always `body`.
const BODIES: &[(&str, &[u8], u16)] = &[
    ("an empty body", b"", 400),
    ("white space", b" \r\n\t", 400),
    ("null", b"null", 422),
    ("true", b"true", 422),
    ("a number", b"7", 422),
    ("a text", b"\"{}\"", 422),
    ("a list of nothing", b"[]", 422),
    ("a list of an object", b"[{}]", 422),
    ("a brace", b"{", 400),
    ("a form", b"a=1&b=2", 400),
    ("a byte order mark", b"\xef\xbb\xbf{}", 400),
    ("Latin-1", b"{\"a\":\"\xe4\"}", 400),
    ("an overlong slash", b"{\"a\":\"\xc0\xaf\"}", 400),
    ("a zero byte", b"\0{}", 400),
    ("UTF-16", b"{\0}\0", 400),
];

/// Values of `content-type` that are not JSON.
const TYPES: &[&[u8]] = &[
    b"",
    b"text/plain",
    b"text/json",
    b"application/jsonp",
    b"application/x-www-form-urlencoded",
    b"application",
    b"\xff\xfe",
];

/// Values of `idempotency-key` that are none.
const KEYS: &[&[u8]] = &[
    b"",
    b"two words",
    b"tab\tinside",
    "schl\u{fc}ssel".as_bytes(),
    b"\xff",
    &[b'k'; 256],
];

pub fn cases(scene: &Scene) -> Vec<Case> {
    let mut cases = Vec::new();
    for (service, method, path, body) in ROUTES {
        let route = Route {
            name: format!("{method} {path}"),
            good: send(service, method, &scene.fill(path), scene.fill(body)),
            body: scene.fill(body),
        };
        cases.extend(route.bad_json());
        cases.extend(route.bad_sizes());
        cases.extend(route.bad_chunks());
        cases.extend(route.bad_headers());
    }
    cases
}

struct Route {
    name: String,
    good: Request,
    body: String,
}

impl Route {
    fn case(
        &self,
        what: impl std::fmt::Display,
        request: Request,
        expected: (u16, &'static str),
    ) -> Case {
        Case::names(format!("{} with {what}", self.name), request, expected)
    }

    fn bad_json(&self) -> Vec<Case> {
        let body = &self.body;
        let in_text = |&(what, body, status): &(&str, &[u8], u16)| {
            self.case(what, self.good.with_body(body), (status, "body"))
        };
        let mut cases: Vec<Case> = BODIES.iter().map(in_text).collect();
        let nested = |open: &str, n: usize| open.repeat(n).into_bytes();
        for (what, bytes, expected) in [
            (
                "its last byte missing",
                body[..body.len() - 1].into(),
                (400, "body"),
            ),
            (
                "half of its bytes",
                body[..body.len() / 2].into(),
                (400, "body"),
            ),
            (
                "a comma behind it",
                format!("{body},").into_bytes(),
                (400, "body"),
            ),
            (
                "itself behind it",
                body.repeat(2).into_bytes(),
                (400, "body"),
            ),
            ("200 lists around it", nested("[", 200), (422, "body")),
            ("60000 lists around it", nested("[", 60_000), (422, "body")),
            (
                "200 objects in an unknown field",
                nested(r#"{"a":"#, 200),
                (422, "a"),
            ),
        ] {
            cases.push(self.case(what, self.good.with_body(&bytes), expected));
        }
        cases
    }

    fn bad_sizes(&self) -> Vec<Case> {
        let padded = |n: usize| format!("{}{}", self.body, " ".repeat(n - self.body.len()));
        let little_more = self.good.with_body(padded(64 * 1_024 + 1).as_bytes());
        let large = self.good.with_body(padded(10_000_000).as_bytes());
        let long = |length: &str| self.good.clone().having("content-length", length);
        let too_large = (413, "body");
        vec![
            self.case("one byte more than 64 KiB", little_more.clone(), too_large),
            self.case(
                "one byte more than 64 KiB in chunks",
                little_more.chunked(),
                too_large,
            ),
            self.case("10 MB", large.clone(), too_large),
            self.case("10 MB in chunks", large.chunked(), too_large),
            self.case("10 MB said and not sent", long("10000000"), too_large),
            self.case(
                "2^63 bytes said and not sent",
                long("9223372036854775808"),
                too_large,
            ),
            self.case("a shorter length than it has", long("9"), (400, "body")),
        ]
    }

    fn bad_chunks(&self) -> Vec<Case> {
        let length = self.body.len();
        let chunks = |chunks: String| self.good.clone().in_chunks(chunks);
        let unreadable = (400, "body");
        vec![
            self.case("no chunk", chunks("0\r\n\r\n".to_owned()), unreadable),
            self.case(
                "a chunk whose size is a word",
                chunks(format!("many\r\n{}\r\n0\r\n\r\n", self.body)),
                unreadable,
            ),
            self.case(
                "a chunk of 2^64 bytes",
                chunks(format!("10000000000000000\r\n{}\r\n0\r\n\r\n", self.body)),
                unreadable,
            ),
            self.case(
                "a chunk that is longer than it says",
                chunks(format!("{:x}\r\n{}\r\n0\r\n\r\n", length - 1, self.body)),
                unreadable,
            ),
        ]
    }

    fn bad_headers(&self) -> Vec<Case> {
        let mut cases = vec![
            self.case(
                "no content-type",
                self.good.clone().without("content-type"),
                (415, "content-type"),
            ),
            self.case(
                "two keys",
                self.good
                    .clone()
                    .with("idempotency-key", "one")
                    .with("idempotency-key", "other"),
                (400, "Idempotency-Key"),
            ),
        ];
        for value in TYPES {
            let what = format!("content-type {:?}", String::from_utf8_lossy(value));
            let request = self.good.clone().having("content-type", value);
            cases.push(self.case(what, request, (415, "content-type")));
        }
        for value in KEYS {
            let what = format!("key {:?}", String::from_utf8_lossy(value));
            let request = self.good.clone().with("idempotency-key", value);
            cases.push(self.case(what, request, (400, "Idempotency-Key")));
        }
        cases
    }
}
