//! SQLite: a file in WAL mode, or in memory. rusqlite is called inline, which is fast and deterministic.
//!
//! One writer connection sits behind a fair async mutex that is held for the life of a transaction; readers
//! have a few connections of their own, so that an export does not stop the shop.

use super::checkpoint::Checkpointer;
use super::{
    Change, Claim, Edit, Find, Insert, Last, Param, Result, Row, Store, StoreError, Tx, Value,
};
use crate::lock::lock;
use async_trait::async_trait;
use rusqlite::{CachedStatement, Connection, ErrorCode, types::ValueRef};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

const READERS: usize = 4;
const STATEMENTS: usize = 256;
/// How long a snapshot waits for a reader's connection.
const READER_PATIENCE: Duration = Duration::from_secs(2);

/// When SQLite waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Survives kill -9 of the process; a power loss may take the last transactions.
    #[default]
    Normal,
    /// Survives a power loss too, for one disk flush a commit.
    Full,
}

/// A SQLite database.
pub struct Sqlite {
    writer: Arc<Mutex<StdMutex<Connection>>>,
    readers: Option<Arc<Readers>>,
    _checkpointer: Option<Checkpointer>,
}

struct Readers {
    path: std::path::PathBuf,
    idle: StdMutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Sqlite {
    /// Opens or creates the database in the file `path`.
    pub fn open(path: &Path, synchronous: Synchronous) -> Result<Self> {
        let connection = connect(path, synchronous)?;
        Ok(Self {
            writer: Arc::new(Mutex::new(StdMutex::new(connection))),
            readers: Some(Arc::new(Readers {
                path: path.to_owned(),
                idle: StdMutex::default(),
                permits: Arc::new(Semaphore::new(READERS)),
            })),
            _checkpointer: Some(Checkpointer::start(path)?),
        })
    }

    /// A database that lives and dies with this value. Snapshots wait for the writer: there is one connection.
    pub fn in_memory() -> Result<Self> {
        let connection = Connection::open_in_memory().map_err(engine)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self {
            writer: Arc::new(Mutex::new(StdMutex::new(connection))),
            readers: None,
            _checkpointer: None,
        })
    }

    /// A transaction on the writer's connection.
    async fn on_writer(&self, access: Access) -> Result<Box<dyn Tx>> {
        let guard = Arc::clone(&self.writer).lock_owned().await;
        Ok(Box::new(SqliteTx::begin(Held::Writer(guard), access)?))
    }
}

/// Opens a connection with the pragmas that all databases of the shop use. A log of 32 MB is begun anew by the commit
/// that makes it so long; nearly all of it is in the database by then, because of the [`Checkpointer`].
pub(crate) fn connect(path: &Path, synchronous: Synchronous) -> Result<Connection> {
    let connection = Connection::open(path).map_err(engine)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let synchronous = match synchronous {
        Synchronous::Normal => "normal",
        Synchronous::Full => "full",
    };
    connection
        .execute_batch(&format!(
            "pragma journal_mode = wal; pragma synchronous = {synchronous}; pragma busy_timeout = 5000;
             pragma wal_autocheckpoint = 8000; pragma cache_size = -32000; pragma foreign_keys = on;"
        ))
        .map_err(engine)?;
    Ok(connection)
}

#[async_trait]
impl Store for Sqlite {
    fn engine(&self) -> &'static str {
        "sqlite"
    }

    async fn begin(&self) -> Result<Box<dyn Tx>> {
        self.on_writer(Access::Write).await
    }

    async fn read(&self) -> Result<Box<dyn Tx>> {
        // On the writer's connection, whose page cache is warm: every commit empties the caches of the readers.
        self.on_writer(Access::Read).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Tx>> {
        let Some(readers) = &self.readers else {
            return self.on_writer(Access::Read).await;
        };
        let permit = Arc::clone(&readers.permits).acquire_owned();
        let permit = tokio::time::timeout(READER_PATIENCE, permit).await;
        let Ok(Ok(permit)) = permit else {
            return Err(StoreError::Busy);
        };
        let idle = lock(&readers.idle).pop();
        let connection = if let Some(connection) = idle {
            connection
        } else {
            let connection = connect(&readers.path, Synchronous::Normal)?;
            // An export reads each page once: what it keeps in memory is of no use to the next one.
            connection
                .execute_batch("pragma cache_size = -1000;")
                .map_err(engine)?;
            connection
        };
        let held = Held::Reader {
            connection: Some(StdMutex::new(connection)),
            readers: Arc::clone(readers),
            _permit: permit,
        };
        let tx = SqliteTx::begin(held, Access::Read)?;
        // `begin` alone does not look at the file yet; the snapshot is taken by the first read.
        tx.query("select count(*) from migrations", &[]).await?;
        Ok(Box::new(tx))
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Row>> {
        let Claim {
            table,
            columns,
            due,
            order,
            ..
        } = claim;
        let sql = format!(
            "update {table} set leased_until_us = $2 where id in (
                 select id from {table} where {due} and (leased_until_us is null or leased_until_us <= $3)
                 order by {order} limit $4)
             returning {columns}"
        );
        let tx = self.begin().await?;
        let params = crate::params![
            claim.before_us,
            claim.now_us + claim.lease_us,
            claim.now_us,
            claim.n
        ];
        let rows = tx.query(&sql, params).await?;
        if !rows.is_empty() {
            tx.commit().await?;
        }
        Ok(rows)
    }
}

