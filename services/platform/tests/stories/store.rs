//! What a store promises, told in memory, on a file and on PostgreSQL.

use futures_util::future::{join_all, try_join_all};
use platform::params;
use platform::store::{Change, Claim, Edit, Find, Insert, Kind, Migration, Row, Sqlite, Store};
use platform::store::{StoreError, Synchronous, Value, migrate};
use std::path::Path;
use std::time::Duration;

pub const THINGS: Migration = Migration {
    name: "things-0001",
    sql: "create table things (
              id text primary key, name text, n bigint not null check (n >= 0),
              at_us bigint not null, leased_until_us bigint)",
};

async fn in_memory() -> Sqlite {
    with_things(Sqlite::in_memory().unwrap()).await
}

async fn in_file(dir: &Path) -> Sqlite {
    with_things(Sqlite::open(&dir.join("store.db"), Synchronous::Normal).unwrap()).await
}

async fn with_things<S: Store>(store: S) -> S {
    migrate(&store, &[THINGS]).await.unwrap();
    store
}

/// Tells each story on all engines.
macro_rules! on_all_engines {
    ($($story:ident)*) => {
        mod on_a_store_in_memory { $(
            #[tokio::test]
            async fn $story() { super::$story(&super::in_memory().await).await; }
        )* }
        mod on_a_store_in_a_file { $(
            #[tokio::test]
            async fn $story() {
                let dir = tempfile::tempdir().unwrap();
                super::$story(&super::in_file(dir.path()).await).await;
            }
        )* }
        mod on_a_store_in_postgres { $(
            #[tokio::test]
            async fn $story() {
                crate::database::with(stringify!($story), async |store, _| {
                    super::$story(&super::with_things(store).await).await;
                })
                .await;
            }
        )* }
    };
}

on_all_engines! {
    parameters_go_where_their_number_says_wherever_they_stand
    a_parameter_that_is_not_given_is_an_error_and_never_null
    values_come_back_as_they_went_in
    sums_and_counts_are_whole_numbers
    a_transaction_that_is_dropped_leaves_nothing
    who_came_to_read_cannot_write
    a_fence_in_the_schema_holds_and_says_so
    after_an_error_nothing_of_the_transaction_can_be_kept
    a_guard_in_the_statement_tells_for_each_row_whether_it_held
    many_rows_are_inserted_at_once_and_those_already_there_are_told_apart
    many_rows_are_changed_at_once_by_their_keys
    rows_are_edited_side_by_side_each_in_its_own_way
    rows_are_found_by_their_keys_in_a_transaction_and_outside_of_any
    a_row_is_claimed_once_until_its_lease_ends
    a_migration_may_have_semicolons_in_texts_names_and_comments
}

pub async fn put(store: &dyn Store, id: &str, n: i64) {
    let tx = store.begin().await.unwrap();
    let sql = "insert into things (id, n, at_us) values ($1, $2, $2)";
    tx.execute(sql, params![id, n]).await.unwrap();
    tx.commit().await.unwrap();
}

/// All things, `id` and `n`.
pub async fn things(store: &dyn Store) -> Vec<(String, i64)> {
    let tx = store.snapshot().await.unwrap();
    let rows = tx.query("select id, n from things order by id", &[]);
    let rows = rows.await.unwrap();
    rows.iter()
        .map(|row| (row.get(0).unwrap(), row.get(1).unwrap()))
        .collect()
}

pub fn thing(id: &str, n: i64) -> (String, i64) {
    (id.to_owned(), n)
}

async fn parameters_go_where_their_number_says_wherever_they_stand(store: &dyn Store) {
    put(store, "a", 1).await;
    let tx = store.begin().await.unwrap();
    let sql = "update things set n = $3 + $3, name = $2 where id = $1 returning name, n, id";
    let rows = tx.query(sql, params!["a", "named", 21_i64]).await.unwrap();
    let expected = [
        Value::Text("named".to_owned()),
        Value::Int(42),
        Value::Text("a".to_owned()),
    ];
    assert_eq!(rows[0].0, expected);
    let sql = "select $3, $1, $2, $1";
    let rows = tx.query(sql, params![1_i64, 2_i64, 3_i64]).await.unwrap();
    assert_eq!(rows[0].0, [3, 1, 2, 1].map(Value::Int));
}

