//! What the page's server answers, and what it refuses.

use crate::kit::{PATIENCE, canceled, finished, get, keep, order, send, step, trace, until};
use contract::MessageId;
use harness::ui::{Orders, Shown, Ui};
use platform::telemetry::{Ids, Outcome, Pipeline, Protocol, Settings, Span, What};
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::Dispatch;
use uuid::Uuid;

/// A server, where it listens, and what it shows.
fn served() -> (Shown, SocketAddr, Arc<Orders>) {
    let ui = Ui::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let orders = Arc::clone(ui.orders());
    let shown = ui.show("curl </script> & more").unwrap();
    let url = shown.url();
    let address = url["http://".len()..].trim_end_matches('/').parse();
    (shown, address.unwrap(), orders)
}

#[test]
fn orders_are_listed_and_found_by_how_their_ids_begin() {
    let (_shown, address, orders) = served();
    for n in 1..=3 {
        keep(&orders, finished(n, 0));
    }
    let found = |query: &str| {
        let answer = get(address, &format!("/api/orders{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        assert!(answer.head.contains("content-type: application/json"));
        let list = answer.json();
        let orders = list["orders"].as_array().unwrap().iter();
        let ids = orders.map(|order| order["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(found("").len(), 3);
    assert_eq!(found("?limit=1"), [order(3).to_string()]);
    let id = order(2).to_string();
    for beginning in [&id, &id.replace('-', ""), &id.to_uppercase(), &id[..13]] {
        assert_eq!(found(&format!("?q={beginning}")), [id.as_str()]);
    }
    assert_eq!(found(&format!("?q={}", trace(2))), [id]);
    assert_eq!(found("?q=feed").len(), 3);
    assert_eq!(found("?q=").len(), 3);
    assert!(found("?q=beef&show=slow").is_empty());
}

#[test]
fn an_order_is_told_step_by_step_with_how_long_its_messages_waited() {
    let (_shown, address, orders) = served();
    let message = Some(Uuid::from_u128(7));
    let mut said = step(
        1,
        [2, 1],
        "producer",
        "publish checkout.events:order.created",
    );
    let mut heard = step(
        1,
        [9, 1],
        "consumer",
        "process checkout.events:order.created:orders",
    );
    (said.line.message, heard.line.message) = (message, message);
    let said_us = said.line.start_us;
    orders.add(heard);
    orders.add(said);
    orders.add(step(1, [1, 0], "server", "POST /api/v1/orders"));
    let whole = get(address, &format!("/api/orders/{}", order(1))).json();
    assert_eq!(whole["outcome"], "open");
    let spans = whole["spans"].as_array().unwrap();
    let places = spans.iter().map(|span| {
        let depth = span["depth"].as_u64().unwrap();
        (span["name"].as_str().unwrap(), depth)
    });
    assert_eq!(
        places.collect::<Vec<_>>(),
        [
            ("POST /api/v1/orders", 0),
            ("publish checkout.events:order.created", 1),
            ("process checkout.events:order.created:orders", 1),
        ]
    );
    assert_eq!(spans[2]["saidUs"], said_us);
    assert!(spans[1].get("saidUs").is_none());
}

#[test]
fn everything_that_otlp_tells_is_there() {
    let ui = Ui::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let orders = Arc::clone(ui.orders());
    let settings = Settings::to(ui.endpoint(), Protocol::Http);
    let pipeline = Pipeline::start(Some(settings), Dispatch::none()).unwrap();
    let tracer = pipeline.tracer("orders", "crashcart", 1).unwrap();
    tracer.record([Span {
        ids: Ids {
            trace: 5,
            span: 6,
            parent: 0,
        },
        start_us: 1,
        end_us: 2,
        what: What::Process {
            kind: "order.created",
            message: MessageId(Uuid::from_u128(7)),
            about: order(1),
            outcome: Outcome::Refused("no such thing".to_owned()),
            batch: Some((0xabc, 0xdef)),
        },
    }]);
    pipeline.finish(PATIENCE);
    let whole = until("the order is there", || orders.whole(order(1)));
    let whole: serde_json::Value = serde_json::from_str(&whole).unwrap();
    let span = &whole["spans"][0];
    assert_eq!(span["attributes"]["crashcart.outcome"], "refused");
    assert_eq!(span["resource"]["service.namespace"], "crashcart");
    assert_eq!(span["error"], "no such thing");
    assert_eq!(span["linked"][0][0], format!("{:032x}", 0xabc));
    assert_eq!(span["linked"][0][1], format!("{:016x}", 0xdef));
}

#[test]
fn what_cannot_be_answered_says_why() {
    let (_shown, address, orders) = served();
    keep(&orders, canceled(1));
    let long = "0".repeat(37);
    let unknown = order(9).to_string();
    for (path, status, parts) in [
        ("/api/orders?limit=0", 400, ["limit", "between 1 and 500"]),
        ("/api/orders?limit=501", 400, ["limit", "between 1 and 500"]),
        ("/api/orders?limit=all", 400, ["limit", "between 1 and 500"]),
        ("/api/orders?q=xyz", 400, ["\"q\"", "digits"]),
        (
            &format!("/api/orders?q={long}"),
            400,
            ["\"q\"", "at most 36"],
        ),
        ("/api/orders?q=%3Cb%3E", 400, ["\"q\"", "digits"]),
        ("/api/orders?show=bad", 400, ["show", "all, canceled"]),
        ("/api/orders?page=2", 400, ["page", "limit, q and show"]),
        ("/api/orders/7", 400, ["\"id\"", "must be the id"]),
        (
            &format!("/api/orders/{unknown}"),
            404,
            ["nothing was traced", &unknown],
        ),
        ("/api/nothing", 404, ["/api/nothing", "/api/orders/ID"]),
    ] {
        let answer = get(address, path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(answer.head.contains("application/problem+json"), "{path}");
        assert_eq!(answer.json()["status"], status);
        for part in parts {
            assert!(answer.body.contains(part), "{path}: {}", answer.body);
        }
    }
    let delete = format!("DELETE / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    assert_eq!(send(address, &delete).status, 405);
}

#[test]
fn a_browser_is_told_to_trust_nothing_but_the_page() {
    let (_shown, address, _) = served();
    let (page, again) = (get(address, "/"), get(address, "/orders/anything"));
    assert_eq!((page.status, again.status), (200, 200));
    let nonce = |head: &str| {
        let at = head.find("'nonce-").unwrap() + "'nonce-".len();
        head[at..at + 32].to_owned()
    };
    let number = nonce(&page.head);
    assert_ne!(number, nonce(&again.head), "a number that can be guessed");
    assert!(page.body.contains(&format!("<script nonce=\"{number}\">")));
    for part in [
        "default-src 'none'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
    ] {
        assert!(page.head.contains(part), "{}", page.head);
    }
    assert!(!page.head.contains("unsafe"), "{}", page.head);
    // What the page is given cannot end the element that it stands in.
    assert!(page.body.contains(r"curl \u003c/script> & more"));
    let list = get(address, "/api/orders");
    assert!(list.head.contains("default-src 'none'"), "{}", list.head);
}

#[test]
fn another_name_for_this_machine_is_refused() {
    let (_shown, address, _) = served();
    let port = address.port();
    let ask = |host: &str| {
        let request =
            format!("GET /api/orders HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        send(address, &request).status
    };
    assert_eq!(ask(&format!("elsewhere.example:{port}")), 421);
    assert_eq!(ask(&format!("localhost:{port}")), 200);
    assert_eq!(ask(&format!("127.0.0.1:{port}")), 200);
    assert_eq!(ask(&format!("[::1]:{port}")), 200);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let (_shown, address, _) = served();
    let error = Ui::bind(address).err().unwrap().to_string();
    let named = error.contains(&address.to_string()) && error.contains("--ui");
    assert!(named, "{error}");
}
