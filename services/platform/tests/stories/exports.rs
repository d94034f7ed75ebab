//! Exports that nobody reads, and more of them than there are readers.

use crate::kit::{DIARY, diary};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use platform::Settings;
use platform::store::{Migration, Sqlite, Store, StoreError, Synchronous, migrate};
use platform::world::Mischief;
use std::time::Duration;

platform::stories! {
    on_both {}
    in_virtual_time_only {
        an_export_that_nobody_reads_lets_go_of_its_snapshot_and_breaks_off: "it lets a minute pass",
        one_reader_too_many_is_told_so_instead_of_waiting: "it is about SQLite's readers; PostgreSQL's have a story",
    }
}

async fn an_export_that_nobody_reads_lets_go_of_its_snapshot_and_breaks_off() {
    let (stage, _) = diary(7, Settings::default(), Mischief::default()).await;
    stage.at_rest().await;
    let export = Request::builder()
        .uri("/api/v1/events")
        .header("accept", "application/x-ndjson");
    let unread = stage
        .world()
        .request(DIARY, export.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(unread.status(), StatusCode::OK);
    tokio::time::sleep(Duration::from_secs(61)).await;
    // The one connection of this store is free again.
    stage.at_rest().await;
    assert!(
        unread.into_body().collect().await.is_err(),
        "half a table must not look like a whole one"
    );
}

async fn one_reader_too_many_is_told_so_instead_of_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&dir.path().join("s.db"), Synchronous::Normal).unwrap();
    let none: [Migration; 0] = [];
    migrate(&store, &none).await.unwrap();
    let mut held = Vec::new();
    let refused = loop {
        match store.snapshot().await {
            Ok(snapshot) => held.push(snapshot),
            Err(error) => break error,
        }
        assert!(held.len() < 100, "there is no bound");
    };
    assert!(matches!(refused, StoreError::Busy), "{refused}");
    held.pop();
    assert!(store.snapshot().await.is_ok());
}
