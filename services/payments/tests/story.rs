//! The story of payments alone, with the provider that it asks: whoever tells it plays products.

use axum::http::{Method, StatusCode};
use contract::events::{PaymentCreated, PaymentFailed, PaymentProcessed, ReservationCreated};
use contract::http::{ChargeOutcome, Payment, PaymentStatus};
use contract::{Cents, Event, EventType, Message, OrderId, PaymentId, Reason};
use payments::provider::{self, Provider, ProviderSettings, Simulated};
use payments::{NAME, Payments, payment};
use platform::stage::{Stage, play, reacts};
use platform::world::{Mischief, World};
use platform::{Context, Illegal, Service, Settings};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use uuid::Uuid;

platform::stories! {
    on_both {
        a_reservation_is_answered_by_a_payment_and_the_payment_by_its_charge,
        a_payment_under_the_minimum_fails_and_the_provider_is_not_asked,
        a_declined_charge_fails_the_payment,
        messages_that_come_twice_are_paid_once,
        a_payment_that_has_ended_is_not_ended_again_whoever_asks,
        nobody_is_charged_for_a_payment_that_is_not_in_the_table,
        a_second_payment_for_an_order_is_given_up_by_name_and_holds_nobody_up,
        a_dead_letter_can_be_replayed_and_discarded,
        no_answer_is_not_a_no_and_the_sweep_asks_again_under_the_same_key,
        a_payment_whose_hand_over_was_lost_in_a_crash_is_found_by_the_sweep,
    }
    in_virtual_time_only {
        payments_hears_exactly_what_it_reacts_to: "it asks the service itself, on a store of its own",
    }
}

const PATIENCE: Duration = Duration::from_secs(1);

async fn open(settings: ProviderSettings) -> (Stage, Simulated) {
    open_with(settings, Mischief::default()).await
}

/// Payments with its mischief, and a provider that is part of the world: it does not crash.
async fn open_with(settings: ProviderSettings, mischief: Mischief) -> (Stage, Simulated) {
    let world = World::new(1, vec![NAME], Settings::default());
    let only: Arc<OnceLock<Simulated>> = Arc::default();
    let kept = Arc::clone(&only);
    let make = move |ctx: &Context| -> Arc<dyn Service> {
        let provider = kept.get_or_init(|| Simulated::new(ctx, settings.clone()));
        Arc::new(provider.clone())
    };
    let well = Mischief::default();
    world.add(provider::NAME, well, Box::new(make)).await;
    let provider = only.get().unwrap().clone();
    let asked: Arc<dyn Provider> = Arc::new(provider.clone());
    let make = move |ctx: &Context| -> Arc<dyn Service> {
        Payments::new(ctx, Arc::clone(&asked), PATIENCE)
    };
    world.add(NAME, mischief, Box::new(make)).await;
    (Stage::new(world, NAME), provider)
}

fn deaf() -> ProviderSettings {
    ProviderSettings {
        lost_request_rate: 1.0,
        ..ProviderSettings::default()
    }
}

fn order(n: u128) -> OrderId {
    OrderId(Uuid::from_u128(n))
}

fn cents(cents: i64) -> Cents {
    cents.try_into().unwrap()
}

fn reserved(order_id: OrderId, amount_cents: i64) -> ReservationCreated {
    ReservationCreated {
        order_id,
        lines: Vec::new(),
        amount_cents: cents(amount_cents),
        version: 1,
    }
}

fn processed(order_id: OrderId, amount_cents: i64) -> Event {
    Event::from(PaymentProcessed {
        order_id,
        payment_id: PaymentId::of(order_id),
        amount_cents: cents(amount_cents),
        version: 2,
    })
}

fn failed(order_id: OrderId, amount_cents: i64, reason: Reason) -> Event {
    Event::from(PaymentFailed {
        order_id,
        payment_id: PaymentId::of(order_id),
        amount_cents: cents(amount_cents),
        reason,
        version: 2,
    })
}

fn event(answer: &Message) -> Event {
    answer.event().unwrap()
}

