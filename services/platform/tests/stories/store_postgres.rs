//! What only a store on a network has to promise: replicas, lost connections, servers that say nothing.

use crate::database::{self, settings};
use crate::store::{THINGS, put, thing, things};
use futures_util::FutureExt;
use futures_util::future::{join_all, try_join_all};
use platform::params;
use platform::store::postgres::admin;
use platform::store::{Claim, Postgres, PostgresSettings, Store, StoreError, Tx, migrate};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// A stopwatch for bounds that are ten times what they hold.
fn began() -> Instant {
    Instant::now()
}

/// A store with one writer, so that the next transaction gets the connection of the last.
pub fn with_one_writer(url: &str) -> Postgres {
    let settings = PostgresSettings {
        writers: 1,
        ..settings(url)
    };
    Postgres::new(settings).unwrap()
}

/// Puts a thing as soon as the store does anything again; everything before must be an outage.
async fn put_in_the_end(store: &dyn Store, id: &str, n: i64) {
    let minute = began() + Duration::from_secs(60);
    loop {
        let outcome = async {
            let tx = store.begin().await?;
            let sql = "insert into things (id, n, at_us) values ($1, $2, 0)";
            tx.execute(sql, params![id, n]).await?;
            tx.commit().await
        };
        match outcome.await {
            Ok(()) => return,
            Err(StoreError::Engine(_)) if began() < minute => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn replicas_that_start_together_make_the_schema_once() {
    database::with("replicas that start together", async |_, url| {
        let replicas: Vec<Postgres> = (0..4)
            .map(|_| Postgres::new(settings(url)).unwrap())
            .collect();
        let starts = replicas.iter().map(|store| migrate(store, &[THINGS]));
        try_join_all(starts).await.unwrap();
        put(&replicas[0], "a", 1).await;
        assert_eq!(things(&replicas[3]).await, [thing("a", 1)]);
        let tx = replicas[1].read().await.unwrap();
        let sql = "select reloptions::text from pg_class where relname = 'inbox'";
        let tuned: String = tx.query(sql, &[]).await.unwrap()[0].get(0).unwrap();
        assert!(tuned.contains("autovacuum"), "{tuned}");
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_stays_as_it_is_while_others_write() {
    database::with("a snapshot on a server", async |store, _| {
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "a", 1).await;
        let writing = store.begin().await.unwrap();
        let update = "update things set n = 2";
        writing.execute(update, &[]).await.unwrap();
        let snapshot = store.snapshot().await.unwrap();
        writing.commit().await.unwrap();
        put(&store, "b", 3).await;
        let sql = "select id, n from things order by id";
        let before = snapshot.query(sql, &[]).await.unwrap();
        assert_eq!(before.len(), 1);
        assert_eq!(before[0].get::<i64>(1).unwrap(), 1);
        let now = store.read().await.unwrap().query(sql, &[]).await.unwrap();
        assert_eq!(now.len(), 2, "a quick look sees what is committed");
    })
    .await;
}

#[tokio::test]
async fn one_snapshot_too_many_is_told_so_instead_of_waiting() {
    database::with("one snapshot too many", async |store, _| {
        let snapshots = (0..4).map(|_| store.snapshot());
        let mut held = try_join_all(snapshots).await.unwrap();
        let refused = store.snapshot().await.err().unwrap();
        assert!(matches!(refused, StoreError::Busy), "{refused}");
        held.pop();
        assert!(store.snapshot().await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn the_connection_of_a_dropped_transaction_is_as_good_as_new() {
    database::with("a dropped transaction", async |_, url| {
        let store = with_one_writer(url);
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "a", 1).await;
        for error in [false, true] {
            let tx = store.begin().await.unwrap();
            tx.execute("update things set n = 9", &[]).await.unwrap();
            if error {
                assert!(tx.execute("update nothing", &[]).await.is_err());
            }
            drop(tx);
            let tx = store.begin().await.unwrap();
            let rows = tx.query("select n from things", &[]).await.unwrap();
            assert_eq!(rows[0].get::<i64>(0).unwrap(), 1);
            tx.commit().await.unwrap();
        }
        // Nobody waits for the answer of a statement that fails; the commit must not look like a success.
        let wrong = "update things set n = -1";
        let tx = store.begin().await.unwrap();
        assert!(tx.execute(wrong, &[]).await.is_err(), "prepared by now");
        drop(tx);
        let tx = store.begin().await.unwrap();
        tx.execute("update things set n = 9", &[]).await.unwrap();
        let asked_only = tx.execute(wrong, &[]).now_or_never();
        assert!(asked_only.is_none(), "a server needs longer");
        assert!(tx.commit().await.is_err());
        assert_eq!(things(&store).await, [thing("a", 1)]);
    })
    .await;
}

/// A transaction that has inserted a thing. The first ones may still meet connections that were just lost.
async fn insert_in_the_end(store: &dyn Store) -> Box<dyn Tx> {
    for _ in 0..200 {
        if let Ok(tx) = store.begin().await {
            let sql = "insert into things (id, n, at_us) values ('lost', 1, 1)";
            if tx.execute(sql, &[]).await.is_ok() {
                return tx;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the database does not come back");
}

#[tokio::test]
async fn a_lost_connection_before_the_commit_keeps_nothing_and_the_next_one_works() {
    database::with("a lost connection", async |store, url| {
        migrate(&store, &[THINGS]).await.unwrap();
        let name = url.rsplit('/').next().unwrap();
        for commits in [false, true] {
            let tx = insert_in_the_end(&store).await;
            assert!(admin::terminate_backends(url, name).await.unwrap() > 0);
            let error = if commits {
                tx.commit().await.unwrap_err()
            } else {
                tx.execute("update things set n = 2", &[])
                    .await
                    .unwrap_err()
            };
            let is_outage = match &error {
                StoreError::Engine(_) => true,
                // Whoever has asked for the commit cannot know.
                StoreError::Unknown(_) => commits,
                _ => false,
            };
            assert!(is_outage, "{error:?}");
        }
        put_in_the_end(&store, "kept", 2).await;
        assert_eq!(things(&store).await, [thing("kept", 2)]);
    })
    .await;
}

#[tokio::test]
async fn of_two_that_wait_in_a_circle_one_is_told_to_try_again() {
    database::with("a deadlock", async |store, _| {
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "a", 1).await;
        put(&store, "b", 1).await;
        let take = async |first: &str, second: &str, met: &tokio::sync::Barrier| {
            let tx = store.begin().await?;
            let sql = "update things set n = n + 1 where id = $1";
            tx.execute(sql, params![first]).await?;
            met.wait().await;
            tx.execute(sql, params![second]).await?;
            tx.commit().await
        };
        let met = tokio::sync::Barrier::new(2);
        let (one, other) = tokio::join!(take("a", "b", &met), take("b", "a", &met));
        let lost = match (one, other) {
            (Ok(()), Err(lost)) | (Err(lost), Ok(())) => lost,
            both => panic!("one of the two: {both:?}"),
        };
        assert!(matches!(lost, StoreError::Conflict(_)), "{lost:?}");
        assert_eq!(things(&store).await, [thing("a", 2), thing("b", 2)]);
    })
    .await;
}

#[tokio::test]
async fn rows_are_locked_in_one_order_so_nobody_waits_in_a_circle() {
    database::with("locks in one order", async |store, _| {
        migrate(&store, &[THINGS]).await.unwrap();
        let ids: Vec<String> = (0..20).map(|n| format!("thing {n}")).collect();
        for id in &ids {
            put(&store, id, 0).await;
        }
        let backwards: Vec<String> = ids.iter().rev().cloned().collect();
        let change = async |ids: &[String]| {
            let tx = store.begin().await?;
            tx.lock_rows("things", ids).await?;
            let sql = "update things set n = n + 1 where id = $1";
            for id in ids {
                tx.execute(sql, params![id]).await?;
            }
            tx.commit().await
        };
        let all = (0..20).map(|n| change(if n % 2 == 0 { &ids } else { &backwards }));
        try_join_all(all).await.unwrap();
        assert!(things(&store).await.iter().all(|(_, n)| *n == 20));
    })
    .await;
}

#[tokio::test]
async fn two_replicas_claim_different_rows() {
    database::with("claims", async |store, url| {
        migrate(&store, &[THINGS]).await.unwrap();
        for n in 0..40 {
            put(&store, &format!("thing {n}"), n).await;
        }
        let other = Postgres::new(settings(url)).unwrap();
        let claim = Claim {
            table: "things",
            columns: "id",
            due: "at_us < $1",
            order: "at_us, id",
            before_us: 40,
            n: 10,
            now_us: 1_000,
            lease_us: 100,
        };
        let claims = [&store, &other, &store, &other].map(|store| store.claim(claim));
        let claimed = try_join_all(claims).await.unwrap();
        let mut ids: Vec<String> = claimed
            .iter()
            .flatten()
            .map(|row| row.get(0).unwrap())
            .collect();
        let n = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!((n, ids.len()), (40, 40));
    })
    .await;
}

/// Stands between a store and its server: every byte comes later, or not at all.
struct Between {
    url: String,
    delay_ms: Arc<AtomicU64>,
    is_frozen: Arc<AtomicBool>,
}

impl Between {
    #[expect(clippy::disallowed_methods, reason = "the network is no service")]
    async fn start(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let authority = url.split('/').nth(2).unwrap();
        let (user, host) = authority.split_once('@').unwrap_or(("postgres", authority));
        let server = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:5432")
        };
        let between = Self {
            url: url.replacen(authority, &format!("{user}@127.0.0.1:{port}"), 1),
            delay_ms: Arc::default(),
            is_frozen: Arc::default(),
        };
        let (delay_ms, is_frozen) = (between.delay_ms.clone(), between.is_frozen.clone());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (delay, frozen) = (delay_ms.clone(), is_frozen.clone());
                tokio::spawn(carry(from_client, to_server, delay, frozen));
                let (delay, frozen) = (delay_ms.clone(), is_frozen.clone());
                tokio::spawn(carry(from_server, to_client, delay, frozen));
            }
        });
        between
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    delay_ms: Arc<AtomicU64>,
    is_frozen: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let delay = Duration::from_millis(delay_ms.load(Ordering::Relaxed));
        tokio::time::sleep(delay).await;
        if is_frozen.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn what_is_asked_together_travels_together() {
    database::with("a pipeline", async |_, url| {
        let between = Between::start(url).await;
        let store = with_one_writer(&between.url);
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "a", 0).await;
        let add = "update things set n = n + $1 where id = $2";
        let warm = store.begin().await.unwrap();
        warm.execute(add, params![0_i64, "a"]).await.unwrap();
        drop(warm);
        between.delay_ms.store(20, Ordering::Relaxed);
        let start = began();
        let tx: Box<dyn Tx> = store.begin().await.unwrap();
        let all = join_all((1..=100_i64).map(|n| {
            let tx = &tx;
            async move { tx.execute(add, params![n, "a"]).await }
        }));
        assert!(all.await.into_iter().all(|changed| changed.unwrap() == 1));
        tx.commit().await.unwrap();
        let took = start.elapsed();
        // One after another they would take 4 s.
        assert!(took < Duration::from_secs(1), "{took:?}");
        between.delay_ms.store(0, Ordering::Relaxed);
        assert_eq!(things(&store).await, [thing("a", 5_050)]);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_an_error_and_its_commit_unknown() {
    database::with("a silent server", async |_, url| {
        let between = Between::start(url).await;
        let quick = PostgresSettings {
            connect_timeout: Duration::from_millis(300),
            statement_timeout: Duration::from_millis(100),
            ..settings(&between.url)
        };
        let store = Postgres::new(quick).unwrap();
        migrate(&store, &[THINGS]).await.unwrap();
        let sql = "insert into things (id, n, at_us) values ('a', 1, 1)";
        let (asking, committing) = (store.begin().await.unwrap(), store.begin().await.unwrap());
        committing.execute(sql, &[]).await.unwrap();
        between.is_frozen.store(true, Ordering::Relaxed);
        let (asked, committed) = tokio::join!(asking.query("select 1", &[]), committing.commit());
        assert!(matches!(asked, Err(StoreError::Engine(_))), "{asked:?}");
        assert!(
            matches!(committed, Err(StoreError::Unknown(_))),
            "{committed:?}"
        );
        drop(asking);
        // Nobody pays for each try: all but one are told at once what the last one has found.
        let start = began();
        let tries = join_all((0..50).map(|_| store.begin())).await;
        assert!(
            tries
                .iter()
                .all(|tried| matches!(tried, Err(StoreError::Engine(_))))
        );
        assert!(start.elapsed() < Duration::from_secs(3));
        between.is_frozen.store(false, Ordering::Relaxed);
        put_in_the_end(&store, "b", 2).await;
        assert!(things(&store).await.contains(&thing("b", 2)));
    })
    .await;
}

#[tokio::test]
async fn a_statement_without_an_end_and_a_lock_that_does_not_come_end() {
    database::with("time-outs", async |_, url| {
        let quick = PostgresSettings {
            statement_timeout: Duration::from_secs(2),
            lock_timeout: Duration::from_millis(200),
            ..settings(url)
        };
        let store = Postgres::new(quick).unwrap();
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "a", 1).await;
        let tx = store.begin().await.unwrap();
        let slow = tx.query("select pg_sleep(60)", &[]).await;
        assert!(matches!(slow, Err(StoreError::Engine(_))), "{slow:?}");
        drop(tx);
        let (holding, waiting) = (store.begin().await.unwrap(), store.begin().await.unwrap());
        let sql = "update things set n = 2";
        holding.execute(sql, &[]).await.unwrap();
        let locked = waiting.execute(sql, &[]).await;
        assert!(matches!(locked, Err(StoreError::Conflict(_))), "{locked:?}");
    })
    .await;
}

#[tokio::test]
async fn a_url_that_cannot_be_used_says_why() {
    let new = |url: &str| Postgres::new(settings(url)).err();
    for (url, why) in [
        ("postgres://", "host"),
        ("http://127.0.0.1/x", "postgres://"),
        ("postgres://h/x?sslmode=maybe", "sslmode=maybe"),
        ("postgres://h/x?sslrootcert=/x", "`ca`"),
        ("postgres://h/x?colour=red", "colour"),
    ] {
        let Some(StoreError::Statement(text)) = new(url) else {
            panic!("{url} was taken");
        };
        assert!(text.contains(why), "{url}: {text}");
    }
    for url in ["postgres://u:p@h:1/x", "postgres://h/x?sslmode=verify-full"] {
        assert!(new(url).is_none(), "{url}");
    }
    let no_file = PostgresSettings {
        ca: Some("/nowhere/ca.pem".into()),
        ..settings("postgres://h/x?sslmode=require")
    };
    let error = Postgres::new(no_file).err().unwrap().to_string();
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
    let nobody = Postgres::new(settings("postgres://postgres@127.0.0.1:9/x")).unwrap();
    let error = nobody.begin().await.err().unwrap();
    assert!(matches!(error, StoreError::Engine(_)), "{error:?}");
    let (server, name) = ("postgres://u@h:1/postgres?sslmode=disable", "mine");
    let url = admin::url_of(server, name);
    assert_eq!(url, "postgres://u@h:1/mine?sslmode=disable");
    assert_eq!(admin::url_of("postgres://h", name), "postgres://h/mine");
    assert!(admin::create_database(server, "x; drop").await.is_err());
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    database::with("a certificate", async |store, url| {
        let tx = store.read().await.unwrap();
        let rows = tx.query("show ssl", &[]).await.unwrap();
        if rows[0].get::<String>(0).unwrap() != "on" {
            return;
        }
        for mode in ["require", "verify-full"] {
            let url = format!("{url}?sslmode={mode}");
            let tls = Postgres::new(settings(&url)).unwrap();
            let error = tls.begin().await.err().unwrap();
            let text = error.to_string();
            assert!(matches!(error, StoreError::Engine(_)), "{text}");
            assert!(text.contains("certificate"), "{text}");
        }
        let rows = tx.query("show ssl_cert_file", &[]).await.unwrap();
        let own: std::path::PathBuf = rows[0].get::<String>(0).unwrap().into();
        if !url.contains("@127.0.0.1") || !own.is_file() {
            return;
        }
        // A server here whose certificate is there to be read vouches for itself, if only under its name.
        let vouched = |host: &str| {
            let url = url.replace("@127.0.0.1", &format!("@{host}"));
            let ca = Some(own.clone());
            let settings = settings(&format!("{url}?sslmode=verify-full"));
            Postgres::new(PostgresSettings { ca, ..settings }).unwrap()
        };
        let tls = vouched("localhost").read().await.unwrap();
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        let rows = tls.query(sql, &[]).await.unwrap();
        assert_eq!(rows[0].get::<i64>(0).unwrap(), 1, "encrypted");
        let another = vouched("127.0.0.1").begin().await.err().unwrap();
        assert!(matches!(another, StoreError::Engine(_)), "{another}");
    })
    .await;
}