async fn a_parameter_that_is_not_given_is_an_error_and_never_null(store: &dyn Store) {
    for sql in ["select $1, $3", "select $0", "select ?1", "select :name"] {
        let tx = store.begin().await.unwrap();
        let found = tx.query(sql, params![1_i64, 2_i64]).await;
        assert!(
            matches!(found, Err(StoreError::Statement(_))),
            "{sql}: {found:?}"
        );
    }
}

async fn values_come_back_as_they_went_in(store: &dyn Store) {
    let tx = store.begin().await.unwrap();
    let text = "Ünïcödé 🛒, 'quotes' and \"more\"; -- $1";
    let given = params![text, i64::MIN, i64::MAX, None::<i64>, ""];
    let rows = tx.query("select $1, $2, $3, $4, $5", given).await.unwrap();
    let row = &rows[0];
    assert_eq!(row.get::<String>(0).unwrap(), text);
    assert_eq!(row.get::<i64>(1).unwrap(), i64::MIN);
    assert_eq!(row.get::<i64>(2).unwrap(), i64::MAX);
    assert_eq!(row.get::<Option<i64>>(3).unwrap(), None);
    assert_eq!(row.get::<String>(4).unwrap(), "");
    let wrong = row.get::<i64>(0);
    assert!(matches!(wrong, Err(StoreError::Column { column: 0, .. })));
    assert!(row.get::<i64>(5).is_err(), "there is no such column");
}

async fn a_transaction_that_is_dropped_leaves_nothing(store: &dyn Store) {
    put(store, "kept", 1).await;
    let tx = store.begin().await.unwrap();
    let sql = "insert into things (id, n, at_us) values ('dropped', 1, 1)";
    tx.execute(sql, &[]).await.unwrap();
    tx.execute("update things set n = 9", &[]).await.unwrap();
    drop(tx);
    assert_eq!(things(store).await, [thing("kept", 1)]);
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening_and_the_schema_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    for n in 1..=3 {
        let store = in_file(dir.path()).await;
        put(&store, &n.to_string(), n).await;
    }
    let expected = [thing("1", 1), thing("2", 2), thing("3", 3)];
    assert_eq!(things(&in_file(dir.path()).await).await, expected);
}

#[tokio::test]
async fn a_snapshot_stays_as_it_is_while_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = in_file(dir.path()).await;
    put(&store, "a", 1).await;
    let writing = store.begin().await.unwrap();
    let update = "update things set n = 2";
    writing.execute(update, &[]).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    writing.commit().await.unwrap();
    let sql = "select id, n from things order by id";
    let before = snapshot.query(sql, &[]).await.unwrap();
    assert_eq!(before.len(), 1);
    assert_eq!(before[0].get::<i64>(1).unwrap(), 1);
    put(&store, "b", 3).await;
    assert_eq!(snapshot.query(sql, &[]).await.unwrap(), before);
    drop(snapshot);
    assert_eq!(things(&store).await, [thing("a", 2), thing("b", 3)]);
}

async fn who_came_to_read_cannot_write(store: &dyn Store) {
    put(store, "a", 1).await;
    let sql = "update things set n = 2";
    let snapshot = store.snapshot().await.unwrap();
    assert!(snapshot.execute(sql, &[]).await.is_err());
    drop(snapshot);
    let look = store.read().await.unwrap();
    assert!(look.query(sql, &[]).await.is_err());
    look.commit().await.unwrap();
    put(store, "b", 2).await;
    assert_eq!(things(store).await, [thing("a", 1), thing("b", 2)]);
}