/// Where the one payment of an order stands.
async fn look(stage: &Stage, order_id: OrderId) -> Payment {
    let path = format!("/api/v1/payments/{}", PaymentId::of(order_id));
    let (_, body) = stage.ask(Method::GET, &path, None).await.unwrap();
    serde_json::from_value(body).unwrap()
}

async fn charges(stage: &Stage) -> Vec<Value> {
    stage.export_of(provider::NAME, "/api/v1/charges").await
}

/// An event of this type: all fields that there are, of which each type takes its own.
fn sample(kind: EventType) -> Event {
    let id = Uuid::from_u128(7);
    let data = json!({
        "orderId": id, "paymentId": id, "productId": id, "items": [], "lines": [], "amountCents": 100,
        "priceCents": 1, "reason": "declined", "name": "a record", "stock": 1, "quantity": 1,
        "availableAfter": 1, "version": 1,
    });
    Event::parse(kind, &data.to_string()).unwrap()
}

#[test]
fn a_payment_ends_once_and_only_if_it_is_there() {
    let there = PaymentStatus::ALL.iter().copied().map(Some);
    let endings = std::iter::once(Ok(())).chain(Reason::ALL.map(Err));
    for (state, ending) in std::iter::once(None)
        .chain(there)
        .flat_map(|state| endings.clone().map(move |ending| (state, ending)))
    {
        let (to, kind) = match ending {
            Ok(()) => (PaymentStatus::Processed, "payment.processed"),
            Err(_) => (PaymentStatus::Failed, "payment.failed"),
        };
        let found = payment::next(state, ending);
        if state == Some(PaymentStatus::Created) {
            assert_eq!(found, Ok(to), "{ending:?}");
            continue;
        }
        let state = state.map_or("not there", PaymentStatus::as_str);
        let expected = format!("a payment that is {state} cannot take {kind}");
        let illegal: Illegal = found.unwrap_err();
        assert_eq!(illegal.to_string(), expected);
    }
}

#[test]
fn the_providers_answer_is_the_ending_and_small_amounts_need_none() {
    assert_eq!(payment::ending(ChargeOutcome::Charged), Ok(()));
    assert_eq!(
        payment::ending(ChargeOutcome::Declined),
        Err(Reason::Declined)
    );
    assert_eq!(payment::admit(cents(99)), Err(Reason::UnderMinimum));
    assert_eq!(payment::admit(cents(100)), Ok(()));
}

async fn payments_hears_exactly_what_it_reacts_to() {
    let world = World::new(1, Vec::new(), Settings::default());
    let make = |ctx: &Context| -> Arc<dyn Service> {
        Arc::new(Simulated::new(ctx, ProviderSettings::default()))
    };
    let well = Mischief::default();
    let ctx = world.add(provider::NAME, well, Box::new(make)).await;
    let provider = Arc::new(Simulated::new(&ctx, ProviderSettings::default()));
    for &kind in EventType::ALL {
        let payments = Payments::new(&ctx, Arc::clone(&provider) as _, PATIENCE);
        let does = reacts(&*payments, sample(kind)).await;
        assert_eq!(payments.hears(kind), does, "{kind:?}");
    }
}

async fn a_reservation_is_answered_by_a_payment_and_the_payment_by_its_charge() {
    let (stage, _) = open(ProviderSettings::default()).await;
    let told = stage.tell(reserved(order(1), 900)).await;
    let created = stage.answer(&told).await;
    let expected = PaymentCreated {
        order_id: order(1),
        payment_id: PaymentId::of(order(1)),
        amount_cents: cents(900),
        version: 1,
    };
    assert_eq!(event(&created), Event::from(expected));
    let answer = stage.answer(&created).await;
    assert_eq!(event(&answer), processed(order(1), 900));

    let payment = look(&stage, order(1)).await;
    assert_eq!(
        (payment.status, payment.version),
        (PaymentStatus::Processed, 2)
    );
    let charges = charges(&stage).await;
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0]["key"], PaymentId::of(order(1)).to_string());
    assert_eq!(charges[0]["amountCents"], 900);
}

