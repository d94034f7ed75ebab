//! A service's way to the telemetry thread: a bounded queue that nobody waits for.

use super::span::{Finisher, Span, Waiting, scope};
use super::{SCOPE, Sampling, Settings};
use opentelemetry::Context as OtelContext;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanProcessor};
use prometheus::{IntCounterVec, Opts};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::Subscriber;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// Records the steps of one service. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Recording>>);

struct Recording {
    queue: Arc<Queue>,
    sampling: Sampling,
    provider: SdkTracerProvider,
    /// Counts up, so that no two steps of this life of the service get the same id.
    fresh: AtomicU64,
}

impl Tracer {
    /// Records nothing.
    pub const fn off() -> Self {
        Self(None)
    }

    pub(super) fn new(
        queue: Arc<Queue>,
        settings: &Settings,
        resource: Resource,
        seed: u64,
    ) -> Self {
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Hand(Arc::clone(&queue)))
            .with_sampler(settings.sampling.sampler())
            .with_resource(resource)
            .build();
        let sampling = settings.sampling.clone();
        Self(Some(Arc::new(Recording {
            queue,
            sampling,
            provider,
            fresh: AtomicU64::new(seed),
        })))
    }

    /// Records everything, to be taken away by whoever asks: for worlds.
    pub fn kept(service: &'static str, seed: u64) -> Self {
        let settings = Settings::to(String::new(), super::Protocol::Http);
        let queue = Queue::new(&settings, Finisher::new(service, SCOPE));
        let resource = Resource::builder_empty().build();
        Self::new(Arc::new(queue), &settings, resource, seed)
    }

    /// The spans that were recorded and nobody has taken, as a collector would get them.
    pub fn take(&self) -> Vec<SpanData> {
        let Some(recording) = &self.0 else {
            return Vec::new();
        };
        let queue = &recording.queue;
        let waiting = queue.take(usize::MAX).into_iter();
        waiting
            .map(|waiting| queue.finisher.finish(waiting))
            .collect()
    }

    /// Whether anything is recorded at all.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a trace is recorded; `parent` is what the caller has decided, if there is one.
    pub fn takes(&self, trace_id: u128, parent: Option<bool>) -> bool {
        let decided = self
            .0
            .as_ref()
            .map(|recording| recording.sampling.takes(trace_id, parent));
        // Who records nothing hands on what others decide.
        decided.unwrap_or(parent == Some(true))
    }

    /// An id for a step that nobody continues.
    pub fn fresh(&self) -> u64 {
        self.0.as_ref().map_or(1, |recording| {
            mixed(recording.fresh.fetch_add(1, Ordering::Relaxed)).max(1)
        })
    }

    /// Hands over finished steps; with a full queue they are dropped and counted.
    pub fn record(&self, spans: impl IntoIterator<Item = Span>) {
        if let Some(recording) = &self.0 {
            recording.queue.push(spans.into_iter().map(Waiting::Step));
        }
    }

    /// What became of the spans, to be shown among the service's metrics.
    pub fn counts(&self) -> Option<&IntCounterVec> {
        self.0
            .as_ref()
            .map(|recording| &recording.queue.counts.family)
    }

    /// Records spans of the tracing crate: batches, and nothing that a library may have to tell.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'s> LookupSpan<'s>,
    {
        let recording = self.0.as_ref()?;
        let layer = tracing_opentelemetry::layer()
            .with_tracer(recording.provider.tracer_with_scope(scope()))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false);
        Some(layer.with_filter(filter_fn(|metadata| metadata.target() == super::TARGET)))
    }
}

/// Spreads neighbours over all numbers.
pub(crate) const fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// What became of spans.
pub(super) struct Counts {
    family: IntCounterVec,
}

impl Counts {
    fn new() -> Self {
        let family = IntCounterVec::new(
            Opts::new(
                "crashcart_telemetry_spans_total",
                "Spans that a collector took (sent), that it did not take in time or refused (failed), and for which \
                 there was no room (dropped).",
            ),
            &["result"],
        );
        let family = family.expect("a valid name");
        for result in ["sent", "failed", "dropped"] {
            let _ = family.with_label_values(&[result]);
        }
        Self { family }
    }

    pub(super) fn add(&self, result: &'static str, n: usize) {
        self.family.with_label_values(&[result]).inc_by(n as u64);
    }
}

/// Spans that wait to be sent.
pub(super) struct Queue {
    most: usize,
    wake_at: usize,
    waiting: Mutex<Vec<Waiting>>,
    pub(super) enough: Notify,
    pub(super) finisher: Finisher,
    pub(super) counts: Counts,
}

impl Queue {
    pub(super) fn new(settings: &Settings, finisher: Finisher) -> Self {
        Self {
            most: settings.queue_max,
            wake_at: settings.batch_max,
            waiting: Mutex::default(),
            enough: Notify::new(),
            finisher,
            counts: Counts::new(),
        }
    }

    fn push(&self, spans: impl Iterator<Item = Waiting>) {
        let mut dropped = 0;
        let len = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            for span in spans {
                if waiting.len() < self.most {
                    waiting.push(span);
                } else {
                    dropped += 1;
                }
            }
            waiting.len()
        };
        if dropped > 0 {
            self.counts.add("dropped", dropped);
        }
        if len >= self.wake_at {
            self.enough.notify_one();
        }
    }

    /// Up to `n` spans, oldest first.
    pub(super) fn take(&self, n: usize) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() <= n {
            return std::mem::take(&mut *waiting);
        }
        let rest = waiting.split_off(n);
        std::mem::replace(&mut *waiting, rest)
    }
}

/// Takes the spans that the SDK has finished.
struct Hand(Arc<Queue>);

impl fmt::Debug for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hand")
    }
}

impl SpanProcessor for Hand {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &OtelContext) {}

    fn on_end(&self, span: SpanData) {
        self.0.push(std::iter::once(Waiting::Whole(Box::new(span))));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
