//! One script language for stores and brokers: SQLite and the embedded broker on one side, PostgreSQL and RabbitMQ
//! on the other, and the outcomes compared line by line.
//!
//! What a port does not promise is not in an outcome: the order of messages, the text of an error, which connection
//! is used. Scripts are written by hand, in the text files, and by chance, out of seeds.

mod broker;
#[path = "../stories/database.rs"]
mod database;
mod generate;
#[path = "../stories/rabbit_kit.rs"]
mod rabbit_kit;
mod store;

use platform::Clock;
use platform::broker::{Embedded, EmbeddedSettings, Rabbit};
use platform::store::{Sqlite, Synchronous};

/// So many scripts are made up for the stores, and for the brokers, where each takes longer.
const SEEDS: [u64; 2] = [60, 12];

/// A script: what it is about, and its lines.
struct Script {
    title: String,
    lines: Vec<String>,
}

/// The scripts in a file: each begins with `# ` and what it is about.
fn scripts(text: &str) -> Vec<Script> {
    let mut found: Vec<Script> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(title) = line.strip_prefix("# ") {
            found.push(Script {
                title: title.to_owned(),
                lines: Vec::new(),
            });
        } else {
            let script = found.last_mut().expect("a title comes first");
            script.lines.push(line.to_owned());
        }
    }
    found
}

/// Scripts made up from the seeds below `n`.
fn made_up(n: u64, make: impl Fn(u64) -> Vec<String>) -> impl Iterator<Item = Script> {
    (0..n).map(move |seed| Script {
        title: format!("made up from the seed {seed}"),
        lines: make(seed),
    })
}

/// Each line with its outcome on both sides.
fn compare(script: &Script, here: &[String], there: &[String]) {
    let told = script.lines.iter().zip(here).zip(there);
    for (n, ((line, here), there)) in told.enumerate() {
        let before = script.lines[..n].join("\n");
        assert_eq!(
            here, there,
            "{}: {line:?} (left: embedded) after\n{before}",
            script.title
        );
    }
    assert_eq!(here.len(), script.lines.len(), "{}", script.title);
    assert_eq!(there.len(), script.lines.len(), "{}", script.title);
}

#[tokio::test]
async fn sqlite_and_postgres_come_to_the_same_outcomes() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = Sqlite::open(&dir.path().join("store.db"), Synchronous::Normal).unwrap();
    store::prepare(&embedded).await;
    let mut all = scripts(include_str!("store.txt"));
    all.extend(made_up(SEEDS[0], generate::for_store));
    let mut told = Vec::new();
    for script in &all {
        told.push(store::play(&embedded, &script.lines).await);
    }
    store::expect_variety(told.iter().flatten());
    database::with("conformance of the stores", async |postgres, _| {
        store::prepare(&postgres).await;
        for (script, here) in all.iter().zip(&told) {
            let there = store::play(&postgres, &script.lines).await;
            compare(script, here, &there);
        }
    })
    .await;
}

#[tokio::test]
async fn the_embedded_broker_and_rabbitmq_come_to_the_same_outcomes() {
    let settings = EmbeddedSettings::new(vec!["a", "b"]);
    let embedded = Embedded::in_memory(&settings, Clock::Os).unwrap();
    let mut all = scripts(include_str!("broker.txt"));
    all.extend(made_up(SEEDS[1], generate::for_broker));
    let mut told = Vec::new();
    for script in &all {
        told.push(broker::play(&embedded, &script.lines).await);
    }
    let Some(shop) = rabbit_kit::shop("conformance of the brokers") else {
        return;
    };
    let rabbit = Rabbit::new(shop.settings()).unwrap();
    for (script, here) in all.iter().zip(&told) {
        let there = broker::play(&rabbit, &script.lines).await;
        compare(script, here, &there);
    }
}
