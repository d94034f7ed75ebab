//! The checks are proved: each sees the corruption that it is there for, and knows when it does not know.

use contract::http::{
    Charge, ChargeOutcome, Order, OrderStatus, Payment, PaymentStatus, Product, Reservation,
    ReservationStatus,
};
use contract::{Cents, Line, OrderId, PaymentId, ProductId, Quantity, Reason};
use harness::check::{Verdict, judge, overall};
use harness::evidence::{Evidence, Operation, Outcome, Source, Unreadable};
use uuid::Uuid;

const AGREEMENT: &str = "S1 agreement";
const STOCK: &str = "S2 stock conserved";
const MONEY: &str = "S9 money";
const DURABLE: &str = "S12 acknowledged is durable";

fn cents(cents: i64) -> Cents {
    Cents::try_from(cents).unwrap()
}

/// How an order of the good recording ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Finished,
    Declined,
    OutOfStock,
}

impl End {
    const fn reason(self) -> Option<Reason> {
        match self {
            Self::Finished => None,
            Self::Declined => Some(Reason::Declined),
            Self::OutOfStock => Some(Reason::OutOfStock),
        }
    }
}

/// A recording of three orders that ended as they should, two of each product.
fn good() -> Evidence {
    let product = ProductId(Uuid::from_u128(500));
    let mut evidence = Evidence {
        history: Ok(Vec::new()),
        orders: Ok(Vec::new()),
        products: Ok(vec![Product {
            id: product,
            name: "a record".to_owned(),
            price_cents: cents(700),
            available: 8,
            received: 10,
            version: 4,
        }]),
        reservations: Ok(Vec::new()),
        payments: Ok(Vec::new()),
        charges: Ok(Vec::new()),
    };
    for (n, end) in [(1, End::Finished), (2, End::Declined), (3, End::OutOfStock)] {
        record(
            &mut evidence,
            n,
            end,
            Line {
                product_id: product,
                quantity: Quantity::try_from(2).unwrap(),
            },
        );
    }
    evidence
}

fn record(evidence: &mut Evidence, n: u128, end: End, line: Line) {
    let (order_id, payment_id) = (
        OrderId(Uuid::from_u128(n)),
        PaymentId(Uuid::from_u128(n + 100)),
    );
    let finished = end == End::Finished;
    let key = format!("key-{n}");
    let operation = Operation {
        key: key.clone(),
        items: vec![line],
        outcome: Outcome::Ok(order_id),
    };
    evidence.history.as_mut().unwrap().push(operation);
    evidence.orders.as_mut().unwrap().push(Order {
        id: order_id,
        status: if finished {
            OrderStatus::Finished
        } else {
            OrderStatus::Canceled
        },
        version: 2,
        items: vec![line],
        amount_cents: Some(cents(if end == End::OutOfStock { 0 } else { 1_400 })),
        reason: end.reason(),
        created_at_us: 1,
        settled_at_us: Some(2),
        trace_id: "t".to_owned(),
        idempotency_key: Some(key),
    });
    if end == End::OutOfStock {
        return;
    }
    evidence.reservations.as_mut().unwrap().push(Reservation {
        order_id,
        product_id: line.product_id,
        quantity: line.quantity,
        unit_price_cents: cents(700),
        status: if finished {
            ReservationStatus::Consumed
        } else {
            ReservationStatus::Canceled
        },
        version: 2,
    });
    evidence.payments.as_mut().unwrap().push(Payment {
        id: payment_id,
        order_id,
        amount_cents: cents(1_400),
        status: if finished {
            PaymentStatus::Processed
        } else {
            PaymentStatus::Failed
        },
        reason: (!finished).then_some(Reason::Declined),
        version: 2,
    });
    evidence.charges.as_mut().unwrap().push(Charge {
        key: payment_id.to_string(),
        payment_id,
        order_id,
        amount_cents: cents(1_400),
        outcome: if finished {
            ChargeOutcome::Charged
        } else {
            ChargeOutcome::Declined
        },
        at_us: 1,
    });
}

/// The checks that do not say valid after `corrupt`, with what they say.
fn after(corrupt: impl FnOnce(&mut Evidence)) -> Vec<(&'static str, Verdict)> {
    let mut evidence = good();
    corrupt(&mut evidence);
    let findings = judge(&evidence).into_iter();
    findings
        .filter(|f| f.verdict != Verdict::Valid)
        .map(|f| (f.check, f.verdict))
        .collect()
}

/// Drops one row of a source.
fn cut<T>(source: &mut Source<T>, row: usize) {
    source.as_mut().unwrap().remove(row);
}

/// The checks that object to `corrupt`.
fn invalid(corrupt: impl FnOnce(&mut Evidence)) -> Vec<&'static str> {
    after(corrupt)
        .into_iter()
        .filter(|(_, verdict)| *verdict == Verdict::Invalid)
        .map(|(check, _)| check)
        .collect()
}

#[test]
fn a_good_recording_is_valid_and_says_how_much_it_looked_at() {
    let findings = judge(&good());
    let looked: Vec<(&str, usize)> = findings.iter().map(|f| (f.check, f.evaluated)).collect();
    assert_eq!(
        looked,
        [(AGREEMENT, 3), (STOCK, 1), (MONEY, 5), (DURABLE, 3)]
    );
    assert_eq!(overall(&findings), Verdict::Valid);
}

