//! What is asked side by side becomes one statement.
//!
//! The steps of a batch run side by side. Who comes first to a question waits until the others have come to it too,
//! asks for everybody, and tells each how it went.

use crate::lock::lock;
use crate::store::{Param, Result, StoreError};
use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// What waits to be asked: questions `Q` of the kinds `K`, each with an answer `A`.
pub(super) struct Together<K, Q, A>(Mutex<Vec<Group<K, Q, A>>>);

impl<K, Q, A> Default for Together<K, Q, A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// Questions of one kind, and who wants to know.
pub(super) struct Group<K, Q, A> {
    kind: K,
    pub(super) questions: Vec<Q>,
    /// How many questions each has asked, in order.
    waiting: Vec<(usize, oneshot::Sender<Result<Vec<A>>>)>,
}

/// The answers to some questions.
pub(super) struct Answers<A>(oneshot::Receiver<Result<Vec<A>>>);

/// Held by who came first. Dropped before its time it lets go of all that wait for it.
pub(super) struct First<'a, K: PartialEq, Q, A> {
    /// None when it has taken its group: the next one of the kind is somebody else's.
    together: Option<&'a Together<K, Q, A>>,
    kind: K,
}

impl<K: PartialEq + Clone, Q, A> Together<K, Q, A> {
    /// Adds questions. Who is the first has to take the group when the others have added theirs.
    pub(super) fn add(
        &self,
        kind: &K,
        questions: impl IntoIterator<Item = Q>,
    ) -> (Answers<A>, Option<First<'_, K, Q, A>>) {
        let (tell, answers) = oneshot::channel();
        let answers = Answers(answers);
        let mut groups = lock(&self.0);
        let known = groups.iter().position(|group| group.kind == *kind);
        let at = known.unwrap_or_else(|| {
            groups.push(Group {
                kind: kind.clone(),
                questions: Vec::new(),
                waiting: Vec::new(),
            });
            groups.len() - 1
        });
        let group = &mut groups[at];
        let before = group.questions.len();
        group.questions.extend(questions);
        let n = group.questions.len() - before;
        group.waiting.push((n, tell));
        let first = known.is_none().then(|| First {
            together: Some(self),
            kind: kind.clone(),
        });
        (answers, first)
    }

    /// Takes what was added of this kind.
    pub(super) fn take(&self, kind: &K) -> Option<Group<K, Q, A>> {
        let mut groups = lock(&self.0);
        let at = groups.iter().position(|group| group.kind == *kind)?;
        Some(groups.swap_remove(at))
    }
}

impl<K: PartialEq + Clone, Q, A> First<'_, K, Q, A> {
    /// Leaves the group to somebody who takes it for sure.
    pub(super) fn leave(mut self) {
        self.together = None;
    }

    /// Takes what was added.
    pub(super) fn take(mut self) -> Option<Group<K, Q, A>> {
        self.together.take()?.take(&self.kind)
    }
}

impl<K: PartialEq, Q, A> Drop for First<'_, K, Q, A> {
    fn drop(&mut self) {
        if let Some(together) = self.together.take() {
            lock(&together.0).retain(|group| group.kind != self.kind);
        }
    }
}

impl<K, Q, A> Group<K, Q, A> {
    /// Tells everybody.
    pub(super) fn tell(self, outcome: Result<Vec<A>>) {
        let is_shared = self.waiting.len() > 1;
        let mut answers = outcome.map(Vec::into_iter);
        for (n, tell) in self.waiting {
            let told = match &mut answers {
                Ok(answers) => Ok(answers.by_ref().take(n).collect()),
                // One of the rows is to blame, and nobody knows whose: each has to try alone.
                Err(StoreError::Constraint(why) | StoreError::Statement(why)) if is_shared => {
                    Err(StoreError::Conflict(why.clone()))
                }
                Err(error) => Err(error.clone()),
            };
            // Who has gone away does not want to know.
            let _ = tell.send(told);
        }
    }
}

impl<A> Answers<A> {
    /// One for each question.
    pub(super) async fn get(self) -> Result<Vec<A>> {
        let gone = "who would have asked for this too has gone away";
        let answers = self.0.await;
        answers.unwrap_or_else(|_| Err(StoreError::Conflict(gone.to_owned())))
    }

    /// The answer to the only question.
    pub(super) async fn get_one(self) -> Result<A> {
        let answers = self.get().await?;
        let none = || StoreError::Statement("a question was not answered".to_owned());
        answers.into_iter().next().ok_or_else(none)
    }
}

/// How long to wait for the answers to others.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many questions are not answered.
#[derive(Default)]
pub(super) struct UnderWay {
    n: AtomicUsize,
    none: Notify,
}

impl UnderWay {
    /// One more, until this is dropped.
    pub(super) fn one(&self) -> One<'_> {
        self.n.fetch_add(1, Ordering::Relaxed);
        One(self)
    }

    /// Waits until all are answered or dropped, but not for long: it only saves statements, and somebody may hold a
    /// question that he asks no further.
    pub(super) async fn none(&self) {
        let none = self.none.notified();
        if self.n.load(Ordering::Relaxed) > 0 {
            let _ = tokio::time::timeout(PATIENCE, none).await;
        }
    }
}

/// A question that is not answered.
pub(super) struct One<'a>(&'a UnderWay);

impl Drop for One<'_> {
    fn drop(&mut self) {
        if self.0.n.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

/// A row that outlives who gives it.
pub(super) fn owned(row: &[Param<'_>]) -> Vec<Param<'static>> {
    let owned = |param: &Param<'_>| match param {
        Param::Null => Param::Null,
        Param::Int(int) => Param::Int(*int),
        Param::Text(text) => Param::Text(Cow::Owned(text.clone().into_owned())),
    };
    row.iter().map(owned).collect()
}
