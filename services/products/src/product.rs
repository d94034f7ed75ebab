//! A reservation is created, then consumed or canceled; and why an order cannot be reserved.

use contract::http::{Product, ReservationStatus};
use contract::{Cents, Event, Line, Reason};
use platform::Illegal;

/// Where a reservation stands after `event`; `state` is none while there is no such reservation.
///
/// # Errors
/// [`Illegal`] when the saga has no such step.
pub fn next(state: Option<ReservationStatus>, event: &Event) -> Result<ReservationStatus, Illegal> {
    match (state, event) {
        (None, Event::OrderCreated(_)) => Ok(ReservationStatus::Created),
        (Some(ReservationStatus::Created), Event::PaymentProcessed(_)) => {
            Ok(ReservationStatus::Consumed)
        }
        (Some(ReservationStatus::Created), Event::PaymentFailed(_)) => {
            Ok(ReservationStatus::Canceled)
        }
        (state, event) => Err(Illegal {
            entity: "a reservation",
            state: state.map_or("not there", ReservationStatus::as_str),
            event: event.kind().as_str(),
        }),
    }
}

/// Why `lines` could not be reserved, given the products among them that exist.
pub fn refusal(lines: &[Line], products: &[Product]) -> Reason {
    let find = |line: &Line| {
        products
            .iter()
            .find(|product| product.id == line.product_id)
    };
    if lines.iter().any(|line| find(line).is_none()) {
        return Reason::UnknownProduct;
    }
    let amount = lines.iter().try_fold(Cents::ZERO, |sum, line| {
        find(line)?
            .price_cents
            .times(line.quantity)
            .and_then(|cents| sum.plus(cents))
    });
    if amount.is_none() {
        Reason::AmountTooLarge
    } else {
        Reason::OutOfStock
    }
}
