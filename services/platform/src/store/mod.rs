//! The store port: one writer, consistent snapshots, and statements that every engine understands.
//!
//! SQL is written once, in the subset that SQLite and PostgreSQL share, with `$1` parameters bound by
//! name. Guards belong into the statement, so a caller never reads, decides and then writes.

mod checkpoint;
mod migrate;
pub mod postgres;
mod sqlite;
mod value;

pub(crate) use checkpoint::Checkpointer;
pub use migrate::{Migration, migrate};
pub use postgres::{Postgres, PostgresSettings};
pub use sqlite::{Sqlite, Synchronous};
pub(crate) use sqlite::{connect as connect_sqlite, engine as sqlite_error};
pub use value::{FromValue, Kind, Param, Row, Value};

use async_trait::async_trait;

/// What a database did not do, and whether asking again can help.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Another transaction was in the way, or another statement of this one has failed first; the same transaction
    /// may succeed when run again at once.
    #[error("another transaction was in the way: {0}")]
    Conflict(String),
    /// All connections for reading are taken.
    #[error("too many are reading")]
    Busy,
    /// A fence in the schema held: this statement can never succeed on this state.
    #[error("a constraint refused the statement: {0}")]
    Constraint(String),
    /// The engine could not be reached, or has no room, or cannot read its files. Nothing of the transaction is
    /// kept, and it is nobody's fault who asked.
    #[error("the database failed: {0}")]
    Engine(String),
    /// The statement is wrong, or what it met is not what it was written for.
    #[error("the statement failed: {0}")]
    Statement(String),
    /// The engine failed while committing: the transaction may or may not be kept.
    #[error("the outcome of the commit is unknown: {0}")]
    Unknown(String),
    /// A row does not hold what the code expects in this column.
    #[error("column {column} does not hold what is expected there: {found}")]
    Column {
        /// Index in the row.
        column: usize,
        /// What was there.
        found: String,
    },
}

/// The result of asking a store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What a pool of connections holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// What they are for: `write`, `read` or `snapshot`.
    pub pool: &'static str,
    /// In somebody's hands.
    pub used: usize,
    /// Open and in nobody's hands.
    pub idle: usize,
    /// Not open; so many more may be.
    pub free: usize,
}

/// A database of one service.
#[async_trait]
pub trait Store: Send + Sync {
    /// What it is: `sqlite` or `postgresql`.
    fn engine(&self) -> &'static str;

    /// What its pools hold; none where there is nothing to wait for but one writer.
    fn connections(&self) -> Vec<Connections> {
        Vec::new()
    }

    /// Begins a write transaction; waits, in order of arrival, while there are as many as the engine has writers:
    /// one when embedded.
    async fn begin(&self) -> Result<Box<dyn Tx>>;

    /// Begins a read-only transaction for a quick look; where there is one connection, the writer waits for it.
    async fn read(&self) -> Result<Box<dyn Tx>>;

    /// Begins a read-only transaction for as long as it takes: it sees one consistent state until it is dropped,
    /// and holds nobody up.
    async fn snapshot(&self) -> Result<Box<dyn Tx>>;

    /// A quick look at one row; one statement where the engine can for those who look at the same time.
    async fn find(&self, find: &Find, key: &str) -> Result<Option<Row>> {
        self.read().await?.find(find, key).await
    }

    /// Takes up to `claim.n` due rows for `claim.lease_us`, so that no other replica takes them too.
    async fn claim(&self, claim: Claim) -> Result<Vec<Row>>;
}

/// Which rows to claim. The table needs the columns `id` and `leased_until_us`.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The table.
    pub table: &'static str,
    /// What to return of each row.
    pub columns: &'static str,
    /// Which rows are due, as SQL; `$1` is `before_us`.
    pub due: &'static str,
    /// The order in which to take them.
    pub order: &'static str,
    /// Bound to `$1` in `due`.
    pub before_us: i64,
    /// At most this many rows.
    pub n: i64,
    /// Now, microseconds since 1970.
    pub now_us: i64,
    /// How long the rows are ours.
    pub lease_us: i64,
}

/// What [`Tx::insert_many`] inserts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insert {
    /// The table.
    pub table: &'static str,
    /// Its columns, in the order of the values in each row.
    pub columns: &'static [(&'static str, Kind)],
    /// A row is skipped if another one has what it has in this column, a text. None: that is an error.
    pub key: Option<&'static str>,
}

/// What [`Tx::update_many`] changes.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// The table.
    pub table: &'static str,
    /// What is set, as SQL with parameters: `seen = seen + $1`.
    pub set: &'static str,
    /// The column that tells which rows, a text.
    pub key: &'static str,
}