#[tokio::test(start_paused = true)]
async fn writers_take_turns_in_the_order_of_their_arrival() {
    let store = in_memory().await;
    put(&store, "a", 0).await;
    let first = store.begin().await.unwrap();
    let second = tokio::time::timeout(Duration::from_secs(1), store.begin()).await;
    assert!(second.is_err(), "there is one writer at a time");
    let turns = (1..=10).map(|turn: i64| {
        let store = &store;
        async move {
            let tx = store.begin().await.unwrap();
            let sql = "update things set n = n * 2 + $1 % 2";
            tx.execute(sql, params![turn]).await.unwrap();
            tx.commit().await.unwrap();
        }
    });
    let (_, ()) = tokio::join!(futures_util::future::join_all(turns), async { drop(first) });
    assert_eq!(things(&store).await, [thing("a", 0b10_1010_1010)]);
}

async fn a_fence_in_the_schema_holds_and_says_so(store: &dyn Store) {
    put(store, "a", 5).await;
    let refused = [
        "update things set n = n - 6 where id = 'a'",
        "insert into things (id, n, at_us) values ('a', 1, 1)",
        "insert into things (id, n, at_us) values ('b', null, 1)",
    ];
    for sql in refused {
        let tx = store.begin().await.unwrap();
        let found = tx.execute(sql, &[]).await;
        assert!(
            matches!(found, Err(StoreError::Constraint(_))),
            "{sql}: {found:?}"
        );
    }
    let tx = store.begin().await.unwrap();
    let wrong = tx.execute("update nothing set n = 1", &[]).await;
    assert!(matches!(wrong, Err(StoreError::Statement(_))), "{wrong:?}");
    drop(tx);
    assert_eq!(things(store).await, [thing("a", 5)]);
}

async fn a_guard_in_the_statement_tells_for_each_row_whether_it_held(store: &dyn Store) {
    put(store, "a", 5).await;
    let tx = store.begin().await.unwrap();
    let guarded = "update things set n = n - $2 where id = $1 and n >= $2";
    let rows = [
        params!["a", 3_i64].to_vec(),
        params!["a", 3_i64].to_vec(),
        params!["b", 1_i64].to_vec(),
        params!["a", 2_i64].to_vec(),
    ];
    let changed = tx.execute_many(guarded, &rows).await.unwrap();
    assert_eq!(changed, [1, 0, 0, 1]);
    tx.commit().await.unwrap();
    assert_eq!(things(store).await, [thing("a", 0)]);
}

/// The ids of up to `n` things that were put before `before_us`, claimed at `now_us` for 100 µs.
async fn claim(store: &dyn Store, before_us: i64, n: i64, now_us: i64) -> Vec<String> {
    let claim = Claim {
        table: "things",
        columns: "id",
        due: "at_us < $1",
        order: "at_us, id",
        before_us,
        n,
        now_us,
        lease_us: 100,
    };
    let rows = store.claim(claim).await.unwrap();
    let mut ids: Vec<String> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    ids.sort();
    ids
}

async fn a_row_is_claimed_once_until_its_lease_ends(store: &dyn Store) {
    for (id, n) in [("a", 4), ("b", 3), ("c", 2), ("d", 9)] {
        put(store, id, n).await;
    }
    assert_eq!(claim(store, 9, 2, 1_000).await, ["b", "c"], "the oldest");
    assert_eq!(claim(store, 9, 2, 1_000).await, ["a"], "what is left");
    assert!(claim(store, 9, 9, 1_099).await.is_empty(), "all leased");
    assert_eq!(claim(store, 10, 9, 1_099).await, ["d"], "due now");
    assert_eq!(claim(store, 9, 9, 1_100).await, ["a", "b", "c"]);
}

async fn sums_and_counts_are_whole_numbers(store: &dyn Store) {
    for (id, n) in [("a", 70_000), ("b", 30_000), ("c", 123_456_789_012)] {
        put(store, id, n).await;
    }
    let tx = store.read().await.unwrap();
    let sql = "select count(*), sum(n), min(n), max(id), sum(n - n), sum(-n), 1 from things";
    let rows = tx.query(sql, &[]).await.unwrap();
    let (sum, less) = (123_456_889_012, -123_456_889_012);
    let [sum, less] = [sum, less].map(Value::Int);
    let (three, least) = (Value::Int(3), Value::Int(30_000));
    let expected = [
        three,
        sum,
        least,
        Value::Text("c".to_owned()),
        Value::Int(0),
        less,
        Value::Int(1),
    ];
    assert_eq!(rows[0].0, expected);
}

