//! The telemetry thread of a process: it outlives the services, sends what they record, and is flushed at the end.

use super::export::exporter;
use super::span::Finisher;
use super::tracer::Queue;
use super::{Settings, Tracer};
use opentelemetry::KeyValue;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc as unbounded;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Dispatch;
use uuid::Uuid;

/// Why telemetry cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The collector's address, or something about the way to it.
    #[error("telemetry cannot be sent: {0}")]
    Endpoint(String),
    /// A header that no request can have.
    #[error("telemetry cannot be sent with the header {0}")]
    Header(String),
    /// No thread, or no runtime.
    #[error("telemetry cannot be sent: {0}")]
    System(#[from] std::io::Error),
}

/// The telemetry thread. Without settings it is not there, and every tracer is off.
pub struct Pipeline(Option<Thread>);

struct Thread {
    settings: Settings,
    dispatch: Dispatch,
    handle: Handle,
    senders: unbounded::UnboundedSender<Sender>,
    stop: watch::Sender<bool>,
    /// Closed when the thread ends.
    ended: mpsc::Receiver<()>,
}

/// One service's spans on their way.
struct Sender {
    queue: Arc<Queue>,
    exporter: SpanExporter,
}

impl Pipeline {
    /// Nothing is sent.
    pub const fn off() -> Self {
        Self(None)
    }

    /// Starts the thread, if there is somewhere to send to. What cannot be sent is told to `dispatch`.
    ///
    /// # Errors
    /// When there can be no thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "one thread in a process sends telemetry and outlives the services"
    )]
    pub fn start(settings: Option<Settings>, dispatch: Dispatch) -> Result<Self, TelemetryError> {
        let Some(settings) = settings else {
            return Ok(Self::off());
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        // A handful: one for each service of the process.
        let (senders, added) = unbounded::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let (of_thread, told) = (settings.clone(), dispatch.clone());
        let (alive, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name("telemetry".to_owned())
            .spawn(move || {
                let _alive: mpsc::Sender<()> = alive;
                tracing::dispatcher::with_default(&told, || {
                    runtime.block_on(send_all(of_thread, added, stopped));
                });
            })?;
        Ok(Self(Some(Thread {
            settings,
            dispatch,
            handle,
            senders,
            stop,
            ended,
        })))
    }

    /// Records the steps of a service, whose messages travel by `system`. `seed` is of this life of it alone.
    ///
    /// # Errors
    /// When its spans cannot be sent at all.
    pub fn tracer(
        &self,
        service: &'static str,
        system: &'static str,
        seed: u64,
    ) -> Result<Tracer, TelemetryError> {
        let Some(thread) = &self.0 else {
            return Ok(Tracer::off());
        };
        let settings = &thread.settings;
        let resource = resource(settings, service, seed);
        let exporter = {
            let _runtime = thread.handle.enter();
            exporter(settings, &resource)?
        };
        let queue = Arc::new(Queue::new(settings, Finisher::new(service, system)));
        let tracer = Tracer::new(Arc::clone(&queue), settings, resource, seed);
        // The thread ends only with us.
        let _ = thread.senders.send(Sender { queue, exporter });
        Ok(tracer)
    }

    /// Sends what waits, for `bound` at most. Call it when the services have stopped; it blocks.
    pub fn finish(self, bound: Duration) {
        let Some(Thread {
            stop,
            ended,
            dispatch,
            ..
        }) = self.0
        else {
            return;
        };
        stop.send_replace(true);
        // The thread says nothing: the other side is gone with it.
        if ended.recv_timeout(bound) == Err(RecvTimeoutError::Timeout) {
            tracing::dispatcher::with_default(&dispatch, || {
                tracing::warn!(
                    ?bound,
                    "telemetry was not sent in time, the rest is dropped"
                );
            });
        }
    }
}

fn resource(settings: &Settings, service: &'static str, seed: u64) -> Resource {
    let instance = Uuid::from_u64_pair(super::tracer::mixed(seed), seed);
    described(&settings.resource, service, (instance, std::process::id()))
}

/// What a service in a world says that it is.
pub fn resource_in_a_world(service: &'static str) -> Resource {
    described(&[], service, (Uuid::nil(), 0))
}

fn described(
    given: &[(String, String)],
    service: &'static str,
    (instance, pid): (Uuid, u32),
) -> Resource {
    let given = given.iter();
    let given = given.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty()
        .with_attributes(given)
        .with_attributes([
            KeyValue::new("service.name", service),
            KeyValue::new("service.namespace", super::SCOPE),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance.to_string()),
            KeyValue::new("process.pid", i64::from(pid)),
            KeyValue::new("telemetry.sdk.language", "rust"),
            KeyValue::new("telemetry.sdk.name", "opentelemetry"),
        ])
        .build()
}

#[expect(
    clippy::disallowed_methods,
    reason = "these tasks belong to the telemetry thread, not to a service"
)]
async fn send_all(
    settings: Settings,
    mut added: unbounded::UnboundedReceiver<Sender>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut sending = JoinSet::new();
    let stop = stopped.clone();
    let mut ends = std::pin::pin!(stopped.wait_for(|stopped| *stopped));
    // Those that have come by the time of the end are sent, too.
    while let Some(sender) = tokio::select! {
        biased;
        Some(sender) = added.recv() => Some(sender),
        // A sender that is gone wants to stop, too.
        _ = &mut ends => None,
    } {
        sending.spawn(send(sender, settings.clone(), stop.clone()));
    }
    while sending.join_next().await.is_some() {}
}

/// Sends what one service records until there is nothing more to come.
async fn send(sender: Sender, settings: Settings, mut stopped: watch::Receiver<bool>) {
    let Sender { queue, exporter } = sender;
    let service = queue.finisher.service;
    let mut works = true;
    loop {
        let stopping = tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => true,
            () = queue.enough.notified() => false,
            () = tokio::time::sleep(settings.delay) => false,
        };
        loop {
            let waiting = queue.take(settings.batch_max);
            let n = waiting.len();
            if n == 0 {
                break;
            }
            let spans = waiting
                .into_iter()
                .map(|one| queue.finisher.finish(one))
                .collect();
            let sent = tokio::time::timeout(settings.timeout, exporter.export(spans)).await;
            let failed = match sent {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {:?}", settings.timeout)),
            };
            queue
                .counts
                .add(if failed.is_none() { "sent" } else { "failed" }, n);
            match &failed {
                None if !works => tracing::info!(service, "telemetry is sent again"),
                Some(error) if works => {
                    let endpoint = &settings.endpoint;
                    tracing::warn!(
                        service,
                        endpoint,
                        error,
                        "telemetry is not taken, it is dropped until it is"
                    );
                }
                _ => {}
            }
            works = failed.is_none();
            if n < settings.batch_max && !stopping {
                break;
            }
        }
        if stopping {
            return;
        }
    }
}