async fn a_payment_under_the_minimum_fails_and_the_provider_is_not_asked() {
    let (stage, _) = open(ProviderSettings::default()).await;
    let small = stage.tell(reserved(order(1), 99)).await;
    let enough = stage.tell(reserved(order(2), 100)).await;
    let answer = stage.answer(&stage.answer(&small).await).await;
    assert_eq!(event(&answer), failed(order(1), 99, Reason::UnderMinimum));
    let answer = stage.answer(&stage.answer(&enough).await).await;
    assert_eq!(event(&answer), processed(order(2), 100));
    let charges = charges(&stage).await;
    assert_eq!(charges.len(), 1);
    assert_eq!(charges[0]["orderId"], order(2).to_string());
}

async fn a_declined_charge_fails_the_payment() {
    let declines = ProviderSettings {
        decline_rate: 1.0,
        ..ProviderSettings::default()
    };
    let (stage, _) = open(declines).await;
    let told = stage.tell(reserved(order(1), 900)).await;
    let answer = stage.answer(&stage.answer(&told).await).await;
    assert_eq!(event(&answer), failed(order(1), 900, Reason::Declined));
    let payment = look(&stage, order(1)).await;
    assert_eq!(
        (payment.status, payment.reason),
        (PaymentStatus::Failed, Some(Reason::Declined))
    );
}

async fn messages_that_come_twice_are_paid_once() {
    let (stage, _) = open(ProviderSettings::default()).await;
    let told = stage.tell(reserved(order(1), 900)).await;
    let created = stage.answer(&told).await;
    let ended = stage.answer(&created).await;
    stage.publish(&[told.clone(), created.clone()]).await;
    // The second of these is the one that was just published here.
    let twice = [created.clone(), created.clone()];
    assert_eq!(stage.answers(&told).await, twice);
    assert_eq!(stage.answers(&created).await, [ended]);
    let seen = (stage.seen(&told).await, stage.seen(&created).await);
    assert_eq!(seen, (2, 2));
    assert_eq!(charges(&stage).await.len(), 1);
}

async fn a_payment_that_has_ended_is_not_ended_again_whoever_asks() {
    let (stage, _) = open(ProviderSettings::default()).await;
    let told = stage.tell(reserved(order(1), 900)).await;
    let created = stage.answer(&told).await;
    stage.answer(&created).await;
    // Not a repeat: another message, as from a replica that has been asleep.
    let asked = stage.tell(event(&created)).await;
    assert!(stage.answers(&asked).await.is_empty());
    assert_eq!(look(&stage, order(1)).await.version, 2);
    assert_eq!(charges(&stage).await.len(), 1);
}

async fn nobody_is_charged_for_a_payment_that_is_not_in_the_table() {
    let (stage, _) = open(ProviderSettings::default()).await;
    let foreign = PaymentCreated {
        order_id: order(1),
        payment_id: PaymentId::of(order(1)),
        amount_cents: cents(900),
        version: 1,
    };
    let told = stage.tell(foreign).await;
    assert!(stage.answers(&told).await.is_empty());
    assert!(charges(&stage).await.is_empty());
    let dead = stage.dead().await;
    assert_eq!(
        dead[0]["reason"],
        "a payment that is not there cannot take payment.created"
    );
}

async fn a_second_payment_for_an_order_is_given_up_by_name_and_holds_nobody_up() {
    let (stage, _) = open(ProviderSettings::default()).await;
    let told = stage.tell(reserved(order(1), 900)).await;
    stage.answer(&stage.answer(&told).await).await;
    let impossible = stage.message(reserved(order(1), 950));
    let good = stage.message(reserved(order(2), 900));
    stage.publish(&[impossible.clone(), good.clone()]).await;
    stage.answer(&stage.answer(&good).await).await;
    assert!(stage.dead().await.is_empty(), "it still has chances");

    assert!(stage.answers(&impossible).await.is_empty());
    let dead = stage.dead().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["id"], impossible.id.to_string());
    assert_eq!(dead[0]["attempts"], Settings::default().retries_max);
    assert_eq!(
        dead[0]["reason"],
        "a payment that is processed cannot take reservation.created"
    );
    let seen = (stage.seen(&impossible).await, stage.seen(&good).await);
    assert_eq!(seen, (0, 1));
    assert_eq!(look(&stage, order(1)).await.amount_cents, cents(900));
}

