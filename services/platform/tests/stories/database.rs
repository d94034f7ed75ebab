//! A PostgreSQL database of a test's own, gone when the test is over.

use futures_util::FutureExt;
use platform::engines::Engines;
use platform::store::postgres::admin;
use platform::store::{Postgres, PostgresSettings};
use std::panic::AssertUnwindSafe;

/// How to reach the database of this test.
pub fn settings(url: &str) -> PostgresSettings {
    PostgresSettings::new(url, "a story")
}

/// Runs `story` on a database that is created for it, and with its URL. Skipped where there is no server.
pub async fn with(test: &str, story: impl AsyncFnOnce(Postgres, &str)) {
    let Some(engines) = Engines::find(test) else {
        return;
    };
    let server = engines.postgres;
    let name = format!("{}_store", engines.prefix);
    admin::create_database(&server, &name).await.unwrap();
    let url = admin::url_of(&server, &name);
    let database = Postgres::new(settings(&url)).unwrap();
    // Also after a failure nothing of us is left on the server.
    let outcome = AssertUnwindSafe(story(database, &url)).catch_unwind().await;
    admin::drop_database(&server, &name).await.unwrap();
    if let Err(failure) = outcome {
        std::panic::resume_unwind(failure);
    }
}
