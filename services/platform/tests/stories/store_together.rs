//! What a store on a network sends together: rows of several, and the end of a transaction.

use crate::database;
use crate::store::{THINGS, put, thing, things};
use crate::store_postgres::with_one_writer;
use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use platform::params;
use platform::store::{Change, Edit, Find, Insert, Kind, Last, Param, Store, StoreError, migrate};
use std::time::Duration;

const THING: Insert = Insert {
    table: "things",
    columns: &[("id", Kind::Text), ("n", Kind::Int), ("at_us", Kind::Int)],
    key: Some("id"),
};

fn row(id: &str, n: i64) -> Vec<Param<'_>> {
    params![id, n, 0_i64].to_vec()
}

#[tokio::test]
async fn what_comes_last_is_kept_with_the_commit_or_not_at_all() {
    database::with("what comes last", async |_, url| {
        let store = with_one_writer(url);
        migrate(&store, &[THINGS]).await.unwrap();
        let no_key = Insert { key: None, ..THING };
        let more = Change {
            table: "things",
            set: "n = n + $1",
            key: "id",
        };
        // On a connection of its own, where nothing is prepared yet.
        let fresh = with_one_writer(url);
        let rows = [row("a", 1), row("b", 2)];
        let keys = ["b".to_owned()];
        let ten = params![10_i64];
        let last = [
            Last::Insert(&no_key, &rows),
            Last::Update(&more, ten, &keys),
        ];
        fresh.begin().await.unwrap().finish(&last).await.unwrap();
        let kept = [thing("a", 1), thing("b", 12)];
        assert_eq!(things(&store).await, kept);

        // The server calls the commit of what it has refused a success.
        let again = [row("c", 3), row("a", 1)];
        let last = [
            Last::Update(&more, ten, &keys),
            Last::Insert(&no_key, &again),
        ];
        let refused = fresh.begin().await.unwrap().finish(&last).await;
        assert!(
            matches!(refused, Err(StoreError::Constraint(_))),
            "{refused:?}"
        );
        assert_eq!(things(&store).await, kept);

        // What cannot even be sent keeps the commit from going out.
        let wrong = [vec![Param::from("d"), Param::from("four"), Param::from(0)]];
        let last = [
            Last::Update(&more, ten, &keys),
            Last::Insert(&no_key, &wrong),
        ];
        let refused = fresh.begin().await.unwrap().finish(&last).await;
        assert!(
            matches!(refused, Err(StoreError::Statement(_))),
            "{refused:?}"
        );
        put(&fresh, "e", 5).await;
        assert_eq!(things(&store).await, [&kept[..], &[thing("e", 5)]].concat());
    })
    .await;
}

#[tokio::test]
async fn those_who_insert_side_by_side_are_each_told_of_their_own_rows() {
    database::with("side by side", async |store, _| {
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "known", 1).await;
        let tx = store.begin().await.unwrap();
        let rows = ["a", "known", "a", "b"].map(|id| [row(id, 2)]);
        let several = [row("c", 3), row("known", 3), row("d", 3)];
        let singles = rows.iter().map(|rows| tx.insert_many(&THING, rows));
        let (singles, several) = join(join_all(singles), tx.insert_many(&THING, &several)).await;
        let singles: Vec<bool> = singles.into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(singles, [true, false, false, true]);
        assert_eq!(several.unwrap(), [true, false, true]);
        // The same again, now that the first of them are answered.
        assert!(tx.insert(&THING, &row("e", 4)).await.unwrap());
        tx.commit().await.unwrap();
        let ids: Vec<String> = things(&store)
            .await
            .into_iter()
            .map(|(id, ..)| id)
            .collect();
        assert_eq!(ids, ["a", "b", "c", "d", "e", "known"]);

        // One is to blame. Together nobody knows who it is, alone it is told.
        let no_key = Insert { key: None, ..THING };
        let tx = store.begin().await.unwrap();
        let rows = ["f", "known"].map(|id| [row(id, 5)]);
        let outcomes = join_all(rows.iter().map(|rows| tx.insert_many(&no_key, rows))).await;
        let is_conflict = |outcome: &Result<_, _>| matches!(outcome, Err(StoreError::Conflict(_)));
        assert!(outcomes.iter().all(is_conflict), "{outcomes:?}");
        drop(tx);
        let tx = store.begin().await.unwrap();
        let alone = tx
            .insert_many(&no_key, &[row("f", 5), row("known", 5)])
            .await;
        assert!(matches!(alone, Err(StoreError::Constraint(_))), "{alone:?}");
        drop(tx);

        // Who came first goes away while others wait for it: they do not wait for ever.
        let tx = store.begin().await.unwrap();
        let (first, second) = ([row("g", 6)], [row("h", 6)]);
        let mut leads = tx.insert_many(&THING, &first);
        assert!((&mut leads).now_or_never().is_none());
        let mut waits = tx.insert_many(&THING, &second);
        assert!((&mut waits).now_or_never().is_none());
        drop(leads);
        let outcome = waits.await;
        assert!(is_conflict(&outcome), "{outcome:?}");
        assert_eq!(tx.insert_many(&THING, &second).await.unwrap(), [true]);
    })
    .await;
}

