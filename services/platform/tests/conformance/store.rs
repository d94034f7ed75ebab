//! Plays a script on a store.
//!
//! `begin A`, `read A` and `snapshot A` open a transaction; `A put`, `A add`, `A take`, `A new`, `A touch`, `A edit`,
//! `A find`, `A lock`, `A each`, `A list`, `A sum` and `A wrong` use it; `A commit` and `A drop` end it; `claim` stands for itself.

use futures_util::future::try_join_all;
use platform::params;
use platform::store::{
    Change, Claim, Edit, Find, Insert, Kind, Migration, Param, Row, Store, StoreError,
};
use platform::store::{Tx, Value, migrate};
use std::collections::BTreeMap;

const THINGS: Migration = Migration {
    name: "things-0001",
    sql: "create table things (
              id text primary key, name text, n bigint not null check (n >= 0),
              at_us bigint not null, leased_until_us bigint)",
};

const NEW: Insert = Insert {
    table: "things",
    columns: &[
        ("id", Kind::Text),
        ("name", Kind::Text),
        ("n", Kind::Int),
        ("at_us", Kind::Int),
    ],
    key: Some("id"),
};

const TOUCH: Change = Change {
    table: "things",
    set: "name = $1, n = n + $2",
    key: "id",
};

const TAKE: Edit = Edit {
    table: "things",
    given: &[Kind::Text, Kind::Int, Kind::Text],
    set: "n = n - $2, name = $3",
    key: "id",
    guard: "n >= $2",
    returns: "id, n, name",
};

const THING: Find = Find {
    table: "things",
    columns: "n, name",
    key: "id",
};

/// Makes the table.
pub async fn prepare(store: &dyn Store) {
    migrate(store, &[THINGS]).await.unwrap();
}

/// Plays `script` on an empty table; the outcome of each line.
pub async fn play(store: &dyn Store, script: &[String]) -> Vec<String> {
    let tx = store.begin().await.unwrap();
    tx.execute("delete from things", &[]).await.unwrap();
    tx.commit().await.unwrap();
    let mut open: BTreeMap<String, Open> = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(script.len());
    for line in script {
        let words: Vec<&str> = line.split_whitespace().collect();
        let outcome = step(store, &mut open, &words).await;
        outcomes.push(outcome.unwrap_or_else(|error| kind(&error).to_owned()));
    }
    outcomes
}

/// That the scripts bring about what there is to compare.
pub fn expect_variety<'a>(outcomes: impl Iterator<Item = &'a String>) {
    let all: Vec<&str> = outcomes.map(String::as_str).collect();
    for wanted in ["a constraint", "wrong", "after an error", "0", "1", "ok"] {
        assert!(all.contains(&wanted), "no outcome is {wanted:?}");
    }
}

struct Open {
    tx: Box<dyn Tx>,
    has_failed: bool,
}

async fn step(
    store: &dyn Store,
    open: &mut BTreeMap<String, Open>,
    words: &[&str],
) -> Result<String, StoreError> {
    let begun = match words {
        ["begin", name] => (name, store.begin().await?),
        ["read", name] => (name, store.read().await?),
        ["snapshot", name] => (name, store.snapshot().await?),
        ["claim", n, "before", before, "at", now] => {
            return claim(store, int(n), int(before), int(now)).await;
        }
        [name, "commit"] => {
            let Open { tx, .. } = open.remove(*name).expect("it was begun");
            return match tx.commit().await {
                Ok(()) => Ok("ok".to_owned()),
                Err(_) => Ok("not kept".to_owned()),
            };
        }
        [name, "drop"] => {
            open.remove(*name).expect("it was begun");
            return Ok("ok".to_owned());
        }
        [name, rest @ ..] => {
            let one = open.get_mut(*name).expect("it was begun");
            // What a transaction does after an error is not promised.
            if one.has_failed {
                return Ok("after an error".to_owned());
            }
            let outcome = ask(&*one.tx, rest).await;
            one.has_failed = outcome.is_err();
            return outcome;
        }
        [] => panic!("an empty line"),
    };
    let (name, tx) = begun;
    let has_failed = false;
    open.insert((*name).to_owned(), Open { tx, has_failed });
    Ok("ok".to_owned())
}

