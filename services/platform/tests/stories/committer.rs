//! Steps of many clients in few transactions, and each with an outcome of its own.

use crate::kit::{DIARY, Diary, diary, page, read, write, written};
use axum::response::IntoResponse;
use contract::ProductId;
use futures_util::future::join_all;
use platform::broker::{Embedded, EmbeddedSettings};
use platform::fault::FaultyStore;
use platform::http::Problem;
use platform::stage::{Calls, Stage};
use platform::store::{Sqlite, StoreError, Tx};
use platform::telemetry::Tracer;
use platform::world::Mischief;
use platform::{
    BoxFuture, Clock, Context, Error, Origin, Parts, Result, Running, Said, Settings, Trace,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

platform::stories! {
    on_both {
        steps_are_applied_in_the_order_in_which_they_came,
        a_step_that_is_refused_fails_alone_and_leaves_no_trace,
        a_step_that_meets_a_fence_fails_alone_too,
        when_the_end_of_a_group_fails_each_step_gets_a_transaction_of_its_own,
        a_full_queue_refuses_before_anything_is_done_and_recovers,
        who_waits_for_a_step_when_the_service_dies_is_told_that_nobody_knows,
    }
    in_virtual_time_only {
        three_hundred_steps_take_a_few_transactions: "it counts the calls of a store of its own",
    }
}

/// What a step is asked to do, and what becomes of it.
#[derive(Clone)]
struct Entry {
    page: ProductId,
    quantity: i64,
    /// Whether it changes its mind after it has written and spoken.
    refuses: bool,
    committed: Arc<AtomicUsize>,
}

impl Entry {
    fn new(n: u32) -> Self {
        Self {
            page: page(n.into()),
            quantity: n.into(),
            refuses: false,
            committed: Arc::default(),
        }
    }

    fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }
}

/// Writes down an entry as a step of its own; answers with its quantity.
async fn enter(ctx: &Context, entry: Entry) -> Result<i64> {
    let origin = Origin::request(Trace::new(Uuid::from_u128(1), 1));
    ctx.commit(origin, entry, |entry, tx, said| step(entry, tx, said))
        .await
}

fn step<'t>(entry: &'t Entry, tx: &'t dyn Tx, said: &'t mut Said) -> BoxFuture<'t, Result<i64>> {
    Box::pin(async move {
        write(tx, entry.page, entry.quantity).await?;
        said.push(written(entry.page, entry.quantity));
        let committed = Arc::clone(&entry.committed);
        said.after_commit(move || {
            committed.fetch_add(1, Ordering::Relaxed);
        });
        if entry.refuses {
            return Err(Problem::conflict("quantity", "changed its mind").into());
        }
        Ok(entry.quantity)
    })
}

fn is_refused(result: &Result<i64>) -> bool {
    matches!(result, Err(Error::Refused(_)))
}

/// The quantities of which the event log tells.
async fn said(stage: &Stage) -> Vec<i64> {
    let events = stage.export("/api/v1/events").await;
    let stock = |event: &serde_json::Value| event["data"]["stock"].as_i64().unwrap();
    let mut said: Vec<i64> = events.iter().map(stock).collect();
    said.sort_unstable();
    said
}

async fn three_hundred_steps_take_a_few_transactions() {
    let calls = Arc::new(Calls::default());
    let store = Arc::new(Sqlite::in_memory().unwrap());
    let clock = Clock::Virtual {
        start: tokio::time::Instant::now(),
        epoch_us: 0,
    };
    let ctx = Context::new(Parts {
        service: DIARY,
        store: Arc::new(FaultyStore::new(store, Arc::clone(&calls) as _)),
        broker: Arc::new(Embedded::in_memory(&EmbeddedSettings::new(vec![DIARY]), clock).unwrap()),
        clock,
        seed: 1,
        dispatch: tracing::Dispatch::none(),
        tracer: Tracer::off(),
        settings: Settings::default(),
        planted: None,
    });
    Running::start(ctx.clone(), Arc::new(Diary)).await.unwrap();
    let (begun, committed) = (calls.of("begin"), calls.of("commit"));
    let quiet = (1..=300).map(|n: i64| {
        let origin = Origin::request(Trace::new(Uuid::from_u128(1), 1));
        ctx.commit(origin, n, |n, tx, _| {
            Box::pin(async move {
                write(tx, page(0), *n).await?;
                Ok(*n)
            })
        })
    });
    let answers = join_all(quiet).await;
    let answers: Vec<i64> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (1..=300).collect::<Vec<_>>(), "each gets its own");
    let begun = calls.of("begin") - begun;
    let committed = calls.of("commit") - committed;
    assert!(begun <= 5 && committed <= 5, "{begun} and {committed}");
}

