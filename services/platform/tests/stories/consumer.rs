//! Messages that are applied together, and those among them that cannot be.

use crate::kit::{DIARY, diary, page, read, restocked};
use axum::http::{Method, StatusCode};
use contract::events::ReservationFailed;
use contract::{Message, OrderId, Reason};
use platform::Settings;
use platform::stage::{Stage, play};
use platform::world::Mischief;
use std::time::Duration;
use uuid::Uuid;

platform::stories! {
    on_both {
        what_waits_in_the_queue_is_applied_in_one_transaction,
        of_a_batch_only_the_guilty_message_pays,
        a_message_that_can_be_applied_later_is_applied_later,
        a_message_that_stands_twice_in_a_batch_is_applied_once,
        data_that_does_not_fit_a_type_that_is_heard_is_given_up_at_once,
        what_nobody_wants_is_let_pass_even_if_it_cannot_be_read,
        a_loop_that_panics_makes_the_service_not_ready,
    }
    for_each_number {
        messages_of_one_subject_are_applied_in_the_order_of_their_delivery: 1..=20, on_engines 2;
    }
}

async fn open() -> Stage {
    diary(1, Settings::default(), Mischief::default()).await.0
}

/// What the service said in answer to `told`, without its repeats.
async fn answers(stage: &Stage, told: &Message) -> usize {
    stage.answers(told).await.len()
}

/// The counter or gauge `name` of the service.
async fn metric(stage: &Stage, name: &str) -> u64 {
    let request = axum::http::Request::builder().uri("/metrics");
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = stage.world().request(DIARY, request).await.unwrap();
    let bytes = axum::body::to_bytes(response.into_body(), 1_000_000).await;
    let text = String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.map_or(0, |value| value.parse().unwrap())
}

async fn what_waits_in_the_queue_is_applied_in_one_transaction() {
    let stage = open().await;
    let batch: Vec<Message> = (1..=100)
        .map(|n| stage.message(restocked(page(n), 5)))
        .collect();
    let before = metric(&stage, "crashcart_batch_size_count").await;
    stage.publish(&batch).await;
    stage.at_rest().await;
    for (n, told) in (1..).zip(&batch) {
        assert_eq!(read(stage.world(), page(n)).await, [5]);
        assert_eq!(stage.seen(told).await, 1);
    }
    let batches = metric(&stage, "crashcart_batch_size_count").await - before;
    // A network hands over a hundred messages bit by bit.
    let most = if stage.world().is_real() { 30 } else { 1 };
    assert!((1..=most).contains(&batches), "{batches}");
}

async fn of_a_batch_only_the_guilty_message_pays() {
    let stage = open().await;
    // Below zero the fence of the table holds: no try can ever succeed.
    let batch: Vec<Message> = (1..=20)
        .map(|n| stage.message(restocked(page(n), if n == 13 { -1 } else { 5 })))
        .collect();
    let guilty = batch[12].clone();
    stage.publish(&batch).await;
    stage.answer(&batch[19]).await;
    assert!(stage.dead().await.is_empty(), "it still has chances");
    stage.at_rest().await;

    for (n, told) in (1..).zip(&batch).filter(|(_, told)| **told != guilty) {
        assert_eq!(read(stage.world(), page(n)).await, [5], "{n}");
        assert_eq!(
            (stage.seen(told).await, answers(&stage, told).await),
            (1, 1)
        );
    }
    assert!(read(stage.world(), page(13)).await.is_empty());
    let seen = stage.seen(&guilty).await;
    assert_eq!((seen, answers(&stage, &guilty).await), (0, 0));

    let Settings {
        tries_max,
        retries_max,
        ..
    } = Settings::default();
    let dead = stage.dead().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["id"], guilty.id.to_string());
    assert_eq!(dead[0]["attempts"], retries_max);
    let reason = dead[0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("a constraint refused the statement"),
        "{reason}"
    );
    // Each of its deliveries was tried `tries_max` times on its own, and put off, but for the last.
    let retries = metric(&stage, "crashcart_retries_total").await;
    let expected = (retries_max + 1) * (tries_max - 1) + retries_max;
    assert_eq!(retries, u64::from(expected));
}

async fn a_message_that_can_be_applied_later_is_applied_later() {
    let stage = open().await;
    let early = stage.tell(restocked(page(1), -3)).await;
    let told = stage.tell(restocked(page(1), 5)).await;
    stage.answer(&told).await;
    stage.answer(&early).await;
    assert_eq!(read(stage.world(), page(1)).await, [5, -3]);
    stage.at_rest().await;
    assert!(stage.dead().await.is_empty());
    assert_eq!(stage.seen(&early).await, 1);
}

