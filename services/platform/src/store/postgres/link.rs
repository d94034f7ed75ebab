//! One connection with the statements that are prepared on it.

use super::bind::{self, Wire};
use super::error::store_error;
use crate::store::{Result, Row, StoreError};
use futures_util::{FutureExt, TryStreamExt};
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, Socket, Statement};

/// Statements prepared on one connection; who comes above takes the place of the one not used for longest.
const STATEMENTS: usize = 256;

/// Why the server did not do what was asked.
pub(super) enum Failure {
    /// It, or the driver, says so.
    Told(tokio_postgres::Error),
    /// It says nothing.
    Silence(Duration),
    /// It was not asked: the statement has another number of parameters.
    Parameters(String),
}

impl Failure {
    /// Whether the server has answered, and said no.
    pub(super) fn is_told_by_the_server(&self) -> bool {
        matches!(self, Self::Told(error) if error.as_db_error().is_some())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Told(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Told(error) => store_error(&error),
            Failure::Silence(after) => Self::Engine(silence(after)),
            Failure::Parameters(why) => Self::Statement(why),
        }
    }
}

/// What is said of a server that is silent.
pub(super) fn silence(after: Duration) -> String {
    format!("no answer within {after:?}")
}

/// A connection. Everything asked at the same time goes out together, and is answered in the order of asking.
pub(super) struct Link {
    client: Client,
    driver: JoinHandle<()>,
    statements: Mutex<Statements>,
    patience: Duration,
    is_broken: AtomicBool,
}

impl Link {
    /// Connects. The caller bounds how long that may take; each question afterwards is bounded by `patience`.
    #[expect(
        clippy::disallowed_methods,
        reason = "an engine's own housekeeping: the task ends with its connection"
    )]
    pub(super) async fn open<T>(config: &Config, tls: T, patience: Duration) -> Result<Self>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let (client, connection) = config
            .connect(tls)
            .await
            .map_err(|error| store_error(&error))?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the database ended");
            }
        });
        Ok(Self {
            client,
            driver,
            statements: Mutex::default(),
            patience,
            is_broken: AtomicBool::new(false),
        })
    }

    /// Whether it can be asked more.
    pub(super) fn is_open(&self) -> bool {
        !self.is_broken.load(Ordering::Relaxed) && !self.client.is_closed()
    }

    /// Sends a command ahead of whatever is asked next. Should it fail, so does what comes next: it can only fail
    /// together with the connection.
    pub(super) fn send(&self, command: &str) {
        let _ = self.client.batch_execute(command).now_or_never();
    }

    /// Runs a command and waits for it.
    pub(super) async fn command(&self, command: &str) -> Result<(), Failure> {
        self.bounded(async { Ok(self.client.batch_execute(command).await?) })
            .await
    }

    /// Runs one statement; how many rows it changed.
    pub(super) async fn execute(&self, sql: &str, params: &[Wire<'_>]) -> Result<u64, Failure> {
        self.bounded(async {
            let statement = self.statement(sql, params).await?;
            Ok(self.client.execute_raw(&statement, params).await?)
        })
        .await
    }

    /// Prepares a statement ahead of [`Link::run`].
    pub(super) async fn prepare(
        &self,
        sql: &str,
        params: &[Wire<'_>],
    ) -> Result<Statement, Failure> {
        self.bounded(self.statement(sql, params)).await
    }

    /// Runs a statement that is prepared: it is sent as soon as this is polled.
    pub(super) async fn run(
        &self,
        statement: &Statement,
        params: &[Wire<'_>],
    ) -> Result<u64, Failure> {
        self.bounded(async { Ok(self.client.execute_raw(statement, params).await?) })
            .await
    }

    /// Runs one statement; the rows that it returns.
    pub(super) async fn query(&self, sql: &str, params: &[Wire<'_>]) -> Result<Vec<Row>> {
        let found: Vec<tokio_postgres::Row> = self
            .bounded(async {
                let statement = self.statement(sql, params).await?;
                let rows = self.client.query_raw(&statement, params).await?;
                Ok(rows.try_collect().await?)
            })
            .await?;
        found.iter().map(bind::row).collect()
    }

    /// A server that says nothing for so long is not worth to be asked more.
    async fn bounded<T>(
        &self,
        asked: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let answer = tokio::time::timeout(self.patience, pin!(asked)).await;
        answer.unwrap_or_else(|_| {
            self.is_broken.store(true, Ordering::Relaxed);
            Err(Failure::Silence(self.patience))
        })
    }

    /// Prepares `sql` for parameters of these types, once.
    async fn statement(&self, sql: &str, params: &[Wire<'_>]) -> Result<Statement, Failure> {
        let cell = {
            let mut statements = self
                .statements
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            statements.cell(sql, params)
        };
        let prepared = cell.get_or_try_init(|| async {
            let types: Vec<Type> = params.iter().map(Wire::r#type).collect();
            self.client.prepare_typed(sql, &types).await
        });
        let statement = prepared.await?;
        if statement.params().len() > params.len() {
            return Err(Failure::Parameters(format!(
                "{} of {} parameters are given",
                params.len(),
                statement.params().len()
            )));
        }
        Ok(statement.clone())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Otherwise the driver says goodbye to the server, and ends by itself.
        if self.is_broken.load(Ordering::Relaxed) {
            self.driver.abort();
        }
    }
}

/// What is prepared, by text and then by the types of the parameters.
#[derive(Default)]
struct Statements {
    by_sql: BTreeMap<String, Vec<Prepared>>,
    len: usize,
    uses: u64,
}

struct Prepared {
    types: Vec<Type>,
    statement: Arc<OnceCell<Statement>>,
    used: u64,
}

impl Statements {
    /// The place of a statement, which may still be empty.
    fn cell(&mut self, sql: &str, params: &[Wire<'_>]) -> Arc<OnceCell<Statement>> {
        self.uses += 1;
        let fits = |prepared: &&mut Prepared| {
            let types = params.iter().map(Wire::r#type);
            types.eq(prepared.types.iter().cloned())
        };
        let known = self.by_sql.get_mut(sql);
        if let Some(prepared) = known.and_then(|variants| variants.iter_mut().find(fits)) {
            prepared.used = self.uses;
            return Arc::clone(&prepared.statement);
        }
        if self.len >= STATEMENTS {
            self.forget_one();
        }
        let statement = Arc::default();
        self.len += 1;
        self.by_sql
            .entry(sql.to_owned())
            .or_default()
            .push(Prepared {
                types: params.iter().map(Wire::r#type).collect(),
                statement: Arc::clone(&statement),
                used: self.uses,
            });
        statement
    }

    fn forget_one(&mut self) {
        let oldest = self
            .by_sql
            .values()
            .flatten()
            .map(|prepared| prepared.used)
            .min();
        for variants in self.by_sql.values_mut() {
            variants.retain(|prepared| Some(prepared.used) != oldest);
        }
        self.by_sql.retain(|_, variants| !variants.is_empty());
        self.len -= 1;
    }
}