async fn after_an_error_nothing_of_the_transaction_can_be_kept(store: &dyn Store) {
    put(store, "a", 1).await;
    let tx = store.begin().await.unwrap();
    tx.execute("update things set n = 2", &[]).await.unwrap();
    let refused = tx.execute("update things set n = -1", &[]).await;
    assert!(matches!(refused, Err(StoreError::Constraint(_))));
    assert!(tx.commit().await.is_err());
    assert_eq!(things(store).await, [thing("a", 1)]);
    put(store, "b", 2).await;
}

const ANY_THING: Insert = Insert {
    table: "things",
    columns: &[
        ("id", Kind::Text),
        ("name", Kind::Text),
        ("n", Kind::Int),
        ("at_us", Kind::Int),
    ],
    key: None,
};

const NEW_THING: Insert = Insert {
    key: Some("id"),
    ..ANY_THING
};

async fn many_rows_are_inserted_at_once_and_those_already_there_are_told_apart(store: &dyn Store) {
    let row =
        |id: &'static str, name: Option<&'static str>, n: i64| params![id, name, n, n].to_vec();
    put(store, "b", 1).await;
    let tx = store.begin().await.unwrap();
    let none = tx.insert_many(&NEW_THING, &[]).await.unwrap();
    assert!(none.is_empty());
    let rows = [
        row("d", Some("named"), 2),
        row("b", None, 3),
        row("a", None, 4),
        row("d", None, 5),
    ];
    let fresh = tx.insert_many(&NEW_THING, &rows).await.unwrap();
    assert_eq!(fresh, [true, false, true, false]);
    let rows = [row("f", None, 6), row("e", None, 7)];
    assert_eq!(tx.insert_many(&ANY_THING, &rows).await.unwrap(), [true; 2]);
    tx.commit().await.unwrap();
    let there = [("a", 4), ("b", 1), ("d", 2), ("e", 7), ("f", 6)];
    assert_eq!(things(store).await, there.map(|(id, n)| thing(id, n)));
    let tx = store.begin().await.unwrap();
    let again = tx.insert_many(&ANY_THING, &[row("f", None, 8)]).await;
    assert!(matches!(again, Err(StoreError::Constraint(_))), "{again:?}");
}

async fn many_rows_are_changed_at_once_by_their_keys(store: &dyn Store) {
    for (id, n) in [("a", 1), ("b", 2), ("c", 3)] {
        put(store, id, n).await;
    }
    let change = Change {
        table: "things",
        set: "n = n * $1 + $2",
        key: "id",
    };
    let keys = ["c", "nothing", "a"].map(str::to_owned);
    let tx = store.begin().await.unwrap();
    let changed = tx.update_many(&change, params![10_i64, 1_i64], &keys).await;
    assert_eq!(changed.unwrap(), 2);
    let none = tx.update_many(&change, params![0_i64, 0_i64], &[]).await;
    assert_eq!(none.unwrap(), 0);
    tx.lock_rows("things", &keys).await.unwrap();
    tx.commit().await.unwrap();
    let there = [thing("a", 11), thing("b", 2), thing("c", 31)];
    assert_eq!(things(store).await, there);
}

const TAKE: Edit = Edit {
    table: "things",
    given: &[Kind::Text, Kind::Int, Kind::Text],
    set: "n = n - $2, name = $3",
    key: "id",
    guard: "n >= $2",
    returns: "n, name",
};

