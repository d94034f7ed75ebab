//! What services trace arrives whole, by either protocol; and a collector in trouble is nobody else's trouble.

#[path = "program/collector.rs"]
mod collector;

use collector::collector;
use contract::MessageId;
use harness::evidence::Source;
use harness::recording::Recorder;
use harness::telemetry::{Keeper, Receiver, SpanLine};
use platform::telemetry::{Outcome, Pipeline, Protocol, Settings, Span, Tracer, What};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Dispatch;
use uuid::Uuid;

const START_US: i64 = 1_700_000_000_000_000;

/// An order's request, and a message of it that was heard.
fn steps(order: u128) -> [Span; 2] {
    let ids = |span, parent| platform::telemetry::Ids {
        trace: order,
        span,
        parent,
    };
    let request = Span {
        ids: ids(1, 0),
        start_us: START_US,
        end_us: START_US + 1_500,
        what: What::Request {
            method: "POST".to_owned(),
            route: "/api/v1/orders",
            status: 201,
            about: Some(("order.id".to_owned(), Uuid::from_u128(order))),
        },
    };
    let heard = Span {
        ids: ids(2, 1),
        start_us: START_US + 2_000,
        end_us: START_US + 3_000,
        what: What::Process {
            kind: "order.created",
            message: MessageId(Uuid::from_u128(7)),
            about: Uuid::from_u128(order),
            outcome: Outcome::Applied,
            batch: Some((9, 9)),
        },
    };
    [request, heard]
}

/// Sends the steps of some orders to a collector of ours and returns what it wrote down.
fn written(protocol: Protocol, orders: u128) -> String {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::create(root.path(), "run").unwrap();
    let keeper = Arc::new(Keeper::new(recorder.file(Source::Spans).unwrap()));
    let receiver = Receiver::start(Receiver::anywhere(), vec![Arc::clone(&keeper) as _]).unwrap();
    let mut endpoint = receiver.endpoint();
    if protocol == Protocol::Http {
        endpoint += "/v1/traces";
    }
    let settings = Settings::to(endpoint, protocol);
    let pipeline = Pipeline::start(Some(settings), Dispatch::none()).unwrap();
    let tracer = pipeline.tracer("orders", "crashcart", 1).unwrap();
    (1..=orders).for_each(|order| tracer.record(steps(order)));
    pipeline.finish(Duration::from_secs(20));
    assert_eq!(count(&tracer, "sent"), 2 * u64::try_from(orders).unwrap());
    recorder.keep(keeper.finish().unwrap().0).unwrap();
    std::fs::read_to_string(recorder.dir().join(Source::Spans.file())).unwrap()
}

fn count(tracer: &Tracer, result: &str) -> u64 {
    let counts = tracer.counts().expect("a tracer that records");
    counts.with_label_values(&[result]).get()
}

#[test]
fn what_is_traced_arrives_whole_and_the_same_by_either_protocol() {
    let [http, grpc] = [Protocol::Http, Protocol::Grpc].map(|protocol| written(protocol, 3_000));
    assert_eq!(http.lines().count(), 6_000);
    assert!(http == grpc, "the protocols differ");
    let lines: Vec<SpanLine<'_>> = http
        .lines()
        .take(2)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [request, heard] = &lines[..] else {
        panic!("two lines")
    };
    assert_eq!(
        (&*request.name, &*request.kind, request.status),
        ("POST /api/v1/orders", "server", Some(201))
    );
    assert_eq!(request.order, Some(Uuid::from_u128(1)));
    assert_eq!(&*heard.name, "process checkout.events:order.created:orders");
    assert_eq!(heard.parent.as_deref(), Some("0000000000000001"));
    assert_eq!(
        (heard.outcome.as_deref(), heard.links),
        (Some("applied"), 1)
    );
    assert_eq!(
        (heard.start_us, heard.end_us),
        (START_US + 2_000, START_US + 3_000)
    );
}

