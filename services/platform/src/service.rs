//! What a service brings. The platform does the rest.

use crate::http::Api;
use crate::store::{Migration, Tx};
use crate::{BoxFuture, Context, Origin, Result, Said, Trace};
use contract::{Event, EventType, MessageId};

/// A message as a service hears it.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The message's id: the cause of whatever is said in answer.
    pub id: MessageId,
    /// The event.
    pub event: Event,
    /// When it was said, microseconds since 1970.
    pub time_us: i64,
    /// The step in which it is applied here; whatever is said in answer goes on from it.
    pub trace: Trace,
    /// The step that said it, if that is known: its span id.
    pub parent: u64,
}

impl Heard {
    /// What is said in answer comes from this message.
    pub fn origin(&self) -> Origin {
        Origin {
            cause: Some(self.id),
            trace: self.trace.clone(),
        }
    }
}

/// A service: a schema, an API, and its reactions.
pub trait Service: Send + Sync + 'static {
    /// Its schema.
    fn migrations(&self) -> &'static [Migration];

    /// Its endpoints.
    fn api(&self, ctx: &Context) -> Api;

    /// Whether it reacts to this type of event.
    fn hears(&self, kind: EventType) -> bool;

    /// Called before the reactions of a batch, to lock what they will change in one order.
    fn prepare<'t>(
        &'t self,
        _tx: &'t dyn Tx,
        _batch: &'t [&'t Heard],
    ) -> BoxFuture<'t, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Applies one event. It may run again on another transaction when this one fails.
    fn react<'t>(
        &'t self,
        heard: &'t Heard,
        tx: &'t dyn Tx,
        said: &'t mut Said,
    ) -> BoxFuture<'t, Result<()>>;

    /// Brings the metrics up to date that stand in the database; called whenever somebody asks for metrics.
    fn measure<'a>(&'a self, _ctx: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Looks at what it finds and starts loops of its own; called once, before anything else runs.
    fn start<'a>(&'a self, _ctx: &'a Context) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}