async fn a_dead_letter_can_be_replayed_and_discarded() {
    let (stage, provider) = open(deaf()).await;
    let told = stage.tell(reserved(order(1), 900)).await;
    stage.answer(&told).await;
    let impossible = stage.tell(reserved(order(1), 900)).await;
    stage.at_rest().await;
    let reason = |state| format!("a payment that is {state} cannot take reservation.created");
    assert_eq!(stage.dead().await[0]["reason"], reason("created"));
    provider.set(ProviderSettings::default());
    let created = stage.answer(&told).await;
    stage.answer(&created).await;

    assert_eq!(stage.replay(&impossible).await, StatusCode::NO_CONTENT);
    assert!(stage.dead().await.is_empty(), "it is on its way again");
    stage.at_rest().await;
    assert_eq!(stage.dead().await[0]["reason"], reason("processed"));
    assert_eq!(stage.discard(&impossible).await, StatusCode::NO_CONTENT);
    assert!(stage.dead().await.is_empty());
    assert_eq!(stage.discard(&impossible).await, StatusCode::NOT_FOUND);
}

async fn no_answer_is_not_a_no_and_the_sweep_asks_again_under_the_same_key() {
    let hoarse = ProviderSettings {
        lost_answer_rate: 1.0,
        ..ProviderSettings::default()
    };
    let (stage, provider) = open(hoarse).await;
    let told = stage.tell(reserved(order(1), 900)).await;
    let created = stage.answer(&told).await;
    assert!(stage.answers(&created).await.is_empty());
    assert_eq!(look(&stage, order(1)).await.status, PaymentStatus::Created);
    provider.set(ProviderSettings::default());
    let answer = stage.answer(&created).await;
    assert_eq!(event(&answer), processed(order(1), 900));
    assert_eq!(charges(&stage).await.len(), 1);
}

async fn a_payment_whose_hand_over_was_lost_in_a_crash_is_found_by_the_sweep() {
    let (stage, provider) = open(deaf()).await;
    let told = stage.tell(reserved(order(1), 900)).await;
    let created = stage.answer(&told).await;
    while stage.seen(&created).await == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // From here on only the charger's memory knows that somebody must ask; nobody will deliver it again.
    stage.world().crash(NAME).await;
    provider.set(ProviderSettings::default());
    stage.world().start(NAME).await;
    let answer = stage.answer(&created).await;
    assert_eq!(event(&answer), processed(order(1), 900));
    assert_eq!(stage.seen(&created).await, 1);
}

// In virtual time only: where a crash lands is counted in port calls, and only there each run has the same ones.
#[test]
fn wherever_payments_crashes_the_order_is_charged_once_in_its_trace() {
    let passages = play(pay_and_crash(None));
    assert!(passages > 50, "a payment passes many port calls");
    for passage in 1..=passages {
        play(pay_and_crash(Some(passage)));
    }
}

/// Pays one order, with a crash at the given passage of a port call; returns how many passages there were.
async fn pay_and_crash(crash_at: Option<u64>) -> u64 {
    let mischief = Mischief {
        crash_at,
        ..Mischief::default()
    };
    let (stage, _) = open_with(ProviderSettings::default(), mischief).await;
    let told = stage.tell(reserved(order(1), 900)).await;
    let created = stage.answer(&told).await;
    let ended = stage.answer(&created).await;
    assert_eq!(event(&ended), processed(order(1), 900), "{crash_at:?}");
    stage.at_rest().await;
    let passages = stage.world().passed(NAME);
    // A crash between confirm and mark repeats a message, and never says another one.
    for (cause, said) in [(&told, &created), (&created, &ended)] {
        let answers = stage.answers(cause).await;
        assert!(answers.iter().all(|answer| answer == said), "{crash_at:?}");
    }
    assert_eq!(look(&stage, order(1)).await.version, 2, "{crash_at:?}");
    assert_eq!(charges(&stage).await.len(), 1, "{crash_at:?}");
    passages
}