async fn messages_of_one_subject_are_applied_in_the_order_of_their_delivery(seed: u64) {
    // Each port call takes its own time, so reactions to different subjects overtake each other.
    let mischief = Mischief {
        dawdle: true,
        ..Mischief::default()
    };
    let (stage, _) = diary(seed, Settings::default(), mischief).await;
    let entries = (1..=30).flat_map(|quantity| [0, 1, 2].map(|n| (page(n), quantity)));
    let batch: Vec<Message> = entries
        .map(|(page, quantity)| stage.message(restocked(page, quantity)))
        .collect();
    stage.publish(&batch).await;
    stage.at_rest().await;
    let expected: Vec<i64> = (1..=30).collect();
    for n in 0..3 {
        assert_eq!(read(stage.world(), page(n)).await, expected, "seed {seed}");
    }
}

async fn a_message_that_stands_twice_in_a_batch_is_applied_once() {
    let stage = open().await;
    let told = stage.message(restocked(page(1), 5));
    let other = stage.message(restocked(page(1), 6));
    let batch = [&told, &other, &told, &told].map(Clone::clone);
    stage.publish(&batch).await;
    assert_eq!(answers(&stage, &told).await, 1);
    assert_eq!(read(stage.world(), page(1)).await, [5, 6]);
    assert_eq!((stage.seen(&told).await, stage.seen(&other).await), (3, 1));
    let absorbed = metric(&stage, "crashcart_duplicates_absorbed_total").await;
    assert_eq!(absorbed, 2);
}

async fn data_that_does_not_fit_a_type_that_is_heard_is_given_up_at_once() {
    let stage = open().await;
    let malformed = Message {
        data: r#"{"productId":"no id"}"#.to_owned(),
        ..stage.message(restocked(page(1), 5))
    };
    let good = stage.message(restocked(page(1), 6));
    stage.publish(&[malformed.clone(), good.clone()]).await;
    stage.answer(&good).await;
    let dead = stage.dead().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (&dead[0]["id"], &dead[0]["attempts"]),
        (&malformed.id.to_string().into(), &0.into())
    );
    let reason = dead[0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("data of product.restocked does not fit"),
        "{reason}"
    );
    assert_eq!(dead[0]["message"]["data"]["productId"], "no id");
    assert_eq!(metric(&stage, "crashcart_retries_total").await, 0);
    assert_eq!(read(stage.world(), page(1)).await, [6]);
}

async fn what_nobody_wants_is_let_pass_even_if_it_cannot_be_read() {
    let stage = open().await;
    let unwanted = stage.message(ReservationFailed {
        order_id: OrderId(Uuid::from_u128(1)),
        reason: Reason::OutOfStock,
        version: 0,
    });
    let unreadable = Message {
        data: "{}".to_owned(),
        ..stage.message(unwanted.event().unwrap())
    };
    let unknown = Message {
        kind: "product.teleported".to_owned(),
        ..stage.message(restocked(page(1), 5))
    };
    let passing = [unwanted, unreadable, unknown];
    stage.publish(&passing).await;
    stage.at_rest().await;
    for told in &passing {
        assert_eq!(stage.seen(told).await, 0, "no place in the inbox");
    }
    assert!(stage.dead().await.is_empty());
}

// In virtual time only: where a crash lands is counted in port calls, and only there each run has the same ones.
#[test]
fn wherever_the_service_crashes_each_message_is_applied_once() {
    let passages = play(tell_and_crash(None));
    for passage in 1..=passages {
        play(tell_and_crash(Some(passage)));
    }
}

/// Five messages with a guilty one among them, and a crash at the given passage of a port call; returns how many
/// passages there were.
async fn tell_and_crash(crash_at: Option<u64>) -> u64 {
    let mischief = Mischief {
        crash_at,
        ..Mischief::default()
    };
    let settings = Settings {
        retry_after: Duration::from_millis(10),
        ..Settings::default()
    };
    let (stage, _) = diary(1, settings, mischief).await;
    let batch: Vec<Message> = (1..=5)
        .map(|n| stage.message(restocked(page(n), if n == 3 { -1 } else { 5 })))
        .collect();
    stage.publish(&batch).await;
    stage.at_rest().await;
    let passages = stage.world().passed(DIARY);
    for (n, told) in (1..).zip(&batch) {
        let guilty = n == 3;
        let written = read(stage.world(), page(n)).await;
        assert_eq!(written.len(), usize::from(!guilty), "{crash_at:?}: {n}");
        let said = answers(&stage, told).await > 0;
        assert_eq!(said, !guilty, "{crash_at:?}: {n}");
    }
    assert_eq!(stage.dead().await.len(), 1, "{crash_at:?}");
    passages
}

async fn a_loop_that_panics_makes_the_service_not_ready() {
    let (stage, ctx) = diary(99, Settings::default(), Mischief::default()).await;
    let ready = || stage.ask(Method::GET, "/ready", None);
    stage.at_rest().await;
    assert_eq!(ready().await.unwrap().0, StatusCode::OK);
    ctx.spawn_loop("doomed", async {
        panic!("as in a reaction that has a bug")
    });
    stage.at_rest().await;
    let (status, view) = ready().await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&view["ready"], &view["loops"]),
        (&false.into(), &false.into())
    );
    assert!(stage.world().log().contains("a loop ended"));
}
