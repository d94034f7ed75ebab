//! A transaction: what is asked at the same time goes out in one go.
//!
//! `begin` travels with the first statement and `rollback` with whatever the connection is used for next, so
//! neither costs a round trip. The server answers in the order of asking: there is no half transaction.

use super::bind::{Wire, wires};
use super::error::commit_error;
use super::link::{Failure, silence};
use super::pool::Held;
use super::statement::{self, by_key, key_column, text};
use super::together::{Answers, First, Together, UnderWay, owned};
use crate::store::{Change, Edit, Find, Insert, Last, Param, Result, Row, StoreError, Tx};
use async_trait::async_trait;
use futures_util::future::{join, join_all};
use futures_util::poll;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To write. Each statement sees what was committed before it.
    Write,
    /// To have a quick look.
    Read,
    /// To see one state for as long as it takes.
    Snapshot,
    /// One statement, which is a transaction by itself.
    Single,
}

impl Access {
    const fn begin(self) -> Option<&'static str> {
        match self {
            Self::Write => Some("begin isolation level read committed read write"),
            Self::Snapshot => Some("begin isolation level repeatable read read only"),
            // Each statement would see what was committed before it all the same; two commands less.
            Self::Read | Self::Single => None,
        }
    }
}

pub(super) struct PgTx {
    held: Held,
    access: Access,
    is_open: bool,
    has_failed: AtomicBool,
    asked: AtomicUsize,
    answered: AtomicUsize,
    under_way: UnderWay,
    inserts: Together<Insert, Vec<Param<'static>>, bool>,
    edits: Together<Edit, Vec<Param<'static>>, Vec<Row>>,
    finds: Together<Find, String, Option<Row>>,
}

impl PgTx {
    pub(super) fn begin(held: Held, access: Access) -> Self {
        if let Some(begin) = access.begin() {
            held.link().send(begin);
        }
        Self {
            held,
            access,
            is_open: access.begin().is_some(),
            has_failed: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            under_way: UnderWay::default(),
            inserts: Together::default(),
            edits: Together::default(),
            finds: Together::default(),
        }
    }