#[tokio::test]
async fn what_follows_an_answer_is_asked_together_with_what_follows_the_others() {
    const COUNTING: [&str; 3] = [
        "create table inserts (n bigint)",
        "create function note() returns trigger language plpgsql as
             'begin insert into inserts values (1); return null; end'",
        "create trigger note after insert on things for each statement execute function note()",
    ];
    database::with("after an answer", async |store, _| {
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "a", 100).await;
        let tx = store.begin().await.unwrap();
        for sql in COUNTING {
            tx.execute(sql, &[]).await.unwrap();
        }
        tx.commit().await.unwrap();
        let tx = store.begin().await.unwrap();
        let ids: Vec<String> = (0..40).map(|n| format!("id-{n}")).collect();
        // As the reactions of a batch do: take from the stock, and note it.
        let one = async |id: &String| {
            let taken = tx
                .query(
                    "update things set n = n - 1 where id = 'a' returning n",
                    &[],
                )
                .await;
            let left: i64 = taken.unwrap()[0].get(0).unwrap();
            assert!(tx.insert(&THING, &row(id, left)).await.unwrap());
        };
        join_all(ids.iter().map(one)).await;
        tx.commit().await.unwrap();
        assert_eq!(things(&store).await.len(), 41);
        let tx = store.read().await.unwrap();
        let noted = tx.query("select count(*) from inserts", &[]).await;
        let statements: i64 = noted.unwrap()[0].get(0).unwrap();
        assert_eq!(statements, 1, "for 40 rows");
    })
    .await;
}

#[tokio::test]
async fn who_looks_and_goes_away_leaves_the_others_their_answer() {
    const N: Find = Find {
        table: "things",
        columns: "n",
        key: "id",
    };
    database::with("goes away", async |store, _| {
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "a", 1).await;
        let mut leads = store.find(&N, "a");
        assert!((&mut leads).now_or_never().is_none());
        let mut waits = store.find(&N, "a");
        assert!((&mut waits).now_or_never().is_none());
        drop(leads);
        let found = waits.await.unwrap().expect("it is there");
        assert_eq!(found.get::<i64>(0).unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_cannot_be_sent_leaves_nothing_of_its_transaction() {
    const ADD: Edit = Edit {
        table: "things",
        given: &[Kind::Text, Kind::Int],
        set: "n = n + $2",
        key: "id",
        guard: "true",
        returns: "n",
    };
    database::with("cannot be sent", async |store, _| {
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "a", 1).await;
        let tx = store.begin().await.unwrap();
        tx.execute("update things set n = 7", &[]).await.unwrap();
        let wrong = tx.edit(&ADD, params!["a", "two"]).await;
        assert!(matches!(wrong, Err(StoreError::Statement(_))), "{wrong:?}");
        assert!(tx.commit().await.is_err());
        assert_eq!(things(&store).await, [thing("a", 1)]);
    })
    .await;
}

#[tokio::test]
async fn a_question_that_nobody_asks_further_holds_nobody_up() {
    database::with("asks no further", async |store, _| {
        migrate(&store, &[THINGS]).await.unwrap();
        let tx = store.begin().await.unwrap();
        let mut left = tx.query("select 1", &[]);
        assert!((&mut left).now_or_never().is_none());
        let new = row("a", 1);
        let inserted = tx.insert(&THING, &new);
        let inserted = tokio::time::timeout(Duration::from_secs(5), inserted).await;
        assert!(inserted.expect("it does not wait for ever").unwrap());
        assert_eq!(left.await.unwrap().len(), 1);
        tx.commit().await.unwrap();
        assert_eq!(things(&store).await, [thing("a", 1)]);
    })
    .await;
}

#[tokio::test]
async fn a_look_whose_task_dies_takes_nobody_with_it() {
    const N: Find = Find {
        table: "things",
        columns: "n",
        key: "id",
    };
    database::with("its task dies", async |store, _| {
        migrate(&store, &[THINGS]).await.unwrap();
        put(&store, "a", 1).await;
        // The task belongs to the runtime of who came first, and ends with it.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.unwrap().block_on(async {
                    assert!(store.find(&N, "a").now_or_never().is_none());
                });
            });
        });
        let found = tokio::time::timeout(Duration::from_secs(5), store.find(&N, "a")).await;
        let found = found.expect("it does not wait for ever").unwrap();
        assert_eq!(found.expect("it is there").get::<i64>(0).unwrap(), 1);
    })
    .await;
}