async fn steps_are_applied_in_the_order_in_which_they_came() {
    let (stage, ctx) = diary(1, Settings::default(), Mischief::default()).await;
    let entry = |quantity| Entry {
        page: page(7),
        quantity,
        ..Entry::new(0)
    };
    let steps = (1..=300).map(|n| enter(&ctx, entry(n)));
    assert!(join_all(steps).await.iter().all(Result::is_ok));
    let expected: Vec<i64> = (1..=300).collect();
    assert_eq!(read(stage.world(), page(7)).await, expected);
}

async fn a_step_that_is_refused_fails_alone_and_leaves_no_trace() {
    let (stage, ctx) = diary(1, Settings::default(), Mischief::default()).await;
    let entries: Vec<Entry> = (1..=300)
        .map(|n| Entry {
            refuses: n % 100 == 0,
            ..Entry::new(n)
        })
        .collect();
    let steps = entries.iter().map(|entry| enter(&ctx, entry.clone()));
    let answers = join_all(steps).await;
    stage.at_rest().await;
    for (entry, answer) in entries.iter().zip(&answers) {
        let stands = read(stage.world(), entry.page).await;
        if entry.refuses {
            assert!(is_refused(answer), "{answer:?}");
            assert_eq!((stands, entry.committed()), (vec![], 0));
        } else {
            assert!(matches!(answer, Ok(n) if *n == entry.quantity));
            assert_eq!((stands, entry.committed()), (vec![entry.quantity], 1));
        }
    }
    let expected: Vec<i64> = (1..=300).filter(|n| n % 100 != 0).collect();
    assert_eq!(said(&stage).await, expected);
}

async fn a_step_that_meets_a_fence_fails_alone_too() {
    let (stage, ctx) = diary(1, Settings::default(), Mischief::default()).await;
    let entries = (1..=20).map(|n| Entry {
        quantity: if n == 13 { -1 } else { n.into() },
        ..Entry::new(n)
    });
    let answers = join_all(entries.map(|entry| enter(&ctx, entry))).await;
    for (n, answer) in (1..).zip(&answers) {
        let fenced = matches!(answer, Err(Error::Store(StoreError::Constraint(_))));
        assert_eq!(fenced, n == 13, "{n}: {answer:?}");
        assert_eq!(answer.is_ok(), n != 13, "{n}: {answer:?}");
    }
    stage.at_rest().await;
    assert_eq!(said(&stage).await.len(), 19);
}

async fn when_the_end_of_a_group_fails_each_step_gets_a_transaction_of_its_own() {
    let (stage, ctx) = diary(1, Settings::default(), Mischief::default()).await;
    // The same event twice: it is the log that refuses, after all steps have done their part.
    let entries: Vec<Entry> = [1, 2, 3, 2, 4].map(Entry::new).into();
    let steps = entries.iter().map(|entry| enter(&ctx, entry.clone()));
    let answers = join_all(steps).await;
    let well: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(well, [true, true, true, false, true]);
    let committed: Vec<usize> = entries.iter().map(Entry::committed).collect();
    assert_eq!(committed, [1, 1, 1, 0, 1]);
    stage.at_rest().await;
    assert_eq!(said(&stage).await, [1, 2, 3, 4]);
    assert_eq!(read(stage.world(), page(2)).await, [2]);
}

async fn a_full_queue_refuses_before_anything_is_done_and_recovers() {
    let settings = Settings {
        commits_max: 8,
        ..Settings::default()
    };
    let (stage, ctx) = diary(1, settings, Mischief::default()).await;
    let steps = (1..=20).map(|n| enter(&ctx, Entry::new(n)));
    let answers = join_all(steps).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 8);
    for refused in answers.into_iter().filter(Result::is_err) {
        assert!(is_refused(&refused), "{refused:?}");
        let response = refused.unwrap_err().into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let bytes = axum::body::to_bytes(response.into_body(), 4_096).await;
        let body: serde_json::Value = serde_json::from_slice(&bytes.unwrap()).unwrap();
        assert_eq!(body["type"], "/problems/overloaded");
    }
    assert!(enter(&ctx, Entry::new(21)).await.is_ok());
    stage.at_rest().await;
    assert_eq!(said(&stage).await, [1, 2, 3, 4, 5, 6, 7, 8, 21]);
}

async fn who_waits_for_a_step_when_the_service_dies_is_told_that_nobody_knows() {
    let (stage, ctx) = diary(1, Settings::default(), Mischief::default()).await;
    let entry = Entry::new(1);
    let (answer, ()) = tokio::join!(enter(&ctx, entry.clone()), stage.world().crash(DIARY));
    assert!(matches!(answer, Err(Error::Stopped)), "{answer:?}");
    assert_eq!(entry.committed(), 0);
}