/// What [`Tx::edit`] changes: some rows, each in its own way.
///
/// The texts are those of one statement for one row, with its values as `$1`, `$2`, …; the first is its key. No other
/// `$` may stand in them, and what is returned is named column by column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// The table.
    pub table: &'static str,
    /// What each row is given, the key first: a text.
    pub given: &'static [Kind],
    /// What is set: `status = $2, version = version + 1`.
    pub set: &'static str,
    /// The column that the key is compared with.
    pub key: &'static str,
    /// What a row must be like to be changed. Not in the words of a partial index: an engine that plans while the
    /// table is small would look for the key among all rows of that index.
    pub guard: &'static str,
    /// What is told of each changed row.
    pub returns: &'static str,
}

impl Edit {
    /// The same with its guard, or without any: only planted bugs do that.
    pub fn guarded(self, is_guarded: bool) -> Self {
        let guard = if is_guarded { self.guard } else { "true" };
        Self { guard, ..self }
    }
}

/// What [`Tx::find`] looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Find {
    /// The table.
    pub table: &'static str,
    /// What is told of a row.
    pub columns: &'static str,
    /// The column with the key: a text, in no two rows the same.
    pub key: &'static str,
}

/// What a transaction does last, and nobody waits to see done.
#[derive(Debug, Clone, Copy)]
pub enum Last<'a> {
    /// As [`Tx::insert_many`].
    Insert(&'a Insert, &'a [Vec<Param<'a>>]),
    /// As [`Tx::update_many`].
    Update(&'a Change, &'a [Param<'a>], &'a [String]),
}

impl Last<'_> {
    /// Does it in `tx`, and waits.
    pub(crate) async fn work(&self, tx: &dyn Tx) -> Result<()> {
        match *self {
            Self::Insert(insert, rows) => tx.insert_many(insert, rows).await.map(drop),
            Self::Update(change, params, keys) => {
                tx.update_many(change, params, keys).await.map(drop)
            }
        }
    }
}

/// A transaction. Dropped without a commit it is rolled back, and after an error it can only be dropped.
///
/// The methods take `&self` so that the reactions of a batch can run side by side on one transaction: a
/// network driver pipelines them, an embedded one simply runs them in turn.
#[async_trait]
pub trait Tx: Send + Sync {
    /// Runs one statement and tells how many rows it changed.
    async fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<u64>;

    /// Runs one statement for each of `rows` and tells how many rows each changed.
    async fn execute_many(&self, sql: &str, rows: &[Vec<Param<'_>>]) -> Result<Vec<u64>>;

    /// Inserts one row and tells whether it is new.
    async fn insert(&self, insert: &Insert, row: &[Param<'_>]) -> Result<bool> {
        let fresh = self.insert_many(insert, &[row.to_vec()]).await?;
        Ok(fresh.first() == Some(&true))
    }

    /// Inserts `rows` and tells of each whether it is new; one statement where the engine can, also for those who
    /// insert into one table side by side. Should that fail nobody knows yet whose row it was: a
    /// [`StoreError::Conflict`] for all of them.
    async fn insert_many(&self, insert: &Insert, rows: &[Vec<Param<'_>>]) -> Result<Vec<bool>>;

    /// Changes the rows with these keys in the same way, each once, and tells how many; one statement where the
    /// engine can.
    async fn update_many(
        &self,
        change: &Change,
        params: &[Param<'_>],
        keys: &[String],
    ) -> Result<u64>;

    /// Changes the rows with one key; what is told of each. One statement where the engine can, also for those who
    /// edit one table side by side; should that fail it is a [`StoreError::Conflict`] for all of them.
    async fn edit(&self, edit: &Edit, given: &[Param<'_>]) -> Result<Vec<Row>>;

    /// The row with this key. One statement where the engine can, also for those who look side by side; should that
    /// fail it is a [`StoreError::Conflict`] for all of them.
    async fn find(&self, find: &Find, key: &str) -> Result<Option<Row>>;

    /// Runs one statement and returns its rows.
    async fn query(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>>;

    /// Locks these rows of `table` in id order until the end, so that two writers never wait in a circle.
    async fn lock_rows(&self, table: &str, ids: &[String]) -> Result<()>;

    /// Waits until nobody else brings the schema up to date, and keeps others from it until the end.
    async fn lock_schema(&self) -> Result<()> {
        Ok(())
    }

    /// Runs a statement that only some engines have and that changes no result: how rows are laid out on the disk.
    async fn tune(&self, _statement: &str) -> Result<()> {
        Ok(())
    }

    /// Keeps everything.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Does `last` and keeps everything; in one go where the engine can.
    async fn finish(self: Box<Self>, last: &[Last<'_>]) -> Result<()>;
}