enum Held {
    Writer(OwnedMutexGuard<StdMutex<Connection>>),
    Reader {
        connection: Option<StdMutex<Connection>>,
        readers: Arc<Readers>,
        _permit: OwnedSemaphorePermit,
    },
}

impl Held {
    fn with<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        match self {
            Self::Writer(guard) => work(&lock(guard)),
            Self::Reader { connection, .. } => {
                work(&lock(connection.as_ref().expect("taken only when dropped")))
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Self::Reader {
            connection,
            readers,
            ..
        } = self
            && let Some(connection) = connection.take()
        {
            lock(&readers.idle).push(
                connection
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }
}

/// What a transaction may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

struct SqliteTx {
    held: Held,
    access: Access,
    open: bool,
    /// A statement failed. SQLite would keep the others; who writes for all engines cannot rely on that.
    has_failed: AtomicBool,
}

impl SqliteTx {
    fn begin(held: Held, access: Access) -> Result<Self> {
        let begin = match access {
            Access::Read => "begin",
            Access::Write => "begin immediate",
        };
        held.with(|connection| connection.prepare_cached(begin)?.execute([]))
            .map_err(engine)?;
        Ok(Self {
            held,
            access,
            open: true,
            has_failed: AtomicBool::new(false),
        })
    }

    fn run<T>(
        &self,
        sql: &str,
        work: impl FnOnce(&mut CachedStatement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let done = self.held.with(|connection| {
            if connection.is_autocommit() {
                // Some errors make SQLite roll back by itself; what came now would be a transaction of its own.
                let rolled_back = "the engine has rolled this transaction back";
                return Err(StoreError::Engine(rolled_back.to_owned()));
            }
            let mut statement = connection.prepare_cached(sql).map_err(engine)?;
            if self.access == Access::Read && !statement.readonly() {
                return Err(StoreError::Statement(
                    "this transaction can only read".to_owned(),
                ));
            }
            work(&mut statement).map_err(engine)
        });
        self.has_failed.fetch_or(done.is_err(), Ordering::Relaxed);
        done
    }
}

impl Drop for SqliteTx {
    fn drop(&mut self) {
        if self.open {
            let rolled_back = self.held.with(|connection| {
                if connection.is_autocommit() {
                    return Ok(0);
                }
                connection.prepare_cached("rollback")?.execute([])
            });
            if let Err(error) = rolled_back {
                tracing::error!(%error, "a transaction could not be rolled back");
            }
        }
    }
}

#[async_trait]
impl Tx for SqliteTx {
    async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        self.run(sql, |statement| execute(statement, params))
    }

    async fn execute_many(&self, sql: &str, rows: &[Vec<Param<'_>>]) -> Result<Vec<u64>> {
        self.run(sql, |statement| {
            rows.iter()
                .map(|params| execute(statement, params))
                .collect()
        })
    }

    async fn insert_many(&self, insert: &Insert, rows: &[Vec<Param<'_>>]) -> Result<Vec<bool>> {
        let counts = self.execute_many(&insert_sql(insert), rows).await?;
        Ok(counts.into_iter().map(|count| count == 1).collect())
    }

    async fn update_many(
        &self,
        change: &Change,
        params: &[Param<'_>],
        keys: &[String],
    ) -> Result<u64> {
        let Change { table, set, key } = change;
        let sql = format!(
            "update {table} set {set} where {key} = ${}",
            params.len() + 1
        );
        let mut params = params.to_vec();
        params.push(Param::Null);
        self.run(&sql, |statement| {
            let mut changed = 0;
            let mut done = BTreeSet::new();
            for key in keys.iter().filter(|key| done.insert(key.as_str())) {
                params.pop();
                params.push(Param::from(key));
                changed += execute(statement, &params)?;
            }
            Ok(changed)
        })
    }

    async fn edit(&self, edit: &Edit, given: &[Param<'_>]) -> Result<Vec<Row>> {
        let Edit {
            table,
            set,
            key,
            guard,
            returns,
            ..
        } = edit;
        let sql =
            format!("update {table} set {set} where {key} = $1 and ({guard}) returning {returns}");
        self.query(&sql, given).await
    }

    async fn find(&self, find: &Find, key: &str) -> Result<Option<Row>> {
        let Find {
            table,
            columns,
            key: column,
        } = find;
        let sql = format!("select {columns} from {table} where {column} = $1");
        let found = self.query(&sql, crate::params![key]).await?;
        Ok(found.into_iter().next())
    }

    async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.run(sql, |statement| {
            bind(statement, params)?;
            let columns = statement.column_count();
            let mut rows = statement.raw_query();
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(Row((0..columns)
                    .map(|i| row.get_ref(i).map(value))
                    .collect::<rusqlite::Result<_>>()?));
            }
            Ok(found)
        })
    }

    async fn lock_rows(&self, _table: &str, _ids: &[String]) -> Result<()> {
        // There is one writer, and this transaction is it.
        Ok(())
    }

    async fn finish(self: Box<Self>, last: &[Last<'_>]) -> Result<()> {
        for last in last {
            last.work(&*self).await?;
        }
        self.commit().await
    }

    async fn commit(mut self: Box<Self>) -> Result<()> {
        if self.access == Access::Write && self.has_failed.load(Ordering::Relaxed) {
            let failed = "a statement of this transaction has failed";
            return Err(StoreError::Statement(failed.to_owned()));
        }
        let mut may_be_kept = false;
        let committed = self.run("commit", |statement| {
            let done = statement.execute([]).map(|_| ());
            // It may be in the file already and only not be flushed: who opens the file next may find it.
            let code = done.as_ref().err().map(rusqlite::Error::sqlite_error_code);
            may_be_kept = code == Some(Some(ErrorCode::SystemIoFailure));
            done
        });
        match committed {
            Err(error) if may_be_kept => Err(StoreError::Unknown(error.to_string())),
            Err(error) => Err(error),
            Ok(()) => {
                self.open = false;
                Ok(())
            }
        }
    }
}

/// One statement for one row: it is prepared once and kept.
fn insert_sql(insert: &Insert) -> String {
    let mut sql = format!("insert into {} (", insert.table);
    for (index, (name, _)) in insert.columns.iter().enumerate() {
        sql.push_str(if index == 0 { "" } else { ", " });
        sql.push_str(name);
    }
    sql.push_str(") values (");
    for n in 1..=insert.columns.len() {
        // Writing into a string cannot fail.
        let _ = write!(sql, "{}${n}", if n == 1 { "" } else { ", " });
    }
    sql.push(')');
    if insert.key.is_some() {
        sql.push_str(" on conflict do nothing");
    }
    sql
}

fn execute(statement: &mut CachedStatement<'_>, params: &[Param<'_>]) -> rusqlite::Result<u64> {
    bind(statement, params)?;
    if statement.column_count() == 0 {
        return statement.raw_execute().map(|rows| rows as u64);
    }
    let mut rows = statement.raw_query();
    let mut n = 0;
    while rows.next()?.is_some() {
        n += 1;
    }
    Ok(n)
}

/// Binds by name: SQLite numbers `$n` by first appearance, so binding by position would be silently wrong.
fn bind(statement: &mut CachedStatement<'_>, params: &[Param<'_>]) -> rusqlite::Result<()> {
    for index in 1..=statement.parameter_count() {
        let number = statement
            .parameter_name(index)
            .and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        let param = number.and_then(|number| params.get(number.checked_sub(1)?));
        match param.ok_or(rusqlite::Error::InvalidParameterCount(params.len(), index))? {
            Param::Null => statement.raw_bind_parameter(index, rusqlite::types::Null)?,
            Param::Int(int) => statement.raw_bind_parameter(index, int)?,
            Param::Text(text) => statement.raw_bind_parameter(index, text.as_ref())?,
        }
    }
    Ok(())
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Real(real) => Value::Text(real.to_string()),
        ValueRef::Blob(blob) => Value::Text(format!("{} bytes", blob.len())),
    }
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "used as a function in map_err"
)]
pub(crate) fn engine(error: rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => StoreError::Constraint(text),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Conflict(text),
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase,
        ) => StoreError::Engine(text),
        _ => StoreError::Statement(text),
    }
}
