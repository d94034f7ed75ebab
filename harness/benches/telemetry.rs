//! What it costs to be watched: a step of a trace from its record to the collector, and a measured duration.
//!
//!   cargo bench -p harness --bench telemetry
//!
//! A happy saga is about 14 spans and 30 measured durations. Whole runs are compared with
//! `crashcart run --traces 0`, `0.01` and `1`; the table is in the README.

use contract::MessageId;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use harness::telemetry::{Exposition, Shapes, otlp, spans};
use platform::Trace;
use platform::telemetry::{Ids, Outcome, Span, Tracer, What};
use prost::Message;
use std::hint::black_box;
use uuid::Uuid;

/// As many as are sent in one request.
const BATCH: u64 = 512;
const SERVICE: &str = "products";

fn step(n: u64) -> Span {
    Span {
        ids: Ids {
            trace: u128::from(n / 14 + 1),
            span: n + 1,
            parent: n,
        },
        start_us: 1_780_000_000_000_000,
        end_us: 1_780_000_000_000_900,
        what: What::Process {
            kind: "order.created",
            message: MessageId(Uuid::from_u128(7)),
            about: Uuid::from_u128(9),
            outcome: Outcome::Applied,
            batch: Some((3, 4)),
        },
    }
}

fn filled() -> Tracer {
    let tracer = Tracer::kept(SERVICE, 1);
    tracer.record((0..BATCH).map(step));
    tracer
}

/// From the service to the collector, 512 spans at a time; criterion tells how long one takes.
fn traces(c: &mut Criterion) {
    let mut group = c.benchmark_group("spans");
    group.throughput(Throughput::Elements(BATCH));
    let off = Tracer::off();
    group.bench_function("recorded by nobody", |b| {
        b.iter(|| (0..BATCH).for_each(|n| off.record([step(black_box(n))])));
    });
    group.bench_function("recorded by a service", |b| {
        b.iter_batched(
            || Tracer::kept(SERVICE, 1),
            |tracer| {
                tracer.record((0..BATCH).map(step));
                tracer
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("made complete on the telemetry thread", |b| {
        b.iter_batched(filled, |tracer| tracer.take(), BatchSize::SmallInput);
    });
    group.bench_function("encoded", |b| {
        b.iter_batched(
            || filled().take(),
            |spans| otlp(SERVICE, spans).encode_to_vec(),
            BatchSize::SmallInput,
        );
    });
    let request = otlp(SERVICE, filled().take());
    let bytes = request.encode_to_vec();
    println!("{} bytes a span", bytes.len() as u64 / BATCH);
    group.bench_function("received: decoded, shaped, written as a line", |b| {
        b.iter_batched(
            || (bytes.clone(), Shapes::default()),
            |(bytes, mut shapes)| {
                let request = prost::Message::decode(&*bytes);
                let request = request.expect("what was encoded");
                shapes.take(&request);
                let lines = spans(&request).map(|line| serde_json::to_vec(&line));
                lines
                    .filter_map(Result::ok)
                    .map(|line| line.len())
                    .sum::<usize>()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A duration with and without an example, and all metrics of a service as text.
fn metrics(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime with nothing but a timer");
    let provider = shop::ProviderSettings::default();
    let mischief = shop::world::ShopMischief::default();
    let (world, _) = runtime.block_on(shop::world::build(1, provider, mischief));
    let orders = world.context("orders");
    let lag = &orders.metrics().lag;
    let trace = Trace::new(Uuid::from_u128(5), 6).sampled(true);
    c.bench_function("a duration measured", |b| {
        b.iter(|| lag.observe(&["order.created"], black_box(900), (None, 0)));
    });
    c.bench_function("a duration measured, with an example", |b| {
        b.iter(|| lag.observe(&["order.created"], black_box(900), (Some(&trace), 1)));
    });
    c.bench_function("metrics as text", |b| b.iter(|| orders.metrics().text()));
    c.bench_function("metrics as OpenMetrics", |b| {
        b.iter(|| orders.metrics().open_metrics());
    });
    let text = orders.metrics().open_metrics();
    c.bench_function("metrics read by the harness", |b| {
        b.iter(|| Exposition::parse(black_box(&text)));
    });
}

criterion_group!(benches, traces, metrics);
criterion_main!(benches);
