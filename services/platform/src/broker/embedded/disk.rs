//! The broker's file: messages, the mark of each queue, and the exceptions.

use super::super::Tapped;
use super::queue::Exception;
use crate::store::{Checkpointer, StoreError, Synchronous};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::path::Path;

type Result<T, E = StoreError> = std::result::Result<T, E>;

pub(super) struct Disk {
    connection: Connection,
    _checkpointer: Option<Checkpointer>,
}

impl Disk {
    pub(super) fn open(path: &Path, synchronous: Synchronous) -> Result<Self> {
        let connection = crate::store::connect_sqlite(path, synchronous)?;
        // Messages are written once and read once: what is kept in memory of them is of no use.
        connection
            .execute_batch("pragma cache_size = -4000;")
            .map_err(engine)?;
        Self::prepare(connection, Some(Checkpointer::start(path)?))
    }

    pub(super) fn in_memory() -> Result<Self> {
        Self::prepare(Connection::open_in_memory().map_err(engine)?, None)
    }

    fn prepare(connection: Connection, checkpointer: Option<Checkpointer>) -> Result<Self> {
        connection
            .execute_batch(
                "create table if not exists messages (seq integer primary key, body text not null);
                 create table if not exists queues (name text primary key, mark integer not null);
                 create table if not exists exceptions (
                     queue text not null, seq integer not null, attempts integer not null, due_us integer,
                     reason text not null, at_us integer not null, primary key (queue, seq));",
            )
            .map_err(engine)?;
        Ok(Self {
            connection,
            _checkpointer: checkpointer,
        })
    }

    /// Runs `work` as one transaction.
    pub(super) fn transaction<T>(&mut self, work: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        self.connection
            .execute_batch("begin immediate")
            .map_err(engine)?;
        let outcome = work(self).and_then(|value| {
            self.connection.execute_batch("commit").map_err(engine)?;
            Ok(value)
        });
        if outcome.is_err() {
            // Nothing to do about an error in here: the transaction is gone with the connection at the latest.
            let _ = self.connection.execute_batch("rollback");
        }
        outcome
    }

    fn run(&self, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(sql).map_err(engine)?;
        statement.execute(params).map_err(engine)
    }

    pub(super) fn insert(&self, seq: i64, body: &str) -> Result<()> {
        self.run(
            "insert into messages (seq, body) values (?1, ?2)",
            params![seq, body],
        )?;
        Ok(())
    }

    pub(super) fn store_mark(&self, queue: &str, mark: i64) -> Result<()> {
        self.run(
            "insert into queues (name, mark) values (?1, ?2) on conflict (name) do update set mark = ?2",
            params![queue, mark],
        )?;
        Ok(())
    }

    pub(super) fn store_exception(
        &self,
        queue: &str,
        seq: i64,
        exception: &Exception,
    ) -> Result<()> {
        let Exception {
            attempts,
            due_us,
            reason,
            at_us,
        } = exception;
        self.run(
            "insert or replace into exceptions (queue, seq, attempts, due_us, reason, at_us)
             values (?1, ?2, ?3, ?4, ?5, ?6)",
            params![queue, seq, attempts, due_us, reason, at_us],
        )?;
        Ok(())
    }

    pub(super) fn remove_exception(&self, queue: &str, seq: i64) -> Result<()> {
        self.run(
            "delete from exceptions where queue = ?1 and seq = ?2",
            params![queue, seq],
        )?;
        Ok(())
    }

    /// Removes the messages up to `seq` that no queue keeps as an exception.
    pub(super) fn trim(&self, seq: i64) -> Result<()> {
        self.run(
            "delete from messages where seq <= ?1 and seq not in (select seq from exceptions)",
            params![seq],
        )?;
        Ok(())
    }

    /// The highest seq ever used that is still to be seen.
    pub(super) fn last(&self) -> Result<i64> {
        let sql = "select max(coalesce((select max(seq) from messages), 0),
                              coalesce((select max(mark) from queues), 0))";
        self.connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(engine)
    }

    pub(super) fn mark(&self, queue: &str) -> Result<Option<i64>> {
        self.connection
            .query_row("select mark from queues where name = ?1", [queue], |row| {
                row.get(0)
            })
            .optional()
            .map_err(engine)
    }

    pub(super) fn exceptions(&self, queue: &str) -> Result<BTreeMap<i64, Exception>> {
        let sql = "select seq, attempts, due_us, reason, at_us from exceptions where queue = ?1";
        let mut statement = self.connection.prepare_cached(sql).map_err(engine)?;
        let rows = statement.query_map([queue], |row| {
            let exception = Exception {
                attempts: row.get(1)?,
                due_us: row.get(2)?,
                reason: row.get(3)?,
                at_us: row.get(4)?,
            };
            Ok((row.get(0)?, exception))
        });
        rows.and_then(Iterator::collect).map_err(engine)
    }

    /// Up to `n` bodies from `seq` on.
    pub(super) fn read(&self, from: i64, n: usize) -> Result<Vec<Tapped>> {
        let sql = "select seq, body from messages where seq >= ?1 order by seq limit ?2";
        let mut statement = self.connection.prepare_cached(sql).map_err(engine)?;
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        let rows = statement.query_map([from, n], |row| {
            Ok(Tapped {
                seq: row.get(0)?,
                json: row.get(1)?,
            })
        });
        rows.and_then(Iterator::collect).map_err(engine)
    }

    /// The body at exactly `seq`.
    pub(super) fn body(&self, seq: i64) -> Result<String> {
        let tapped = self
            .read(seq, 1)?
            .into_iter()
            .find(|tapped| tapped.seq == seq);
        let gone = || StoreError::Engine(format!("message {seq} is not in the file"));
        tapped.map(|tapped| tapped.json).ok_or_else(gone)
    }
}

fn engine(error: rusqlite::Error) -> StoreError {
    crate::store::sqlite_error(error)
}
