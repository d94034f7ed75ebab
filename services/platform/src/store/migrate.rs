//! Schema changes: applied once, in order, each in the transaction that also notes it.

use super::{Result, Store, StoreError};
use crate::params;

/// One step of a schema.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Unique within a service; sorted order is the order of application.
    pub name: &'static str,
    /// Statements, separated by `;`.
    pub sql: &'static str,
}

/// Tables that every service has: the event log, the inbox and the idempotency keys.
const PLATFORM: Migration = Migration {
    name: "platform-0001",
    sql: include_str!("../../migrations/0001_platform.sql"),
};

/// Brings the schema of `store` up to `migrations`, the platform's own first.
pub async fn migrate(store: &dyn Store, migrations: &[Migration]) -> Result<()> {
    let tx = store.begin().await?;
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
        for statement in statements(migration.sql) {
            tx.execute(statement, &[]).await.map_err(|error| {
                StoreError::Engine(format!("migration {}: {error}", migration.name))
            })?;
        }
    }
    tx.commit().await
}

fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
}
