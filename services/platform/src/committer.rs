//! Commits the steps of HTTP requests in groups: many clients, one transaction.
//!
//! A step that fails fails alone: the group is rolled back and the others run again without it.

use crate::gather::Gather;
use crate::said::conclude;
use crate::store::{StoreError, Tx};
use crate::telemetry::{self, part};
use crate::{BoxFuture, Context, Error, Origin, Result, Said, http::Problem, metrics, planted};
use contract::Bug;
use futures_util::future::try_join_all;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span};

/// So often a step in conflict with another transaction is run again before its outcome is unknown.
pub(crate) const CONFLICTS_MAX: u32 = 100;
/// So often a whole group or batch is run again at once before its parts run one at a time.
pub(crate) const GROUP_CONFLICTS_MAX: u32 = 3;

/// The queue of steps that wait for the next transaction.
pub(crate) struct Committer {
    queue: mpsc::Sender<Box<dyn Queued>>,
    waiting: Mutex<Option<mpsc::Receiver<Box<dyn Queued>>>>,
}

impl Committer {
    pub(crate) fn new(bound: usize) -> Self {
        let (queue, waiting) = mpsc::channel(bound);
        Self {
            queue,
            waiting: Mutex::new(Some(waiting)),
        }
    }

    /// Queues a step; the answer comes after its commit.
    pub(crate) fn queue<I, T, S>(
        &self,
        step: Step<I, S>,
        origin: Origin,
    ) -> Result<oneshot::Receiver<Result<T>>>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
        S: for<'t> Fn(&'t I, &'t dyn Tx, &'t mut Said) -> BoxFuture<'t, Result<T>>
            + Send
            + Sync
            + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Job {
            step,
            origin,
            output: None,
            reply,
        };
        match self.queue.try_send(Box::new(job)) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Problem::overloaded().into()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::Stopped),
        }
    }
}

/// Commits what is queued, group by group, until the service is aborted.
pub(crate) async fn run(ctx: Context) {
    let waiting = ctx
        .committer()
        .waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    let mut waiting = waiting.expect("a context runs one committer");
    let mut group = Vec::new();
    let mut gather = Gather::new(ctx.settings().gather);
    while waiting
        .recv_many(&mut group, ctx.settings().commit_group_max)
        .await
        > 0
    {
        gather.begins(group.len(), ctx.settings().commit_group_max);
        ctx.metrics()
            .commit_group
            .observe(metrics::size(group.len()));
        commit_group(&ctx, std::mem::take(&mut group)).await;
        gather.more().await;
    }
}

async fn commit_group(ctx: &Context, mut group: Vec<Box<dyn Queued>>) {
    let mut conflicts = 0;
    // Each round ends the group or takes one step out of it, so there are at most as many rounds as steps, and a
    // few more for conflicts.
    while !group.is_empty() {
        let attempted = attempt(ctx, &mut group).await;
        if let Err((_, error)) = &attempted {
            ctx.metrics().note(error);
        }
        match attempted {
            Ok(()) => return group.into_iter().for_each(|job| job.answer(Ok(()))),
            Err((_, error)) if error.is_conflict() && conflicts < GROUP_CONFLICTS_MAX => {
                conflicts += 1;
            }
            Err((Some(guilty), error)) if !error.is_conflict() => {
                group.remove(guilty).answer(Err(error));
            }
            Err((_, error)) if group.len() == 1 && !error.is_conflict() => {
                return group.remove(0).answer(Err(error));
            }
            // It may be kept, so to run it again may do it twice. Only the client's key can tell.
            Err((_, Error::Store(StoreError::Unknown(why)))) => {
                let unknown = || Error::Store(StoreError::Unknown(why.clone()));
                return group.into_iter().for_each(|job| job.answer(Err(unknown())));
            }
            Err(_) => {
                // The commit itself failed, or a statement that some share: nobody is known to be guilty, so one at
                // a time.
                for job in std::mem::take(&mut group) {
                    let mut alone = vec![job];
                    let outcome = persist(ctx, &mut alone).await;
                    alone
                        .into_iter()
                        .zip([outcome])
                        .for_each(|(job, outcome)| job.answer(outcome));
                }
            }
        }
    }
}

