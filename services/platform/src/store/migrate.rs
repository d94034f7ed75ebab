//! Schema changes: applied once, in order, each in the transaction that also notes it.
//!
//! A line that begins with `--tune ` is a statement as well, for an engine that can be told how to keep its rows on
//! the disk; to all others it is a comment. It runs after the other statements of its migration.

use super::{Result, Store, StoreError, Tx};
use crate::params;

/// One step of a schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Unique within a service; sorted order is the order of application.
    pub name: &'static str,
    /// Statements, separated by `;`, and lines that begin with `--tune `.
    pub sql: &'static str,
}

/// Tables that every service has: the event log, the inbox and the idempotency keys.
const PLATFORM: Migration = Migration {
    name: "platform-0001",
    sql: include_str!("../../migrations/0001_platform.sql"),
};

/// So often somebody else's migration may be in the way.
const TRIES: u32 = 12;

/// Brings the schema of `store` up to `migrations`, the platform's own first. Replicas that start together take
/// turns: the first does the work.
pub async fn migrate(store: &dyn Store, migrations: &[Migration]) -> Result<()> {
    let mut tries = 1;
    loop {
        match migrate_once(store, migrations).await {
            Err(StoreError::Conflict(_)) if tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

async fn migrate_once(store: &dyn Store, migrations: &[Migration]) -> Result<()> {
    let tx = store.begin().await?;
    tx.lock_schema().await?;
    tx.execute(
        "create table if not exists migrations (name text primary key)",
        &[],
    )
    .await?;
    for migration in std::iter::once(&PLATFORM).chain(migrations) {
        let fresh = tx
            .execute(
                "insert into migrations (name) values ($1) on conflict do nothing",
                params![migration.name],
            )
            .await?;
        if fresh == 0 {
            continue;
        }
        apply(&*tx, migration).await.map_err(|error| match error {
            StoreError::Conflict(_) => error,
            _ => StoreError::Engine(format!("migration {}: {error}", migration.name)),
        })?;
    }
    tx.commit().await
}

async fn apply(tx: &dyn Tx, migration: &Migration) -> Result<()> {
    for statement in statements(migration.sql) {
        tx.execute(statement, &[]).await?;
    }
    for statement in migration
        .sql
        .lines()
        .filter_map(|line| line.strip_prefix(TUNE))
    {
        tx.tune(statement.trim_end_matches(';')).await?;
    }
    Ok(())
}

const TUNE: &str = "--tune ";

fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(';')
        .map(str::trim)
        .filter(|statement| !is_comment(statement))
}

/// Whether there is nothing to run.
fn is_comment(statement: &str) -> bool {
    let mut lines = statement.lines().map(str::trim);
    lines.all(|line| line.is_empty() || line.starts_with("--"))
}