#[test]
fn sagas_that_end_in_two_ways_or_in_none_are_seen() {
    let order = |status| move |e: &mut Evidence| e.orders.as_mut().unwrap()[0].status = status;
    assert!(invalid(order(OrderStatus::Created)).contains(&AGREEMENT));
    assert!(invalid(order(OrderStatus::Canceled)).contains(&AGREEMENT));
    assert!(
        invalid(|e| e.reservations.as_mut().unwrap()[0].status = ReservationStatus::Created)
            .contains(&AGREEMENT)
    );
    assert!(
        invalid(|e| e.payments.as_mut().unwrap()[0].status = PaymentStatus::Created)
            .contains(&AGREEMENT)
    );
    assert!(invalid(|e| cut(&mut e.orders, 0)).contains(&AGREEMENT));
    assert!(invalid(|e| cut(&mut e.reservations, 0)).contains(&AGREEMENT));
    assert!(invalid(|e| cut(&mut e.payments, 0)).contains(&AGREEMENT));
    let twice = |e: &mut Evidence| {
        let again = Payment {
            id: PaymentId(Uuid::from_u128(999)),
            ..e.payments.as_ref().unwrap()[0].clone()
        };
        e.payments.as_mut().unwrap().push(again);
    };
    assert!(invalid(twice).contains(&AGREEMENT));
}

#[test]
fn units_that_appear_or_disappear_are_seen() {
    assert_eq!(
        invalid(|e| e.products.as_mut().unwrap()[0].available += 1),
        [STOCK]
    );
    assert_eq!(
        invalid(|e| e.products.as_mut().unwrap()[0].received += 1),
        [STOCK]
    );
    let more = |e: &mut Evidence| {
        e.reservations.as_mut().unwrap()[0].quantity = Quantity::try_from(3).unwrap();
    };
    assert_eq!(invalid(more), [STOCK]);
    let oversold = |e: &mut Evidence| {
        let product = &mut e.products.as_mut().unwrap()[0];
        (product.available, product.received) = (-1, 1);
    };
    assert_eq!(invalid(oversold), [STOCK]);
    let nowhere =
        |e: &mut Evidence| e.reservations.as_mut().unwrap()[0].product_id = ProductId(Uuid::nil());
    assert_eq!(invalid(nowhere), [STOCK]);
}

#[test]
fn money_that_was_taken_twice_wrongly_or_not_at_all_is_seen() {
    let charged = |e: &mut Evidence| e.charges.as_ref().unwrap()[0].clone();
    let twice = move |e: &mut Evidence| {
        let again = Charge {
            key: "another key".to_owned(),
            ..charged(e)
        };
        e.charges.as_mut().unwrap().push(again);
    };
    assert_eq!(invalid(twice), [MONEY]);
    assert_eq!(
        invalid(|e| e.charges.as_mut().unwrap()[0].amount_cents = cents(1_401)),
        [MONEY]
    );
    assert_eq!(invalid(|e| cut(&mut e.charges, 0)), [MONEY]);
    assert_eq!(
        invalid(|e| e.charges.as_mut().unwrap()[1].outcome = ChargeOutcome::Charged),
        [MONEY]
    );
    assert_eq!(
        invalid(|e| e.charges.as_mut().unwrap()[0].payment_id = PaymentId(Uuid::nil())),
        [MONEY]
    );
    assert_eq!(
        invalid(|e| e.orders.as_mut().unwrap()[0].amount_cents = Some(cents(1))),
        [MONEY]
    );
}

#[test]
fn an_acknowledged_order_that_is_not_there_or_is_another_one_is_seen() {
    assert!(invalid(|e| cut(&mut e.orders, 2)).contains(&DURABLE));
    let other = |e: &mut Evidence| {
        e.orders.as_mut().unwrap()[2].items[0].quantity = Quantity::try_from(9).unwrap();
    };
    assert_eq!(invalid(other), [DURABLE]);
}

#[test]
fn an_order_that_nobody_was_told_of_is_no_violation() {
    let unknown = |e: &mut Evidence| {
        e.history.as_mut().unwrap()[0].outcome = Outcome::Unknown("cut off".to_owned());
        e.history.as_mut().unwrap()[1].outcome = Outcome::Refused(503);
    };
    assert_eq!(after(unknown), []);
}

#[test]
fn without_a_source_exactly_the_checks_that_need_it_are_unknown() {
    let gone = || Unreadable("gone".to_owned());
    let unknown = |checks: &[&'static str]| {
        checks
            .iter()
            .map(|c| (*c, Verdict::Unknown))
            .collect::<Vec<_>>()
    };
    assert_eq!(after(|e| e.history = Err(gone())), unknown(&[DURABLE]));
    assert_eq!(
        after(|e| e.orders = Err(gone())),
        unknown(&[AGREEMENT, MONEY, DURABLE])
    );
    assert_eq!(after(|e| e.products = Err(gone())), unknown(&[STOCK]));
    assert_eq!(
        after(|e| e.reservations = Err(gone())),
        unknown(&[AGREEMENT, STOCK])
    );
    assert_eq!(
        after(|e| e.payments = Err(gone())),
        unknown(&[AGREEMENT, MONEY])
    );
    assert_eq!(after(|e| e.charges = Err(gone())), unknown(&[MONEY]));
}

#[test]
fn nothing_to_look_at_is_unknown_and_a_violation_outweighs_it() {
    let empty = Evidence {
        history: Ok(Vec::new()),
        orders: Ok(Vec::new()),
        products: Ok(Vec::new()),
        reservations: Ok(Vec::new()),
        payments: Ok(Vec::new()),
        charges: Ok(Vec::new()),
    };
    let findings = judge(&empty);
    assert!(
        findings
            .iter()
            .all(|finding| finding.verdict == Verdict::Unknown)
    );
    assert_eq!(overall(&findings), Verdict::Unknown);
    let mut half = good();
    half.charges = Err(Unreadable("gone".to_owned()));
    half.products.as_mut().unwrap()[0].available += 1;
    assert_eq!(overall(&judge(&half)), Verdict::Invalid);
}