/// Runs one step until it is committed, refused, or in conflict for too long.
async fn persist(ctx: &Context, alone: &mut Vec<Box<dyn Queued>>) -> Result<()> {
    let mut conflicts = 0;
    loop {
        match attempt(ctx, alone).await {
            Ok(()) => return Ok(()),
            Err((_, error)) if error.is_conflict() && conflicts < CONFLICTS_MAX => conflicts += 1,
            Err((_, error)) => {
                ctx.metrics().note(&error);
                return Err(error);
            }
        }
    }
}

/// Runs all steps on one transaction. The index tells which step failed, if it was one.
async fn attempt(
    ctx: &Context,
    group: &mut Vec<Box<dyn Queued>>,
) -> Result<(), (Option<usize>, Error)> {
    let requests = group.iter().map(|job| job.origin().trace);
    let span = telemetry::committing(group.len(), requests);
    let attempting = attempt_in(ctx, group, &span).instrument(span.clone());
    attempting.await.map_err(|(guilty, error)| {
        // It is an error of the group only if it is nobody's own.
        if guilty.is_none() {
            telemetry::failed(&span, &error);
        }
        (guilty, error)
    })
}

async fn attempt_in(
    ctx: &Context,
    group: &mut Vec<Box<dyn Queued>>,
    span: &Span,
) -> Result<(), (Option<usize>, Error)> {
    let begun = ctx.begin().instrument(part(span, "begin")).await;
    let tx = begun.map_err(|error| (None, error.into()))?;
    let running = group.iter_mut().enumerate().map(|(index, job)| {
        let tx = &*tx;
        async move {
            let mut said = Said::default();
            job.run(tx, &mut said)
                .await
                .map_err(|error| (Some(index), error))?;
            Ok((job.origin(), said))
        }
    });
    let ran = try_join_all(running).instrument(part(span, "steps"));
    let spoken = ran.await?;
    if planted!(ctx, Bug::ReplyBeforeCommit) {
        group.drain(..).for_each(|job| job.answer(Ok(())));
    }
    conclude(ctx, tx, spoken)
        .instrument(part(span, "commit"))
        .await
        .map_err(|error| (None, error))
}

/// A step with what it works on.
pub(crate) struct Step<I, S> {
    pub(crate) input: I,
    pub(crate) step: S,
}

struct Job<I, T, S> {
    step: Step<I, S>,
    origin: Origin,
    output: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

/// A job whose types are forgotten.
trait Queued: Send {
    fn origin(&self) -> Origin;
    fn run<'t>(&'t mut self, tx: &'t dyn Tx, said: &'t mut Said) -> BoxFuture<'t, Result<()>>;
    fn answer(self: Box<Self>, committed: Result<()>);
}

impl<I, T, S> Queued for Job<I, T, S>
where
    I: Send + Sync,
    T: Send,
    S: for<'t> Fn(&'t I, &'t dyn Tx, &'t mut Said) -> BoxFuture<'t, Result<T>> + Send + Sync,
{
    fn origin(&self) -> Origin {
        self.origin.clone()
    }

    fn run<'t>(&'t mut self, tx: &'t dyn Tx, said: &'t mut Said) -> BoxFuture<'t, Result<()>> {
        Box::pin(async move {
            self.output = Some((self.step.step)(&self.step.input, tx, said).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, committed: Result<()>) {
        let Self { output, reply, .. } = *self;
        let result = committed.and_then(|()| output.ok_or(Error::Stopped));
        // Nobody listens any more when the client has gone; its outcome is unknown to it either way.
        let _ = reply.send(result);
    }
}
