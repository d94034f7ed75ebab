//! A dial that is turned while a service runs: what is answered, published and marked stays the truth.

use crate::kit::{DIARY, Diary, page, write, written};
use futures_util::future::join_all;
use platform::broker::{Broker, Embedded, EmbeddedSettings};
use platform::dial::{Dial, FaultSettings};
use platform::fault::{FaultyBroker, FaultyStore, Site};
use platform::store::{Sqlite, Store};
use platform::telemetry::Tracer;
use platform::{Clock, Context, Error, Origin, Parts, Result, Running, Settings, Trace, params};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A diary whose ports have a dial, and both ports without it.
struct Dialed {
    dial: Arc<Dial>,
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    clock: Clock,
    ctx: Context,
}

impl Dialed {
    async fn open() -> Self {
        let clock = Clock::Virtual {
            start: tokio::time::Instant::now(),
            epoch_us: 1_767_225_600_000_000,
        };
        let dial = Arc::new(Dial::new(3));
        let store: Arc<dyn Store> = Arc::new(Sqlite::in_memory().unwrap());
        let broker = Embedded::in_memory(&EmbeddedSettings::new(vec![DIARY]), clock).unwrap();
        let broker: Arc<dyn Broker> = Arc::new(broker);
        let ctx = start(&dial, &store, &broker, clock).await;
        Self {
            dial,
            store,
            broker,
            clock,
            ctx,
        }
    }

    fn turn(&self, settings: FaultSettings) {
        self.dial.turn(settings).expect("settings in their range");
    }

    /// Writes `quantity` down on a page of its own and says so.
    async fn enter(&self, quantity: i64) -> Result<()> {
        let origin = Origin::request(Trace::new(Uuid::from_u128(1), 1));
        let entered = self.ctx.commit(origin, quantity, |quantity, tx, said| {
            Box::pin(async move {
                let page = page(u128::from(quantity.unsigned_abs()));
                write(tx, page, *quantity).await?;
                // Done twice it would be another event, which no fence keeps out.
                let sql = "select total from pages where id = $1";
                let total = tx.query(sql, params![page.0]).await?[0].get(0)?;
                said.push(written(page, total));
                Ok(())
            })
        });
        entered.await
    }

    async fn count(&self, what: &str) -> i64 {
        let tx = self.store.snapshot().await.unwrap();
        let rows = tx.query(&format!("select count(*) from {what}"), &[]).await;
        rows.unwrap()[0].get(0).unwrap()
    }

    async fn unpublished(&self) -> i64 {
        self.count("events where published_at_us is null").await
    }

    async fn tapped(&self) -> usize {
        self.broker.tap(0, 1_000).await.unwrap().len()
    }
}

async fn start(
    dial: &Arc<Dial>,
    store: &Arc<dyn Store>,
    broker: &Arc<dyn Broker>,
    clock: Clock,
) -> Context {
    let site: Arc<dyn Site> = Arc::clone(dial) as _;
    let ctx = Context::new(Parts {
        service: DIARY,
        store: Arc::new(FaultyStore::new(Arc::clone(store), Arc::clone(&site))),
        broker: Arc::new(FaultyBroker::new(Arc::clone(broker), site)),
        clock,
        seed: 1,
        dispatch: tracing::Dispatch::none(),
        tracer: Tracer::off(),
        settings: Settings::default(),
        planted: None,
    });
    Running::start(ctx.clone(), Arc::new(Diary)).await.unwrap();
    ctx
}

/// Time for everything that is on its way, and then some.
async fn a_while(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_whose_commit_is_unknown_is_not_run_again_and_never_called_refused() {
    let diary = Dialed::open().await;
    diary.turn(FaultSettings {
        store_error_rate: 1.0,
        ..FaultSettings::default()
    });
    let mut n = 0;
    for _ in 0..40 {
        let group = (1..=5).map(|k| diary.enter(n + k));
        for answer in join_all(group).await {
            let refused = matches!(answer, Ok(()) | Err(Error::Refused(_)));
            assert!(!refused, "{answer:?}");
        }
        n += 5;
    }
    diary.turn(FaultSettings::default());
    let fired = diary.dial.fired();
    assert!(
        fired.store_failed > 0 && fired.store_unknown > 0,
        "{fired:?}"
    );
    let kept = diary.count("pages").await;
    assert!((1..n).contains(&kept), "{kept} of {n} were kept");
    let twice = diary.count("pages where entries like '% % %'");
    assert_eq!(twice.await, 0, "written down twice");
    // What was kept was said, and its sweeper finds it although nobody knew.
    a_while(30).await;
    assert_eq!(diary.count("events").await, kept);
    assert_eq!(diary.unpublished().await, 0);
    diary.enter(n + 1).await.expect("the dial is back");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_not_marked_before_it_is_on_the_exchange() {
    let diary = Dialed::open().await;
    diary.turn(FaultSettings {
        delay_rate: 1.0,
        delay_ms: 8_000,
        ..FaultSettings::default()
    });
    diary.enter(1).await.unwrap();
    diary.turn(FaultSettings::default());
    diary.enter(2).await.unwrap();
    // Longer than the sweeper waits: it leaves what is on its way alone.
    a_while(6).await;
    assert_eq!((diary.tapped().await, diary.unpublished().await), (1, 1));
    a_while(3).await;
    assert_eq!((diary.tapped().await, diary.unpublished().await), (2, 0));
    assert_eq!(diary.dial.fired().delayed, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_when_the_service_dies_is_published_by_the_next_incarnation() {
    let diary = Dialed::open().await;
    diary.turn(FaultSettings {
        delay_rate: 1.0,
        delay_ms: 8_000,
        ..FaultSettings::default()
    });
    diary.enter(1).await.unwrap();
    a_while(1).await;
    diary.ctx.aborted().await;
    diary.turn(FaultSettings::default());
    start(&diary.dial, &diary.store, &diary.broker, diary.clock).await;
    a_while(20).await;
    assert_eq!((diary.tapped().await, diary.unpublished().await), (1, 0));
    assert_eq!(diary.dial.fired().delayed, 0, "it was never published late");
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_once_more_and_nobody_waits_for_it() {
    let diary = Dialed::open().await;
    diary.turn(FaultSettings {
        duplicate_rate: 1.0,
        ..FaultSettings::default()
    });
    diary.enter(1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(45)).await;
    assert_eq!((diary.tapped().await, diary.unpublished().await), (1, 0));
    a_while(1).await;
    assert_eq!(diary.tapped().await, 2);
    assert_eq!(diary.dial.fired().duplicated, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_holds_up_each_transaction_and_says_so_in_its_metrics() {
    let diary = Dialed::open().await;
    diary.turn(FaultSettings {
        store_slow_ms: 40,
        ..FaultSettings::default()
    });
    let began_us = diary.ctx.now_us();
    diary.enter(1).await.unwrap();
    assert!(diary.ctx.now_us() - began_us >= 40_000);
    assert!(diary.dial.fired().store_slowed > 0);
    let metrics = diary.ctx.metrics().text();
    let quick = "crashcart_store_begin_seconds_bucket{le=\"0.025\"} 0";
    assert!(metrics.contains(quick), "{metrics}");
}
