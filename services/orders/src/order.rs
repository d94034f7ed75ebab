//! An order is created, then finished or canceled, and then never changes again.

use contract::Event;
use contract::http::OrderStatus;
use platform::Illegal;

/// Where an order stands after `event`; `state` is none while there is no such order.
///
/// # Errors
/// [`Illegal`] when the saga has no such step.
pub fn next(state: Option<OrderStatus>, event: &Event) -> Result<OrderStatus, Illegal> {
    match (state, event) {
        (None, Event::OrderCreated(_)) => Ok(OrderStatus::Created),
        (Some(OrderStatus::Created), Event::ReservationConsumed(_)) => Ok(OrderStatus::Finished),
        (
            Some(OrderStatus::Created),
            Event::ReservationFailed(_) | Event::ReservationCanceled(_),
        ) => Ok(OrderStatus::Canceled),
        (state, event) => Err(Illegal {
            entity: "an order",
            state: state.map_or("not there", OrderStatus::as_str),
            event: event.kind().as_str(),
        }),
    }
}
