//! Every event survives its way over the wire, and what cannot be understood says why.

use contract::events::{OrderFinished, ProductRestocked};
use contract::{
    Cents, Event, EventType, Line, Malformed, Message, MessageId, OrderId, ProductId, Quantity,
    Reason, ReservedLine,
};
use proptest::prelude::*;
use uuid::Uuid;

fn cents() -> impl Strategy<Value = Cents> {
    (0..=Cents::MAX.get()).prop_map(|cents| Cents::try_from(cents).unwrap())
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (1..=Quantity::MAX).prop_map(|units| Quantity::try_from(units).unwrap())
}

fn reserved() -> impl Strategy<Value = Vec<ReservedLine>> {
    let line = (
        any::<u128>(),
        quantity(),
        cents(),
        any::<i64>(),
        any::<i64>(),
    )
        .prop_map(
            |(id, quantity, unit_price_cents, available_after, product_version)| ReservedLine {
                product_id: ProductId(Uuid::from_u128(id)),
                quantity,
                unit_price_cents,
                available_after,
                product_version,
            },
        );
    prop::collection::vec(line, 0..4)
}

/// Any event: all fields that there are, of which each type takes its own.
fn event() -> impl Strategy<Value = Event> {
    let ids = (any::<u128>(), any::<u128>(), any::<i64>());
    let reason = prop::sample::select(Reason::ALL.to_vec());
    let kind = prop::sample::select(EventType::ALL.to_vec());
    (kind, ids, (cents(), quantity()), reserved(), reason, ".*").prop_map(
        |(kind, (order, other, n), (amount, quantity), lines, reason, name)| {
            let (order_id, other_id) = (Uuid::from_u128(order), Uuid::from_u128(other));
            let line = Line {
                product_id: ProductId(other_id),
                quantity,
            };
            let json = serde_json::json!({
                "orderId": order_id, "paymentId": other_id, "productId": other_id, "items": [line],
                "lines": lines, "amountCents": amount, "priceCents": amount, "reason": reason,
                "name": name, "stock": n, "quantity": n, "availableAfter": n, "version": n,
            });
            Event::parse(kind, &json.to_string()).unwrap()
        },
    )
}

fn envelope(event: &Event) -> Message {
    Message {
        id: MessageId(Uuid::from_u128(1)),
        source: "orders".to_owned(),
        kind: event.kind().as_str().to_owned(),
        subject: event.subject(),
        time_us: 1_780_000_000_123_456,
        cause: Some(MessageId(Uuid::from_u128(2))),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        tracestate: None,
        data: event.data(),
    }
}

proptest! {
    #[test]
    fn every_event_survives_a_round_trip(event in event()) {
        let sent = envelope(&event);
        let received = Message::from_json(&sent.to_json().unwrap()).unwrap();
        prop_assert_eq!(&received, &sent);
        prop_assert_eq!(received.event().unwrap(), event);
    }

    #[test]
    fn unknown_fields_are_tolerated(event in event()) {
        let mut json: serde_json::Value = serde_json::from_str(&envelope(&event).to_json().unwrap()).unwrap();
        json["newattribute"] = "from a later version".into();
        json["data"]["newField"] = serde_json::json!({ "deep": [1, 2] });
        let received = Message::from_json(&json.to_string()).unwrap();
        prop_assert_eq!(received.event().unwrap(), event);
    }

    #[test]
    fn a_message_with_a_field_missing_or_of_another_type_is_a_typed_error(event in event(), pick in any::<prop::sample::Index>()) {
        let message = envelope(&event);
        let data: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&message.data).unwrap();
        let field = data.keys().nth(pick.index(data.len())).unwrap().clone();
        let (mut missing, mut retyped) = (data.clone(), data);
        missing.remove(&field);
        retyped.insert(field, serde_json::json!({ "not": "this" }));
        for broken in [missing, retyped] {
            let broken = Message { data: serde_json::to_string(&broken).unwrap(), ..message.clone() };
            let is_data = matches!(broken.event(), Err(Malformed::Data { kind, .. }) if kind == event.kind());
            prop_assert!(is_data);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        prop_assert!(Message::from_json(&text).is_err());
    }
}

#[test]
fn a_message_is_cloudevents_with_these_attributes() {
    let event = Event::from(OrderFinished {
        order_id: OrderId(Uuid::from_u128(9)),
        amount_cents: Cents::try_from(1234).unwrap(),
        version: 2,
    });
    let json: serde_json::Value =
        serde_json::from_str(&envelope(&event).to_json().unwrap()).unwrap();
    let expected = serde_json::json!({
        "specversion": "1.0",
        "id": "00000000-0000-0000-0000-000000000001",
        "source": "orders",
        "type": "order.finished",
        "subject": "00000000-0000-0000-0000-000000000009",
        "time": "2026-05-28T20:26:40.123456Z",
        "datacontenttype": "application/json",
        "causeid": "00000000-0000-0000-0000-000000000002",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "data": { "orderId": "00000000-0000-0000-0000-000000000009", "amountCents": 1234, "version": 2 },
    });
    assert_eq!(json, expected);
}

#[test]
fn each_kind_of_malformed_message_is_told_apart() {
    let good: serde_json::Value = serde_json::from_str(
        &envelope(
            &ProductRestocked {
                product_id: ProductId(Uuid::nil()),
                quantity: 1,
                available_after: 1,
                version: 2,
            }
            .into(),
        )
        .to_json()
        .unwrap(),
    )
    .unwrap();
    let with = |field: &str, value: &str| {
        let mut json = good.clone();
        json[field] = value.into();
        Message::from_json(&json.to_string())
    };
    assert!(matches!(
        Message::from_json("{"),
        Err(Malformed::Envelope(_))
    ));
    assert!(matches!(with("specversion", "0.3"), Err(Malformed::Version(v)) if v == "0.3"));
    assert!(matches!(with("time", "yesterday"), Err(Malformed::Time(t)) if t == "yesterday"));
    assert!(matches!(with("id", "7"), Err(Malformed::Envelope(_))));
    let unknown = with("type", "order.teleported").unwrap();
    assert!(matches!(unknown.event(), Err(Malformed::Type(kind)) if kind == "order.teleported"));
}