async fn ask(tx: &dyn Tx, words: &[&str]) -> Result<String, StoreError> {
    let changed = |n: u64| n.to_string();
    match words {
        ["put", id, n] => {
            let sql = "insert into things (id, n, at_us) values ($1, $2, $2)";
            tx.execute(sql, params![*id, int(n)]).await.map(changed)
        }
        ["add", id, n] => {
            let sql = "update things set n = n + $2 where id = $1";
            tx.execute(sql, params![*id, int(n)]).await.map(changed)
        }
        ["take", id, n] => {
            let sql =
                "update things set n = n - $2 where id = $1 and n >= $2 returning id, n, name";
            tx.query(sql, params![*id, int(n)])
                .await
                .map(|rows| show(&rows))
        }
        ["new", ids] => {
            let row = |id| -> Vec<Param<'_>> { params![id, None::<&str>, 1_i64, 7_i64].to_vec() };
            let rows: Vec<Vec<Param<'_>>> = ids.split(',').map(row).collect();
            let fresh = tx.insert_many(&NEW, &rows).await?;
            Ok(format!("{fresh:?}"))
        }
        ["touch", ids, name, n] => {
            let ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
            let params = params![*name, int(n)];
            tx.update_many(&TOUCH, params, &ids).await.map(changed)
        }
        ["edit", ids, n] => edit(tx, ids, int(n)).await,
        ["find", ids] => find(tx, ids).await,
        ["lock", ids] => {
            let ids: Vec<String> = ids.split(',').map(str::to_owned).collect();
            tx.lock_rows("things", &ids).await?;
            Ok("ok".to_owned())
        }
        ["each", ids, n] => {
            let sql = "update things set n = n - $2, name = $3 where id = $1 and n >= $2";
            let row = |id| -> Vec<Param<'_>> { params![id, int(n), None::<&str>].to_vec() };
            let rows: Vec<Vec<Param<'_>>> = ids.split(',').map(row).collect();
            let counts = tx.execute_many(sql, &rows).await?;
            Ok(format!("{counts:?}"))
        }
        ["list"] => {
            let sql = "select id, name, n, at_us, leased_until_us from things order by id";
            tx.query(sql, &[]).await.map(|rows| show(&rows))
        }
        ["after", id, limit] => {
            let sql = "select id from things where (id, n) > ($1, $2) order by id limit $3";
            let params = params![*id, 0_i64, int(limit)];
            tx.query(sql, params).await.map(|rows| show(&rows))
        }
        ["sum"] => {
            let sql = "select count(*), sum(n), max(id), min(n + $1) from things";
            tx.query(sql, params![1_i64]).await.map(|rows| show(&rows))
        }
        ["wrong"] => tx
            .execute("update nowhere set n = 1", &[])
            .await
            .map(changed),
        other => panic!("what is {other:?}?"),
    }
}

/// Takes `n` from each of `ids`, all side by side.
async fn edit(tx: &dyn Tx, ids: &str, n: i64) -> Result<String, StoreError> {
    let row = |id| -> Vec<Param<'_>> { params![id, n, None::<&str>].to_vec() };
    let rows: Vec<Vec<Param<'_>>> = ids.split(',').map(row).collect();
    let told = try_join_all(rows.iter().map(|row| tx.edit(&TAKE, row))).await?;
    let told: Vec<String> = told.iter().map(|rows| show(rows)).collect();
    Ok(told.join("; "))
}

async fn find(tx: &dyn Tx, ids: &str) -> Result<String, StoreError> {
    let found = try_join_all(ids.split(',').map(|id| tx.find(&THING, id))).await?;
    let found: Vec<String> = found.iter().map(|row| show(row.as_slice())).collect();
    Ok(found.join("; "))
}

async fn claim(
    store: &dyn Store,
    n: i64,
    before_us: i64,
    now_us: i64,
) -> Result<String, StoreError> {
    let claim = Claim {
        table: "things",
        columns: "id, n",
        due: "at_us < $1",
        order: "at_us, id",
        before_us,
        n,
        now_us,
        lease_us: 100,
    };
    let mut rows = store.claim(claim).await?;
    rows.sort_by_key(|row| row.get::<String>(0).unwrap_or_default());
    Ok(show(&rows))
}

fn show(rows: &[Row]) -> String {
    let value = |value: &Value| match value {
        Value::Null => "null".to_owned(),
        Value::Int(int) => int.to_string(),
        Value::Text(text) => format!("{text:?}"),
    };
    let row = |row: &Row| row.0.iter().map(value).collect::<Vec<_>>().join(" ");
    rows.iter().map(row).collect::<Vec<_>>().join(" | ")
}

/// What kind of error it is; its words are the engine's own.
fn kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::Conflict(_) => "a conflict",
        StoreError::Busy => "busy",
        StoreError::Constraint(_) => "a constraint",
        StoreError::Engine(_) => "the engine failed",
        StoreError::Statement(_) => "wrong",
        StoreError::Unknown(_) => "unknown",
        StoreError::Column { .. } => "another kind of value",
    }
}

fn int(word: &str) -> i64 {
    word.parse().expect("a number")
}
