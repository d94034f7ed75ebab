//! Worlds on real engines, and what is left of them there.

use crate::kit::{DIARY, diary};
use platform::Settings;
use platform::engines::Engines;
use platform::stage::play_on_engines;
use platform::store::postgres::admin;
use platform::store::{Postgres, PostgresSettings, Store};
use platform::world::Mischief;
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;

#[test]
fn a_story_that_fails_leaves_no_database_behind() {
    let test = "a_story_that_fails_leaves_no_database_behind";
    let name = OnceLock::new();
    let told = std::panic::catch_unwind(AssertUnwindSafe(|| {
        play_on_engines(test, async {
            let (stage, _) = diary(1, Settings::default(), Mischief::default()).await;
            let tx = stage.world().store(DIARY).snapshot().await.unwrap();
            let rows = tx.query("select current_database()::text", &[]).await;
            let database: String = rows.unwrap()[0].get(0).unwrap();
            name.set(database).unwrap();
            panic!("as a story does when something does not hold")
        })
    }));
    let Some(engines) = Engines::find(test) else {
        return assert!(told.is_ok_and(|told: Option<()>| told.is_none()));
    };
    assert!(told.is_err(), "it fails all the same");
    let url = admin::url_of(&engines.postgres, name.get().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let gone = runtime.block_on(async {
        let database = Postgres::new(PostgresSettings::new(url, "a story")).unwrap();
        let tx = database.begin().await?;
        tx.query("select 1", &[]).await.map(drop)
    });
    let error = gone.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
}
