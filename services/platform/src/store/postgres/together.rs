//! Rows that are inserted side by side in one transaction become one statement.
//!
//! The steps of a batch run side by side: each comes to its insert before any of them is answered. Who comes first
//! waits until all the others have had their turn, inserts the rows of everybody, and tells each how it went.

use crate::store::{Insert, Param, Result, StoreError};
use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// A row that can wait for others.
pub(super) type Row = Vec<Param<'static>>;

/// What waits to be inserted, by table.
#[derive(Default)]
pub(super) struct Together(Mutex<Vec<Group>>);

/// Rows for one table, and who wants to know of each.
pub(super) struct Group {
    table: &'static str,
    pub(super) rows: Vec<Row>,
    waiting: Vec<oneshot::Sender<Result<bool>>>,
}

/// The answer for one row.
pub(super) struct Answer(oneshot::Receiver<Result<bool>>);

impl Together {
    /// Adds a row. True: the caller is the first, and has to take the group when the others have added theirs.
    pub(super) fn add(&self, insert: &Insert, row: &[Param<'_>]) -> (Answer, bool) {
        let (tell, answer) = oneshot::channel();
        let row = row.iter().map(owned).collect();
        let mut groups = self.groups();
        let found = groups.iter_mut().find(|group| group.table == insert.table);
        let leads = found.is_none();
        match found {
            Some(group) => {
                group.rows.push(row);
                group.waiting.push(tell);
            }
            None => groups.push(Group {
                table: insert.table,
                rows: vec![row],
                waiting: vec![tell],
            }),
        }
        (Answer(answer), leads)
    }

    /// Takes what was added for the table of `insert`.
    pub(super) fn take(&self, insert: &Insert) -> Option<Group> {
        let mut groups = self.groups();
        let at = groups
            .iter()
            .position(|group| group.table == insert.table)?;
        Some(groups.swap_remove(at))
    }

    fn groups(&self) -> MutexGuard<'_, Vec<Group>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    /// Tells everybody.
    pub(super) fn tell(self, outcome: Result<Vec<bool>>) {
        let is_shared = self.waiting.len() > 1;
        let answers: Vec<Result<bool>> = match outcome {
            Ok(fresh) => fresh.into_iter().map(Ok).collect(),
            // One of the rows is to blame, and nobody knows which: each has to try alone.
            Err(StoreError::Constraint(why) | StoreError::Statement(why)) if is_shared => {
                vec![Err(StoreError::Conflict(why)); self.waiting.len()]
            }
            Err(error) => vec![Err(error); self.waiting.len()],
        };
        for (tell, answer) in self.waiting.into_iter().zip(answers) {
            // Who has gone away does not want to know.
            let _ = tell.send(answer);
        }
    }
}

impl Answer {
    /// Whether the row was new.
    pub(super) async fn get(self) -> Result<bool> {
        let gone = "who would have inserted this row has gone away";
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
