//! PostgreSQL: one database per service, prepared statements, everything that is asked together in one go.
//!
//! A few connections, made when they are first needed and made anew whenever one was lost. Everything that the
//! server is asked is bounded here as well: a server that is silent is an error, never a wait without an end.

pub mod admin;
mod bind;
mod error;
mod link;
mod looks;
mod pool;
mod statement;
mod tls;
mod together;
mod tx;

use super::{Claim, Connections, Find, Result, Row, Store, StoreError, Tx};
use async_trait::async_trait;
use bind::Wire;
use looks::Looks;
use pool::{Door, Pool};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Config;
use tx::{Access, PgTx};

/// How to reach a database, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database?sslmode=require`.
    pub url: String,
    /// What the server calls us in its list of connections.
    pub application: String,
    /// Transactions that write at a time.
    pub writers: usize,
    /// Transactions that only read at a time.
    pub readers: usize,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// How long a statement may wait for a lock.
    pub lock_timeout: Duration,
    /// Certificates to trust besides the system's, as a PEM file.
    pub ca: Option<PathBuf>,
}

impl PostgresSettings {
    /// The usual settings for the database at `url`.
    pub fn new(url: impl Into<String>, application: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            application: application.into(),
            writers: 2,
            readers: 4,
            connect_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(5),
            ca: None,
        }
    }
}

/// How much longer than the server's own bound we wait for its answer.
const MARGIN: Duration = Duration::from_secs(2);
/// How long a snapshot waits for a connection.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(2);
/// The server ends a transaction in which nothing was asked for so long.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// The same for a snapshot: an export may be read slowly for a minute.
const IDLE_SNAPSHOT_MAX: Duration = Duration::from_secs(90);
/// Data that the other end does not acknowledge for so long means that it is not there any more.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(5);

/// A PostgreSQL database. Connects when it is first needed, and again whenever a connection was lost.
pub struct Postgres {
    writers: Arc<Pool>,
    readers: Arc<Pool>,
    snapshots: Arc<Pool>,
    looks: Looks,
    read_patience: Duration,
}

impl Postgres {
    /// A database that nobody has connected to yet.
    ///
    /// # Errors
    /// [`StoreError::Statement`] when the URL or the `ca` file cannot be read; it says what is wrong with it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "settings are made for one database"
    )]
    pub fn new(settings: PostgresSettings) -> Result<Self> {
        let (url, wants_tls) = tls::split(&settings.url)?;
        let mut config = parse(&url)?;
        let tls = wants_tls.then(|| tls::connector(settings.ca.as_deref()));
        config
            .application_name(&settings.application)
            .connect_timeout(settings.connect_timeout)
            .tcp_user_timeout(UNACKNOWLEDGED_MAX)
            .keepalives_idle(UNACKNOWLEDGED_MAX)
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(2);
        let read_patience = settings.statement_timeout + MARGIN;
        let door = Arc::new(Door::new(
            tls.transpose()?,
            settings.connect_timeout,
            read_patience,
        ));
        let pool = |slots, idle_max, access| {
            let config = session(&config, &settings, (idle_max, access));
            Pool::new(Arc::clone(&door), config, slots)
        };
        let readers = pool(settings.readers, IDLE_MAX, Access::Read);
        Ok(Self {
            writers: pool(settings.writers, IDLE_MAX, Access::Write),
            looks: Looks::new(Arc::clone(&readers), read_patience),
            readers,
            snapshots: pool(settings.readers, IDLE_SNAPSHOT_MAX, Access::Snapshot),
            read_patience,
        })
    }
}

/// Reads a URL.
fn parse(url: &str) -> Result<Config> {
    let wrong = |why: &str| {
        let how = "say postgres://user:password@host:port/database";
        StoreError::Statement(format!("the URL of the database: {why}; {how}"))
    };
    let config: Config = url.parse().map_err(|error: tokio_postgres::Error| {
        let source = std::error::Error::source(&error);
        wrong(&source.map_or_else(|| error.to_string(), ToString::to_string))
    })?;
    if config.get_hosts().is_empty() {
        return Err(wrong("it names no host"));
    }
    Ok(config)
}

/// What each session is told when it begins, without a round trip.
fn session(
    config: &Config,
    settings: &PostgresSettings,
    (idle_max, access): (Duration, Access),
) -> Config {
    let bounds = [
        ("statement_timeout", settings.statement_timeout),
        ("lock_timeout", settings.lock_timeout),
        ("idle_in_transaction_session_timeout", idle_max),
    ];
    let mut options = config.get_options().unwrap_or_default().to_owned();
    for (name, bound) in bounds {
        // Zero would mean none.
        // Writing into a string cannot fail.
        let _ = write!(options, " -c {name}={}", bound.as_millis().max(1));
    }
    // Statements are planned once, perhaps while their table is new and empty, where a scan is the best plan. Kept,
    // it compares every row with every key of a batch: two thirds of the server's time, until it is analyzed.
    options.push_str(" -c enable_seqscan=off");
    if access != Access::Write {
        options.push_str(" -c default_transaction_read_only=on");
    }
    let mut config = config.clone();
    config.options(options.trim_start());
    config
}

#[async_trait]
impl Store for Postgres {
    fn engine(&self) -> &'static str {
        "postgresql"
    }

    fn connections(&self) -> Vec<Connections> {
        [
            ("write", &self.writers),
            ("read", &self.readers),
            ("snapshot", &self.snapshots),
        ]
        .map(|(name, pool)| pool.state(name))
        .to_vec()
    }

    async fn begin(&self) -> Result<Box<dyn Tx>> {
        let held = self.writers.take(None).await?;
        Ok(Box::new(PgTx::begin(held, Access::Write)))
    }

    async fn read(&self) -> Result<Box<dyn Tx>> {
        let held = self.readers.take(Some(self.read_patience)).await?;
        Ok(Box::new(PgTx::begin(held, Access::Read)))
    }

    async fn snapshot(&self) -> Result<Box<dyn Tx>> {
        let held = self.snapshots.take(Some(SNAPSHOT_PATIENCE)).await?;
        let tx = PgTx::begin(held, Access::Snapshot);
        // `begin` alone does not look yet; the snapshot is taken by the first statement.
        tx.rows("select 1", &[]).await?;
        Ok(Box::new(tx))
    }

    async fn find(&self, find: &Find, key: &str) -> Result<Option<Row>> {
        self.looks.find(find, key).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Row>> {
        let Claim {
            table,
            columns,
            due,
            order,
            ..
        } = claim;
        // Materialized, so that no plan can lock more rows than are taken.
        let sql = format!(
            "with due as materialized (
                 select id from {table} where {due} and (leased_until_us is null or leased_until_us <= $3)
                 order by {order} limit $4 for update skip locked)
             update {table} set leased_until_us = $2 where id in (select id from due) returning {columns}"
        );
        let tx = PgTx::begin(self.writers.take(None).await?, Access::Single);
        let until = claim.now_us + claim.lease_us;
        let params = [claim.before_us, until, claim.now_us, claim.n].map(Wire::Int);
        tx.rows(&sql, &params).await
    }
}