    /// Keeps account of one question: after an error this transaction can only be dropped.
    async fn ask<T, E: Into<StoreError>>(
        &self,
        asked: impl Future<Output = Result<T, E>>,
    ) -> Result<T> {
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(StoreError::Conflict(FAILED_BEFORE.to_owned()));
        }
        self.asked.fetch_add(1, Ordering::Relaxed);
        let one = self.under_way.one();
        let answer = asked.await;
        drop(one);
        self.answered.fetch_add(1, Ordering::Relaxed);
        answer.map_err(|error| {
            self.has_failed.store(true, Ordering::Relaxed);
            error.into()
        })
    }

    pub(super) async fn rows(&self, sql: &str, params: &[Wire<'_>]) -> Result<Vec<Row>> {
        self.ask(self.held.link().query(sql, params)).await
    }

    async fn count(&self, sql: &str, params: &[Wire<'_>]) -> Result<u64> {
        self.ask(self.held.link().execute(sql, params)).await
    }

    /// Inserts `rows` with one statement.
    async fn insert_now(&self, insert: &Insert, rows: &[Vec<Param<'_>>]) -> Result<Vec<bool>> {
        let (sql, params) = statement::insertion(insert, rows)?;
        let Some(key) = key_column(insert) else {
            self.count(&sql, &params).await?;
            return Ok(vec![true; rows.len()]);
        };
        let found = self.rows(&sql, &params).await?;
        let mut fresh = found
            .iter()
            .map(|row| row.get(0))
            .collect::<Result<BTreeSet<String>>>()?;
        // A key that stands in two rows is new in the first of them.
        let is_fresh = |row: &Vec<Param<'_>>| text(row, key).is_some_and(|key| fresh.remove(key));
        Ok(rows.iter().map(is_fresh).collect())
    }

    /// Edits all `rows` with one statement; with one more for those whose key stands in another one already.
    async fn edit_now(
        &self,
        edit: &Edit,
        mut rows: Vec<Vec<Param<'static>>>,
    ) -> Result<Vec<Vec<Row>>> {
        let mut told = Vec::with_capacity(rows.len());
        while !rows.is_empty() {
            let mut keys = BTreeSet::new();
            let is_again = |row: &Vec<Param<'_>>| !keys.insert(text(row, 0).map(str::to_owned));
            let n = rows.iter().position(is_again).unwrap_or(rows.len());
            let later = rows.split_off(n);
            let (sql, params) = statement::edition(edit, &rows)?;
            let mut changed = by_key(self.rows(&sql, &params).await?)?;
            let of_key = |row: &Vec<Param<'_>>| {
                text(row, 0)
                    .and_then(|key| changed.remove(key))
                    .unwrap_or_default()
            };
            told.extend(rows.iter().map(of_key));
            rows = later;
        }
        Ok(told)
    }

    /// Looks for all `keys` with one statement.
    pub(super) async fn find_now(&self, find: &Find, keys: &[String]) -> Result<Vec<Option<Row>>> {
        let (sql, params) = statement::search(find, keys);
        let found = by_key(self.rows(&sql, &params).await?)?;
        let row = |key: &String| found.get(key)?.first().cloned();
        Ok(keys.iter().map(row).collect())
    }

    /// Who is the first waits until the others who ask side by side have had their turn, those too who wait for
    /// another answer before they come to it, and asks for everybody.
    async fn together<K, Q, A, F>(
        &self,
        (answers, first): (Answers<A>, Option<First<'_, K, Q, A>>),
        ask: impl FnOnce(Vec<Q>) -> F,
    ) -> Answers<A>
    where
        K: PartialEq + Clone,
        F: Future<Output = Result<Vec<A>>>,
    {
        if let Some(first) = first {
            self.under_way.none().await;
            tokio::task::yield_now().await;
            if let Some(mut group) = first.take() {
                // Given up from here on it may be done or not, and nobody was told.
                let untold = Fails(&self.has_failed);
                let outcome = ask(std::mem::take(&mut group.questions)).await;
                if outcome.is_ok() {
                    std::mem::forget(untold);
                }
                group.tell(outcome);
            }
        }
        answers
    }
}

/// Dropped, it leaves a transaction that can only be dropped.
struct Fails<'a>(&'a AtomicBool);

impl Drop for Fails<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// It may have been an error, and then the commit that succeeded has kept nothing.
const UNANSWERED: &str = "a statement before the commit was not answered in time";
/// Who inserts more rows than so many needs nobody else's for a good statement.
const TOGETHER_MAX: usize = 16;
const FAILED_BEFORE: &str = "another statement of this transaction has failed";

impl Drop for PgTx {
    fn drop(&mut self) {
        if self.is_open && self.held.link().is_open() {
            self.held.link().send("rollback");
        }
    }
}

#[async_trait]
impl Tx for PgTx {
    async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        self.count(sql, &wires(params)).await
    }

    async fn execute_many(&self, sql: &str, rows: &[Vec<Param<'_>>]) -> Result<Vec<u64>> {
        let all = rows.iter().map(|params| self.execute(sql, params));
        let mut counts = Vec::with_capacity(rows.len());
        let mut victim = None;
        for answer in join_all(all).await {
            match answer {
                Ok(count) => counts.push(count),
                // Those behind the one that failed only tell that something has.
                Err(error @ StoreError::Conflict(_)) => victim = victim.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        victim.map_or(Ok(counts), Err)
    }

    async fn insert_many(&self, insert: &Insert, rows: &[Vec<Param<'_>>]) -> Result<Vec<bool>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        if rows.len() > TOGETHER_MAX {
            let fails = Fails(&self.has_failed);
            let outcome = self.insert_now(insert, rows).await;
            if outcome.is_ok() {
                std::mem::forget(fails);
            }
            return outcome;
        }
        let added = self.inserts.add(insert, rows.iter().map(|row| owned(row)));
        let ask = async |rows: Vec<_>| self.insert_now(insert, &rows).await;
        self.together(added, ask).await.get().await
    }

    async fn edit(&self, edit: &Edit, given: &[Param<'_>]) -> Result<Vec<Row>> {
        let added = self.edits.add(edit, [owned(given)]);
        let ask = async |rows: Vec<_>| self.edit_now(edit, rows).await;
        self.together(added, ask).await.get_one().await
    }

    async fn find(&self, find: &Find, key: &str) -> Result<Option<Row>> {
        let added = self.finds.add(find, [key.to_owned()]);
        let ask = async |keys: Vec<_>| self.find_now(find, &keys).await;
        self.together(added, ask).await.get_one().await
    }

    async fn update_many(
        &self,
        change: &Change,
        params: &[Param<'_>],
        keys: &[String],
    ) -> Result<u64> {
        if keys.is_empty() {
            return Ok(0);
        }
        let (sql, params) = statement::update(change, params, keys);
        self.count(&sql, &params).await
    }

    async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.rows(sql, &wires(params)).await
    }

    async fn lock_rows(&self, table: &str, ids: &[String]) -> Result<()> {
        let sql =
            format!("select id from {table} where id = any($1) order by id for no key update");
        let ids = ids.iter().map(|id| Some(id.as_str())).collect();
        self.count(&sql, &[Wire::Texts(ids)]).await?;
        Ok(())
    }

    async fn lock_schema(&self) -> Result<()> {
        self.count(
            "select pg_advisory_xact_lock($1)",
            &[Wire::Int(SCHEMA_LOCK)],
        )
        .await?;
        let sql = "select datcollate from pg_database where datname = current_database()";
        let found = self.rows(sql, &[]).await?;
        let collation: String = found.first().map_or(Ok(String::new()), |row| row.get(0))?;
        if !matches!(collation.as_str(), "C" | "POSIX" | "C.UTF-8" | "C.utf8") {
            tracing::warn!(
                collation,
                "this database sorts text in its own way: lists are in that order; create it with LC_COLLATE 'C'"
            );
        }
        Ok(())
    }

    async fn tune(&self, statement: &str) -> Result<()> {
        self.count(statement, &[]).await.map(drop)
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.finish(&[]).await
    }

    async fn finish(mut self: Box<Self>, last: &[Last<'_>]) -> Result<()> {
        if self.access != Access::Write {
            return Ok(());
        }
        if self.asked.load(Ordering::Relaxed) > self.answered.load(Ordering::Relaxed) {
            // Nobody waited for some answer. Were it an error, the server would roll back and call it a success.
            self.rows("select 1", &[]).await?;
        }
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(StoreError::Statement(FAILED_BEFORE.to_owned()));
        }
        let link = self.held.link();
        if !link.is_open() {
            return Err(StoreError::Engine(
                "the connection was lost before the commit".to_owned(),
            ));
        }
        // All is prepared before anything is sent: what is prepared later would come after the commit.
        let mut prepared = Vec::with_capacity(last.len());
        for (sql, params) in statement::last(last)? {
            prepared.push((link.prepare(&sql, &params).await?, params));
        }
        let mut sent = Vec::with_capacity(prepared.len());
        for (statement, params) in &prepared {
            let mut asked = Box::pin(link.run(statement, params));
            match poll!(&mut asked) {
                Poll::Pending => sent.push(asked),
                Poll::Ready(Ok(_)) => {}
                // It did not even go out, and neither may the commit.
                Poll::Ready(Err(failure)) => return Err(failure.into()),
            }
        }
        let committing = link.command("commit");
        self.is_open = false;
        let (answers, committed) = join(join_all(sent), committing).await;
        let (refused, unanswered): (Vec<Failure>, Vec<Failure>) = answers
            .into_iter()
            .filter_map(Result::err)
            .partition(Failure::is_told_by_the_server);
        // What the server refuses it also rolls back, and calls the commit of that a success.
        match (refused.into_iter().next(), committed) {
            (Some(failure), _) => Err(failure.into()),
            (None, Ok(())) if unanswered.is_empty() => Ok(()),
            (None, Ok(())) => Err(StoreError::Unknown(UNANSWERED.to_owned())),
            (None, Err(Failure::Told(error))) => Err(commit_error(&error)),
            (None, Err(Failure::Silence(after))) => Err(StoreError::Unknown(silence(after))),
            (None, Err(other @ Failure::Parameters(_))) => Err(other.into()),
        }
    }
}

/// Whoever brings a schema up to date holds this; the number means nothing.
const SCHEMA_LOCK: i64 = 0x6372_6173_6863;
