//! Making and removing databases, and breaking connections: for tests and for the harness, never for a service.

use super::{link::Link, parse, tls};
use crate::store::{Result, Row, StoreError};
use std::time::Duration;
use tokio_postgres::NoTls;

/// How long the server may take for one of these.
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates the database `name` on the server of `url`; text is sorted by its bytes in it.
pub async fn create_database(url: &str, name: &str) -> Result<()> {
    let name = quoted(name)?;
    let sql = format!(
        "create database {name} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"
    );
    command(url, &sql).await
}

/// Removes the database `name` and throws out whoever is in it. It need not be there.
pub async fn drop_database(url: &str, name: &str) -> Result<()> {
    let name = quoted(name)?;
    command(url, &format!("drop database if exists {name} with (force)")).await
}

/// The URL of the database `name` on the server of `url`.
pub fn url_of(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let host = base.find("://").map_or(0, |scheme| scheme + 3);
    let end = base[host..]
        .find('/')
        .map_or(base.len(), |slash| host + slash);
    let question = if query.is_empty() { "" } else { "?" };
    format!("{}/{name}{question}{query}", &base[..end])
}

/// Throws everybody out of the databases whose names begin with `prefix`; how many connections that ended.
pub async fn terminate_backends(url: &str, prefix: &str) -> Result<u64> {
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where starts_with(datname, $1) and pid <> pg_backend_pid()";
    let found = query(url, sql, prefix).await?;
    let n: i64 = found.first().map_or(Ok(0), |row| row.get(0))?;
    Ok(u64::try_from(n).unwrap_or(0))
}

/// The processes of the server that serve connections to the databases whose names begin with `prefix`, in order.
pub async fn sessions(url: &str, prefix: &str) -> Result<Vec<i64>> {
    let sql = "select pid::bigint from pg_stat_activity
               where starts_with(datname, $1) and backend_type = 'client backend' order by pid";
    query(url, sql, prefix)
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// The databases whose names begin with `prefix`, in order.
pub async fn databases(url: &str, prefix: &str) -> Result<Vec<String>> {
    let sql = "select datname from pg_database where starts_with(datname, $1) order by datname";
    query(url, sql, prefix)
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// How many deadlocks the server has ended in the databases whose names begin with `prefix`.
pub async fn deadlocks(url: &str, prefix: &str) -> Result<u64> {
    let sql = "select sum(deadlocks)::bigint from pg_stat_database where starts_with(datname, $1)";
    let found = query(url, sql, prefix).await?;
    let n: Option<i64> = found.first().map_or(Ok(None), |row| row.get(0))?;
    Ok(n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

async fn query(url: &str, sql: &str, text: &str) -> Result<Vec<Row>> {
    open(url)
        .await?
        .query(sql, &[super::Wire::Text(text)])
        .await
}

async fn command(url: &str, sql: &str) -> Result<()> {
    Ok(open(url).await?.command(sql).await?)
}

async fn open(url: &str) -> Result<Link> {
    let (url, wants_tls) = tls::split(url)?;
    let mut config = parse(&url)?;
    config.application_name("crashcart admin");
    let opened = async {
        if wants_tls {
            Link::open(&config, tls::connector(None)?, PATIENCE).await
        } else {
            Link::open(&config, NoTls, PATIENCE).await
        }
    };
    let opened = tokio::time::timeout(PATIENCE, opened).await;
    opened.unwrap_or_else(|_| Err(StoreError::Engine(super::link::silence(PATIENCE))))
}

/// A name that can stand in a statement: no more than small letters, digits and `_`.
fn quoted(name: &str) -> Result<String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.is_empty() || name.len() > 63 || !name.chars().all(is_plain) {
        return Err(StoreError::Statement(format!(
            "{name:?} is no name for a database: 1 to 63 small letters, digits and _"
        )));
    }
    Ok(format!("\"{name}\""))
}
