//! Rows that are inserted side by side in one transaction become one statement.
//!
//! The steps of a batch run side by side: each comes to its insert before any of them is answered. Who comes first
//! waits until all the others have had their turn, inserts the rows of everybody, and tells each how it went.

use crate::lock::lock;
use crate::store::{Insert, Param, Result, StoreError};
use std::borrow::Cow;
use std::sync::Mutex;
use tokio::sync::oneshot;

/// What waits to be inserted, by table.
#[derive(Default)]
pub(super) struct Together(Mutex<Vec<Group>>);

/// Rows for one table, and who wants to know of them.
pub(super) struct Group {
    table: &'static str,
    pub(super) rows: Vec<Vec<Param<'static>>>,
    /// Of how many rows each wants to know, in order.
    waiting: Vec<(usize, oneshot::Sender<Answered>)>,
}

type Answered = Result<Vec<bool>>;

/// The answer for some rows.
pub(super) struct Answer(oneshot::Receiver<Answered>);

/// Held by who came first. Dropped before its time it lets go of all that wait for it.
pub(super) struct First<'a> {
    /// None when it has taken its group: the next one for the table is somebody else's.
    together: Option<&'a Together>,
    table: &'static str,
}

impl Together {
    /// Adds rows. Who is the first has to take the group when the others have added theirs.
    pub(super) fn add(
        &self,
        insert: &Insert,
        rows: &[Vec<Param<'_>>],
    ) -> (Answer, Option<First<'_>>) {
        let (tell, answer) = oneshot::channel();
        let waiting = (rows.len(), tell);
        let rows = rows.iter().map(|row| row.iter().map(owned).collect());
        let table = insert.table;
        let mut groups = lock(&self.0);
        let answer = Answer(answer);
        if let Some(group) = groups.iter_mut().find(|group| group.table == table) {
            group.rows.extend(rows);
            group.waiting.push(waiting);
            return (answer, None);
        }
        groups.push(Group {
            table,
            rows: rows.collect(),
            waiting: vec![waiting],
        });
        let together = Some(self);
        (answer, Some(First { together, table }))
    }
}

impl First<'_> {
    /// Takes what was added for the table.
    pub(super) fn take(mut self) -> Option<Group> {
        self.let_go()
    }

    fn let_go(&mut self) -> Option<Group> {
        let mut groups = lock(&self.together.take()?.0);
        let at = groups.iter().position(|group| group.table == self.table)?;
        Some(groups.swap_remove(at))
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        drop(self.let_go());
    }
}

impl Group {
    /// Tells everybody.
    pub(super) fn tell(self, outcome: &Answered) {
        let is_shared = self.waiting.len() > 1;
        let mut from = 0;
        for (n, tell) in self.waiting {
            let answer = match outcome {
                Ok(fresh) => Ok(fresh.get(from..from + n).unwrap_or_default().to_vec()),
                // One of the rows is to blame, and nobody knows whose: each has to try alone.
                Err(StoreError::Constraint(why) | StoreError::Statement(why)) if is_shared => {
                    Err(StoreError::Conflict(why.clone()))
                }
                Err(error) => Err(error.clone()),
            };
            from += n;
            // Who has gone away does not want to know.
            let _ = tell.send(answer);
        }
    }
}

impl Answer {
    /// Which of the rows were new.
    pub(super) async fn get(self) -> Answered {
        let gone = "who would have inserted these rows has gone away";
        let answer = self.0.await;
        answer.unwrap_or_else(|_| Err(StoreError::Conflict(gone.to_owned())))
    }
}

fn owned(param: &Param<'_>) -> Param<'static> {
    match param {
        Param::Null => Param::Null,
        Param::Int(int) => Param::Int(*int),
        Param::Text(text) => Param::Text(Cow::Owned(text.clone().into_owned())),
    }
}