/// Who cannot get rid of spans keeps a bounded number of them, counts the others, and waits for nobody.
fn in_trouble(address: SocketAddr, what: &str) {
    let settings = Settings {
        queue_max: 500,
        batch_max: 100,
        delay: Duration::from_millis(10),
        timeout: Duration::from_millis(300),
        ..Settings::to(format!("http://{address}/v1/traces"), Protocol::Http)
    };
    let pipeline = Pipeline::start(Some(settings), Dispatch::none()).unwrap();
    let tracer = pipeline.tracer("orders", "crashcart", 1).unwrap();
    let began = Instant::now();
    (1..=50_000).for_each(|order| tracer.record(steps(order)));
    let recorded = began.elapsed();
    assert!(recorded < Duration::from_secs(2), "{what}: {recorded:?}");
    let began = Instant::now();
    pipeline.finish(Duration::from_secs(1));
    let finished = began.elapsed();
    assert!(finished < Duration::from_secs(2), "{what}: {finished:?}");
    assert_eq!(count(&tracer, "sent"), 0, "{what}");
    let dropped = count(&tracer, "dropped");
    assert!(dropped >= 90_000, "{what}: {dropped} dropped");
    let all = dropped + count(&tracer, "failed");
    assert!((99_400..=100_000).contains(&all), "{what}: {all} counted");
}

#[test]
fn a_collector_that_is_not_there_holds_nobody_up() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    in_trouble(address, "not there");
}

#[test]
fn a_collector_that_fails_holds_nobody_up() {
    let failing = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
    in_trouble(collector(Some(failing)), "failing");
}

#[test]
fn a_collector_that_says_nothing_holds_nobody_up() {
    in_trouble(collector(None), "silent");
}

#[test]
fn an_address_that_is_none_is_told_before_anything_is_recorded() {
    let settings = Settings::to("http://".to_owned(), Protocol::Http);
    let pipeline = Pipeline::start(Some(settings), Dispatch::none()).unwrap();
    assert!(pipeline.tracer("orders", "crashcart", 1).is_err());
}

#[test]
fn the_trace_of_an_order_is_drawn_as_a_tree() {
    let dir = tempfile::tempdir().unwrap();
    let line = |service: &'static str, ids: [u64; 2], name: &'static str, times: [i64; 2]| {
        let [span, parent] = ids;
        let line = SpanLine {
            service: service.into(),
            trace: "7f".into(),
            span: format!("{span:016x}").into(),
            parent: (parent > 0).then(|| format!("{parent:016x}").into()),
            name: name.into(),
            kind: "consumer".into(),
            start_us: START_US + times[0],
            end_us: START_US + times[1],
            order: Some(Uuid::from_u128(7)),
            message: None,
            outcome: Some("applied".into()),
            status: None,
            is_error: false,
            links: 0,
        };
        serde_json::to_string(&line).unwrap() + "\n"
    };
    // As they came: in no order.
    let lines = [
        line("products", [3, 1], "process order.created", [4_000, 6_000]),
        line(
            "payments",
            [4, 3],
            "process reservation.created",
            [7_000, 8_000],
        ),
        line("orders", [1, 0], "POST /api/v1/orders", [0, 2_000]),
        line("orders", [2, 1], "publish order.created", [1_500, 3_000]),
        line("orders", [9, 77], "left alone", [7_500, 7_600]),
    ];
    std::fs::write(dir.path().join("spans.jsonl"), lines.concat()).unwrap();
    let order = contract::OrderId(Uuid::from_u128(7));
    let drawn = harness::report::tree(dir.path(), order).unwrap();
    insta::assert_snapshot!(drawn, @r"
    order  00000000-0000-0000-0000-000000000007
    trace  7f, 5 steps in 8.0 ms

      from ms   took ms                                    service
          0.0       2.0  ████████························  orders    POST /api/v1/orders
          1.5       1.5  ······██████····················  orders      publish order.created
          4.0       2.0  ················████████········  products    process order.created
          7.0       1.0  ····························████  payments      process reservation.created
          7.5       0.1  ······························█·  orders    left alone
    ");
    let other = contract::OrderId(Uuid::from_u128(8));
    let error = harness::report::tree(dir.path(), other).unwrap_err();
    assert!(error.to_string().contains("nothing of order"), "{error}");
    let error = harness::report::tree(&dir.path().join("none"), order).unwrap_err();
    assert!(error.to_string().contains("--traces 0"), "{error}");
}

#[test]
fn the_page_about_telemetry_is_made_from_the_registry() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/telemetry.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let page = harness::telemetry::page(&harness::telemetry::REGISTRY);
    assert!(
        written == page,
        "dashboards/telemetry.md is not up to date: cargo run -- telemetry > dashboards/telemetry.md"
    );
}