async fn rows_are_edited_side_by_side_each_in_its_own_way(store: &dyn Store) {
    for (id, n) in [("a", 1), ("b", 5), ("c", 5)] {
        put(store, id, n).await;
    }
    let tx = store.begin().await.unwrap();
    let given = [
        params!["b", 2_i64, "taken"].to_vec(),
        params!["a", 2_i64, "too much"].to_vec(),
        params!["c", 5_i64, None::<&str>].to_vec(),
        params!["nothing", 1_i64, "nobody"].to_vec(),
        // The same one again: after the first.
        params!["b", 3_i64, "all"].to_vec(),
        params!["b", 1_i64, "more"].to_vec(),
    ];
    let told = join_all(given.iter().map(|given| tx.edit(&TAKE, given))).await;
    let told: Vec<Vec<Value>> = told
        .into_iter()
        .map(|told| told.unwrap().into_iter().flat_map(|row| row.0).collect())
        .collect();
    let text = |text: &str| Value::Text(text.to_owned());
    let expected = [
        vec![Value::Int(3), text("taken")],
        vec![],
        vec![Value::Int(0), Value::Null],
        vec![],
        vec![Value::Int(0), text("all")],
        vec![],
    ];
    assert_eq!(told, expected);
    tx.commit().await.unwrap();
    let there = [thing("a", 1), thing("b", 0), thing("c", 0)];
    assert_eq!(things(store).await, there);

    // Only the row with the key, whatever the guard looks like.
    let tx = store.begin().await.unwrap();
    let either = Edit {
        guard: "n = 0 or n = 1",
        returns: "n, n - $2",
        ..TAKE
    };
    let told = tx.edit(&either, params!["a", 0_i64, "zero"]).await.unwrap();
    assert_eq!(told, [Row(vec![Value::Int(1), Value::Int(1)])]);
    let named = tx.query("select id from things where name = 'zero'", &[]);
    assert_eq!(
        named.await.unwrap(),
        [Row(vec![Value::Text("a".to_owned())])]
    );
    drop(tx);

    let tx = store.begin().await.unwrap();
    let below = Edit {
        guard: "true",
        ..TAKE
    };
    let refused = tx.edit(&below, params!["a", 2_i64, "below zero"]).await;
    assert!(
        matches!(refused, Err(StoreError::Constraint(_))),
        "{refused:?}"
    );
    drop(tx);
    assert_eq!(things(store).await, there);
}

async fn rows_are_found_by_their_keys_in_a_transaction_and_outside_of_any(store: &dyn Store) {
    const THING: Find = Find {
        table: "things",
        columns: "n, id",
        key: "id",
    };
    for (id, n) in [("a", 1), ("b", 2)] {
        put(store, id, n).await;
    }
    let keys = ["b", "nothing", "a", "b"];
    let row = |n, id: &str| Some(Row(vec![Value::Int(n), Value::Text(id.to_owned())]));
    let tx = store.begin().await.unwrap();
    tx.execute("update things set n = 7 where id = 'b'", &[])
        .await
        .unwrap();
    let inside = try_join_all(keys.iter().map(|key| tx.find(&THING, key))).await;
    let found = [row(7, "b"), None, row(1, "a"), row(7, "b")];
    assert_eq!(inside.unwrap(), found);
    drop(tx);
    let outside = try_join_all(keys.iter().map(|key| store.find(&THING, key))).await;
    let found = [row(2, "b"), None, row(1, "a"), row(2, "b")];
    assert_eq!(outside.unwrap(), found);
    let nowhere = Find {
        table: "nowhere",
        ..THING
    };
    let wrong = store.find(&nowhere, "a").await;
    assert!(matches!(wrong, Err(StoreError::Statement(_))), "{wrong:?}");
}

async fn a_migration_may_have_semicolons_in_texts_names_and_comments(store: &dyn Store) {
    let odd = Migration {
        name: "odd-0001",
        sql: "-- It's one; not two.
              create table \"odd;names\" (id text primary key, note text not null default 'a;b''c;'); /* ; */
              insert into \"odd;names\" (id) values ('--; no comment'), -- the end;
                                                   ('
--tune no statement;');
              /* 'Nothing; more */;
",
    };
    migrate(store, &[odd]).await.unwrap();
    let tx = store.snapshot().await.unwrap();
    let sql = "select id, note from \"odd;names\" order by id";
    let rows = tx.query(sql, &[]).await.unwrap();
    let text = |row: &platform::store::Row, column| row.get::<String>(column).unwrap();
    let found: Vec<_> = rows
        .iter()
        .map(|row| (text(row, 0), text(row, 1)))
        .collect();
    let note = "a;b'c;".to_owned();
    let ids = ["\n--tune no statement;", "--; no comment"];
    assert_eq!(found, ids.map(|id| (id.to_owned(), note.clone())));
}
