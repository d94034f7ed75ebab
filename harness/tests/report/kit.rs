//! Findings, summaries and the evidence of one order, made by hand.

use contract::OrderId;
use harness::check::{About, Finding, Verdict, Violation, overall};
use harness::evidence::{Evidence, Reader, Source};
use harness::plan::Plan;
use harness::report::{EngineFigures, Latency, LoadFigures, Report, Summary, exit};
use harness::threshold::Judged;
use std::collections::BTreeMap;

/// When the run began.
const BEGAN_US: i64 = 1_800_000_000_000_000;
/// When its first order was due.
const LOAD_US: i64 = BEGAN_US + 1_000_000;
/// When the order of the evidence was due.
const DUE_US: i64 = LOAD_US + 2_500_000;

const ORDER: &str = "01a1fece-c3e7-7b75-9d09-5cb6120aaf44";
const PRODUCT: &str = "01a1fece-c376-7d7b-9a08-82856ab022b4";
const PAYMENT: &str = "01a1fece-c3e7-8006-9bcb-b1bec51d3884";

/// The order of the evidence.
pub fn order() -> OrderId {
    OrderId(ORDER.parse().expect("an id"))
}

/// What a check says that looked at 50 items.
pub fn finding(id: &str, name: &str, verdict: Verdict) -> Finding {
    let looked = matches!(verdict, Verdict::Valid | Verdict::Invalid);
    Finding {
        id: id.to_owned(),
        name: name.to_owned(),
        verdict,
        evaluated: if looked { 1_250 } else { 0 },
        violations: usize::from(verdict == Verdict::Invalid),
        sample: Vec::new(),
        worst: None,
        last: None,
        why: None,
        notes: Vec::new(),
    }
}

/// A finding without evidence, and why.
pub fn without(id: &str, name: &str, verdict: Verdict, why: &str) -> Finding {
    Finding {
        why: Some(why.to_owned()),
        ..finding(id, name, verdict)
    }
}

/// A finding with violations about the order: so many, of which some are quoted.
pub fn violated(id: &str, name: &str, violations: usize, quoted: &[&str]) -> Finding {
    let quote = |what: &str| Violation {
        about: About::Order(order()),
        what: what.to_owned(),
    };
    Finding {
        violations,
        sample: quoted.iter().map(|what| quote(what)).collect(),
        last: (violations > quoted.len()).then(|| quote("the last of them")),
        ..finding(id, name, Verdict::Invalid)
    }
}

/// A threshold that held, or did not.
pub fn threshold(text: &str, held: bool, was: &str) -> Judged {
    Judged {
        threshold: text.to_owned(),
        held,
        was: was.to_owned(),
    }
}

fn latency(ms: [f64; 4]) -> Latency {
    Latency {
        count: 1_248,
        ms_p50: ms[0],
        ms_p90: ms[1],
        ms_p99: ms[2],
        ms_max: ms[3],
    }
}

/// The report of a run with these findings.
pub fn report(checks: Vec<Finding>, thresholds: Vec<Judged>) -> Report {
    let outcomes = [
        ("finished", 1_230),
        ("canceled out_of_stock", 11),
        ("canceled declined", 7),
    ];
    let outcomes = outcomes.map(|(outcome, count)| (outcome.to_owned(), count));
    Report {
        summary: Summary {
            engine: EngineFigures::default(),
            memory_bytes: 0,
            cpu_ms: BTreeMap::new(),
            cpu_ms_per_saga: BTreeMap::new(),
            orders: 7,
            schema: 1,
            version: "0.1.0".to_owned(),
            run: "20270115-080000-7".to_owned(),
            seed: 7,
            replay: "crashcart run --seed 7 -r 500 -d 2.5s".to_owned(),
            verdict: overall(&checks),
            exit_code: exit(&checks, &thresholds).code(),
            rate: 500.0,
            load_ms: 2_512,
            took_ms: 4_049,
            load: LoadFigures {
                offered: 1_250,
                accepted: 1_248,
                refused: 1,
                unknown: 1,
                dropped: 0,
                late: latency([0.1, 0.2, 1.5, 12.0]),
            },
            outcomes: BTreeMap::from(outcomes),
            accept: latency([1.0, 2.25, 17.0, 123.4]),
            accept_raw: latency([0.9, 2.0, 16.0, 120.0]),
            settle: latency([9.0, 21.5, 260.0, 1_034.0]),
            times: BTreeMap::new(),
            tee: None,
            faults: Vec::new(),
            thresholds,
            checks,
        },
        told: BTreeMap::new(),
        recording: Some("runs/20270115-080000-7".to_owned()),
        traces: None,
    }
}

/// Lines of sources, to be read as those of a recording are.
#[derive(Default)]
pub struct Scene {
    lines: Vec<(Source, String)>,
}

