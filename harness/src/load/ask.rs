//! What is asked of the orders service, and what its answers mean: ok, refused, unknown.

use crate::client::{Answer, Call, Client, ClientError};
use crate::history::Outcome;
use bytes::Bytes;
use contract::Line;
use contract::http::{Order, OrderAccepted, OrderItem, PlaceOrder};
use hyper::StatusCode;
use serde::Deserialize;

/// Where orders are placed.
pub(super) const ORDERS: &str = "/api/v1/orders";

/// Places an order of `items` under `key`.
pub async fn place(client: &Client, key: &str, items: &[Line]) -> Outcome {
    let call = Call::post(ORDERS, body(items), key);
    placed(client.send(call).await)
}

/// The body that orders `items`.
pub(super) fn body(items: &[Line]) -> Bytes {
    let item = |line: &Line| OrderItem {
        product_id: line.product_id,
        quantity: line.quantity,
    };
    let order = PlaceOrder {
        items: items.iter().map(item).collect(),
    };
    Bytes::from(serde_json::to_vec(&order).expect("ids and numbers are JSON"))
}

/// What the answer to a placed order means.
pub(super) fn placed(answer: Result<Answer, ClientError>) -> Outcome {
    meant(answer, StatusCode::CREATED, |body| {
        serde_json::from_slice(body).map(|accepted: OrderAccepted| Outcome::Ok {
            order_id: accepted.id,
            status: accepted.status,
            version: accepted.version,
        })
    })
}

/// What the answer to a look at an order means.
pub(super) fn seen(answer: Result<Answer, ClientError>) -> Outcome {
    meant(answer, StatusCode::OK, |body| {
        serde_json::from_slice(body).map(|order: Order| Outcome::Ok {
            order_id: order.id,
            status: order.status,
            version: order.version,
        })
    })
}

fn meant(
    answer: Result<Answer, ClientError>,
    good: StatusCode,
    read: impl Fn(&[u8]) -> serde_json::Result<Outcome>,
) -> Outcome {
    match answer {
        Ok((status, body)) if status == good => {
            read(&body).unwrap_or_else(|error| Outcome::Unknown {
                why: format!("a {status} that cannot be read: {error}"),
            })
        }
        Ok((status, body)) if is_refusal(status, &body) => Outcome::Refused {
            status: status.as_u16(),
        },
        Ok((status, _)) => Outcome::Unknown {
            why: status.to_string(),
        },
        Err(ClientError::NotSent { .. }) => Outcome::Refused { status: 0 },
        Err(error @ ClientError::Unknown(_)) => Outcome::Unknown {
            why: error.to_string(),
        },
    }
}

/// The 503s that say that nothing was done. Every other 5xx may have happened.
const NOT_DONE: [&str; 2] = ["/problems/overloaded", "/problems/outage"];

/// Whether an answer says that what was asked is certainly not done by this request. What an earlier one under the
/// same key has done is another question.
pub fn is_refusal(status: StatusCode, body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Problem {
        r#type: String,
    }
    if status != StatusCode::SERVICE_UNAVAILABLE {
        return status.is_client_error();
    }
    serde_json::from_slice(body).is_ok_and(|problem: Problem| {
        let mut kinds = NOT_DONE.iter();
        kinds.any(|kind| problem.r#type.ends_with(kind))
    })
}
