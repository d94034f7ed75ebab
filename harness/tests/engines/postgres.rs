//! A PostgreSQL server of our own.

use super::{a_killed_parent_leaves_nothing, dir_of_a_parent, is_alive, is_empty, until};
use harness::engines::{PrivatePostgres, can_start};
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

/// A connection to one of its databases.
async fn connect(postgres: &PrivatePostgres, database: &str) -> Client {
    let url = postgres.url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let url = format!("{server}/{database}");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn postgres_keeps_what_was_committed_through_an_immediate_restart() {
    if !can_start("postgres_keeps_what_was_committed_through_an_immediate_restart") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut postgres = PrivatePostgres::start(dir.path()).unwrap();
    let client = connect(&postgres, "postgres").await;
    let setting = "select setting from pg_settings where name = $1";
    for (name, value) in [("fsync", "on"), ("synchronous_commit", "on")] {
        let row = client.query_one(setting, &[&name]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), value, "{name}");
    }
    let sql = "create table kept (n bigint); insert into kept values (7)";
    client.batch_execute(sql).await.unwrap();
    let work = "select count(*) from generate_series(1, 1000000)";
    assert_eq!(number(&client, work).await, 1_000_000);
    let took = postgres.cpu();
    assert!(took > Duration::ZERO);
    let (old, address) = (postgres.pids(), postgres.address());
    postgres.restart_immediate().unwrap();
    assert!(!old.iter().any(|pid| is_alive(*pid)));
    assert_eq!(postgres.address(), address);
    // What its processes took does not go with them.
    assert!(postgres.cpu() >= took, "{:?} and {took:?}", postgres.cpu());
    assert!(client.simple_query("select 1").await.is_err());
    let client = connect(&postgres, "postgres").await;
    assert_eq!(number(&client, "select n from kept").await, 7);
    postgres.stop();
    assert!(postgres.pids().is_empty());
    postgres.start_again().unwrap();
    let client = connect(&postgres, "postgres").await;
    assert_eq!(number(&client, "select n from kept").await, 7);
    let pids = postgres.pids();
    drop(postgres);
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
    assert!(is_empty(dir.path()));
}

#[tokio::test]
async fn postgres_loses_the_connections_to_some_databases_and_no_others() {
    if !can_start("postgres_loses_the_connections_to_some_databases_and_no_others") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let postgres = PrivatePostgres::start(dir.path()).unwrap();
    let other = connect(&postgres, "postgres").await;
    other
        .batch_execute("create database ours_orders")
        .await
        .unwrap();
    let ours = connect(&postgres, "ours_orders").await;
    assert_eq!(number(&ours, "select 1::bigint").await, 1);
    assert_eq!(postgres.terminate_backends("theirs_"), 0);
    assert_eq!(postgres.terminate_backends("ours_"), 1);
    let error = ours.simple_query("select 1").await.unwrap_err();
    let is_told = error.code().is_some_and(|code| code.code() == "57P01");
    assert!(is_told || error.is_closed(), "{error}");
    assert_eq!(number(&other, "select 2::bigint").await, 2);
}

#[tokio::test]
async fn a_paused_postgres_answers_nobody_until_it_goes_on() {
    if !can_start("a_paused_postgres_answers_nobody_until_it_goes_on") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut postgres = PrivatePostgres::start(dir.path()).unwrap();
    let client = connect(&postgres, "postgres").await;
    postgres.pause();
    let mut question = Box::pin(client.query_one("select 3::bigint", &[]));
    let patience = Duration::from_millis(100);
    assert!(timeout(patience, &mut question).await.is_err());
    postgres.resume();
    assert_eq!(question.await.unwrap().get::<_, i64>(0), 3);
    // One that stands still can be stopped all the same.
    postgres.pause();
    let pids = postgres.pids();
    postgres.stop_immediate();
    until("all have gone", || !pids.iter().any(|pid| is_alive(*pid)));
}

#[test]
fn a_postgres_whose_owner_is_killed_goes_as_well() {
    if can_start("a_postgres_whose_owner_is_killed_goes_as_well") {
        a_killed_parent_leaves_nothing("postgres::an_owner_of_a_postgres");
    }
}

#[test]
#[ignore = "another test runs it, and kills it"]
fn an_owner_of_a_postgres() {
    if let Some(dir) = dir_of_a_parent() {
        let postgres = PrivatePostgres::start(&dir).unwrap();
        // Not even one that stands still may stay.
        postgres.pause();
        super::wait_to_be_killed(&postgres.pids());
    }
}