impl Scene {
    /// Adds a line. In it `$o`, `$p`, `$y` stand for order, product and payment, `@12` for 12 ms after the due time.
    pub fn line(mut self, source: Source, line: &str) -> Self {
        let line = line
            .replace("$o", ORDER)
            .replace("$p", PRODUCT)
            .replace("$y", PAYMENT);
        let mut parts = line.split('@');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part
                .find(|c: char| !c.is_ascii_digit() && c != '-')
                .unwrap_or(part.len());
            let ms: i64 = part[..end].parse().expect("milliseconds");
            text.push_str(&(DUE_US + ms * 1_000).to_string());
            text.push_str(&part[end..]);
        }
        self.lines.push((source, text));
        self
    }

    /// Adds the n-th event of a log, said at a time and published at once if it was.
    pub fn event(self, source: Source, n: u32, kind: &str, at_ms: i64, data: &str) -> Self {
        self.logged(source, n, kind, at_ms, (data, true))
    }

    /// Adds the n-th event of a log, which may not have been published.
    pub fn logged(
        self,
        source: Source,
        n: u32,
        kind: &str,
        at_ms: i64,
        (data, is_published): (&str, bool),
    ) -> Self {
        let version = data.rsplit("\"version\":").next().unwrap_or_default();
        let version = version.trim_end_matches('}').to_owned();
        let published = if is_published {
            format!("@{at_ms}")
        } else {
            "null".to_owned()
        };
        let line = format!(
            r#"{{"id":"01a1fece-c3e7-8000-8000-{n:012}","type":"{kind}","version":{version},"subject":"$o","cause":null,"data":{data},"timeUs":@{at_ms},"publishedAtUs":{published}}}"#
        );
        self.line(source, &line)
    }

    /// What of it is read, as evidence of a run.
    pub fn evidence(&self) -> Evidence {
        let mut reader = Reader::default();
        reader.evidence().plan = Plan {
            run: "20270115-080000-7".to_owned(),
            seed: 7,
            replay: "crashcart run --seed 7 -r 500 -d 2.5s".to_owned(),
            rate: 500.0,
            starts: 1,
            began_us: BEGAN_US,
            load_from_us: LOAD_US,
            load_to_us: DUE_US + 500_000,
            rest_us: DUE_US + 1_500_000,
            settle_bound_us: 30_000_000,
            attempts_max: 3,
            attempts_us: 7_250_000,
            ..Plan::default()
        };
        for (number, (source, line)) in self.lines.iter().enumerate() {
            reader.read_line(*source, number + 1, line);
        }
        for queue in ["orders", "products", "payments"] {
            let line = format!(
                r#"{{"queue":"{queue}","ready":0,"unacked":0,"retrying":0,"dead":0,"unpublished":0}}"#
            );
            reader.read_line(Source::Queues, 1, &line);
        }
        let evidence = reader.finish();
        assert!(evidence.missing.is_empty(), "{:?}", evidence.missing);
        evidence
    }
}

/// An order of three units that finishes.
pub fn finished() -> Scene {
    use Source::{Charges, History, LogOrders, LogPayments, LogProducts};
    Scene::default()
        .line(History, r#"{"story":"reread","action":"place","items":[{"productId":"$p","quantity":3}],"key":"k","dueUs":@0,"startUs":@1,"endUs":@7,"outcome":{"ok":{"orderId":"$o","status":"created","version":1}}}"#)
        .line(History, r#"{"story":"reread","action":"read","orderId":"$o","key":null,"dueUs":@40,"startUs":@40,"endUs":@41,"outcome":{"ok":{"orderId":"$o","status":"finished","version":2}}}"#)
        .line(Source::Orders, r#"{"id":"$o","status":"finished","version":2,"items":[{"productId":"$p","quantity":3}],"amountCents":374700,"reason":null,"createdAtUs":@4,"settledAtUs":@30,"traceId":"cf733dab67f546c78d975014acf42b6d","idempotencyKey":"k"}"#)
        .line(Source::Reservations, r#"{"orderId":"$o","productId":"$p","quantity":3,"unitPriceCents":124900,"status":"consumed","version":2}"#)
        .line(Source::Payments, r#"{"id":"$y","orderId":"$o","amountCents":374700,"status":"processed","reason":null,"version":2}"#)
        .line(Charges, r#"{"key":"$y","paymentId":"$y","orderId":"$o","amountCents":374700,"outcome":"charged","atUs":@20}"#)
        .event(LogOrders, 1, "order.created", 4, r#"{"orderId":"$o","items":[{"productId":"$p","quantity":3}],"version":1}"#)
        .event(LogProducts, 2, "reservation.created", 10, r#"{"orderId":"$o","lines":[{"productId":"$p","quantity":3,"unitPriceCents":124900,"availableAfter":7,"productVersion":2}],"amountCents":374700,"version":1}"#)
        .event(LogPayments, 3, "payment.created", 15, r#"{"orderId":"$o","paymentId":"$y","amountCents":374700,"version":1}"#)
        .event(LogPayments, 4, "payment.processed", 22, r#"{"orderId":"$o","paymentId":"$y","amountCents":374700,"version":2}"#)
        .event(LogProducts, 5, "reservation.consumed", 26, r#"{"orderId":"$o","amountCents":374700,"version":2}"#)
        .event(LogOrders, 6, "order.finished", 30, r#"{"orderId":"$o","amountCents":374700,"version":2}"#)
}

/// A fault that was on from so many milliseconds after the due time, and perhaps ended.
pub fn fault(scene: Scene, kind: &str, from_ms: i64, to_ms: Option<i64>) -> Scene {
    let over = to_ms.map_or("null".to_owned(), |ms| format!("@{ms}"));
    let line = format!(
        r#"{{"id":"{kind}-1","kind":"{kind}","service":"payments","askedUs":@{from_ms},"firedUs":@{from_ms},"healedUs":{over},"recoveredUs":{over},"fired":1,"observed":1,"how":"seen"}}"#
    );
    scene.line(Source::Faults, &line)
}
