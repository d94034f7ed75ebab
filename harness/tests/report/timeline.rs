//! The story of one order across all services.

use crate::kit::{Scene, fault, finished, order};
use harness::evidence::{Source, View};
use harness::report::timeline;
use insta::assert_snapshot;

const COLUMNS: usize = 120;

fn told(scene: &Scene) -> String {
    let evidence = scene.evidence();
    let text = timeline(
        &View::new(&evidence),
        order(),
        Some("cf733dab67f546c78d975014acf42b6d"),
    );
    let longest = text.lines().map(|line| line.chars().count()).max();
    assert!(longest.is_some_and(|longest| longest <= COLUMNS), "{text}");
    text
}

#[test]
fn an_order_that_was_charged_twice_is_told_with_the_fault_that_was_on() {
    let scene = finished().line(Source::Charges, r#"{"key":"again","paymentId":"$y","orderId":"$o","amountCents":374700,"outcome":"charged","atUs":@21}"#);
    let scene = fault(scene, "store-slow", -50, Some(25));
    let scene = fault(scene, "delays", 200, Some(400));
    assert_snapshot!(told(&scene), @r"
          order  01a1fece-c3e7-7b75-9d09-5cb6120aaf44, of the story reread
             ms  client          orders: order        products: reservation  payments: payment  provider
            0.0  POST 3 units
            3.0                  created
            6.0  201
            9.0                                       created 3 units
           14.0                                                              created 374 700 ¢
           19.0                                                                                 charged 374 700 ¢
           20.0                                                                                 charged 374 700 ¢
           21.0                                                              processed 374 700 ¢
           25.0                                       consumed 374 700 ¢
           29.0                  finished 374 700 ¢
           39.0  GET
           40.0  200 finished v2
     in the end  order finished, reservation consumed, payment processed
    faults then  store-slow at payments (second 2.4 to 2.5)
          trace  cf733dab67f546c78d975014acf42b6d
    ");
}

#[test]
fn an_order_that_is_stuck_shows_where_and_that_nobody_ended_the_fault() {
    let scene = Scene::default()
        .line(Source::History, r#"{"story":"happy","action":"place","items":[{"productId":"$p","quantity":1}],"key":"k","dueUs":@0,"startUs":@0,"endUs":@6,"outcome":{"ok":{"orderId":"$o","status":"created","version":1}}}"#)
        .line(Source::History, r#"{"story":"happy","action":"place","items":[{"productId":"$p","quantity":1}],"key":"k","dueUs":@9,"startUs":@9,"endUs":@5009,"outcome":{"unknown":{"why":"no answer in time"}}}"#)
        .line(Source::Orders, r#"{"id":"$o","status":"created","version":1,"items":[{"productId":"$p","quantity":1}],"amountCents":null,"reason":null,"createdAtUs":@4,"settledAtUs":null,"traceId":"cf733dab67f546c78d975014acf42b6d","idempotencyKey":"k"}"#)
        .logged(Source::LogOrders, 1, "order.created", 4, (r#"{"orderId":"$o","items":[{"productId":"$p","quantity":1}],"version":1}"#, false));
    assert_snapshot!(told(&fault(scene, "crash", 3, None)), @r"
          order  01a1fece-c3e7-7b75-9d09-5cb6120aaf44, of the story happy
             ms  client          orders: order        products: reservation  payments: payment  provider
            0.0  POST 1 unit
            4.0                  created, unpublished
            6.0  201
            9.0  POST 1 unit
         5009.0  no answer
     in the end  order created, reservation none, payment none
    faults then  crash at payments (second 2.5 and on)
          trace  cf733dab67f546c78d975014acf42b6d
    ");
}

#[test]
fn amounts_and_reasons_of_the_longest_kind_stay_whole_and_within_the_page() {
    let scene = Scene::default()
        .line(Source::History, r#"{"story":"price-edge","action":"place","items":[{"productId":"$p","quantity":1000}],"key":"k","dueUs":@0,"startUs":@0,"endUs":@123456,"outcome":{"ok":{"orderId":"$o","status":"created","version":1}}}"#)
        .event(Source::LogOrders, 1, "order.created", 4, r#"{"orderId":"$o","items":[{"productId":"$p","quantity":1000}],"version":1}"#)
        .event(Source::LogPayments, 2, "payment.created", 9, r#"{"orderId":"$o","paymentId":"$y","amountCents":1000001765975,"version":1}"#)
        .line(Source::Charges, r#"{"key":"$y","paymentId":"$y","orderId":"$o","amountCents":1000001765975,"outcome":"declined","atUs":@20}"#)
        .event(Source::LogPayments, 3, "payment.failed", 21, r#"{"orderId":"$o","paymentId":"$y","amountCents":1000001765975,"reason":"declined","version":2}"#)
        .event(Source::LogOrders, 4, "order.canceled", 30, r#"{"orderId":"$o","amountCents":1000001765975,"reason":"amount_too_large","version":2}"#);
    assert_snapshot!(told(&scene), @r"
          order  01a1fece-c3e7-7b75-9d09-5cb6120aaf44, of the story price-edge
             ms  client          orders: order        products: reservation  payments: payment  provider
            0.0  POST 1 000 units
            4.0                  created
            9.0                                                              created 1 000 001 765 975 ¢
           20.0                                                                                 declined 1 000 001 765 975 ¢
           21.0                                                              failed declined
           30.0                  canceled amount_too_large
       123456.0  201
     in the end  order none, reservation none, payment none
    faults then  none
          trace  cf733dab67f546c78d975014acf42b6d
    ");
}

#[test]
fn a_row_that_is_too_long_for_its_column_begins_further_left() {
    let scene = Scene::default().line(Source::Charges, r#"{"key":"$y","paymentId":"$y","orderId":"$o","amountCents":1000000000000000,"outcome":"declined","atUs":@20}"#);
    let text = told(&scene);
    assert!(
        text.contains(" declined 1 000 000 000 000 000 ¢\n"),
        "{text}"
    );
}

#[test]
fn of_an_order_that_was_read_again_and_again_the_beginning_and_the_end_are_told() {
    let mut scene = finished();
    for at in 50..150 {
        scene = scene.line(Source::History, &format!(r#"{{"story":"reread","action":"read","orderId":"$o","key":null,"dueUs":@{at},"startUs":@{at},"endUs":@{at},"outcome":{{"ok":{{"orderId":"$o","status":"finished","version":2}}}}}}"#));
    }
    let text = told(&scene);
    assert!(text.lines().count() < 50, "{text}");
    for part in [
        "…  171 more",
        "finished 374 700 ¢",
        "148.0  200 finished v2",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn an_order_that_nobody_knows_has_no_story() {
    let evidence = Scene::default().evidence();
    assert_eq!(timeline(&View::new(&evidence), order(), None), "");
}
