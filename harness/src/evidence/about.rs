//! From events to what they tell: the order, the payment, the lines, the cents.

use super::read::{Reader, Result, count};
use super::rows::{Span, Step};
use super::{OrderNo, PaymentNo};
use contract::{Event, Reason, ReservedLine};
use uuid::Uuid;

/// What an event tells, apart from its envelope.
pub(super) struct About {
    pub(super) order: OrderNo,
    pub(super) payment: PaymentNo,
    pub(super) lines: Span,
    pub(super) reason: Option<Reason>,
    pub(super) amount: i64,
}

impl Reader {
    pub(super) fn about(&mut self, event: &Event) -> Result<About> {
        let mut about = About {
            order: self.names().order_of(event),
            payment: PaymentNo::NONE,
            lines: Span::default(),
            reason: None,
            amount: 0,
        };
        match event {
            Event::OrderCreated(e) => about.lines = self.items(&e.items)?,
            Event::OrderFinished(e) => about.amount = e.amount_cents.get(),
            Event::OrderCanceled(e) => {
                (about.amount, about.reason) = (e.amount_cents.get(), Some(e.reason));
            }
            Event::ReservationCreated(e) => {
                about.lines = self.steps(&e.lines)?;
                about.amount = e.amount_cents.get();
            }
            Event::ReservationFailed(e) => about.reason = Some(e.reason),
            Event::ReservationConsumed(e) => about.amount = e.amount_cents.get(),
            Event::ReservationCanceled(e) => {
                about.lines = self.steps(&e.lines)?;
                (about.amount, about.reason) = (e.amount_cents.get(), Some(e.reason));
            }
            Event::PaymentCreated(e) => {
                about.payment = self.names().payment(e.payment_id.0);
                about.amount = e.amount_cents.get();
            }
            Event::PaymentProcessed(e) => {
                about.payment = self.names().payment(e.payment_id.0);
                about.amount = e.amount_cents.get();
            }
            Event::PaymentFailed(e) => {
                about.payment = self.names().payment(e.payment_id.0);
                (about.amount, about.reason) = (e.amount_cents.get(), Some(e.reason));
            }
            Event::ProductCreated(e) => {
                about.lines = self.stock_step(
                    e.product_id.0,
                    e.stock,
                    e.version,
                    e.price_cents.get(),
                    e.stock,
                )?;
            }
            Event::ProductRestocked(e) => {
                about.lines =
                    self.stock_step(e.product_id.0, e.quantity, e.version, 0, e.available_after)?;
            }
        }
        Ok(about)
    }

    fn stock_step(
        &mut self,
        id: Uuid,
        quantity: i64,
        version: i64,
        price: i64,
        available_after: i64,
    ) -> Result<Span> {
        let product = self.names().product(id);
        let step = Step {
            product,
            quantity: count(quantity)?,
            version: count(version)?,
            price,
            available_after,
        };
        self.evidence().add_steps([step]).map_err(|why| why.0)
    }

    fn steps(&mut self, lines: &[ReservedLine]) -> Result<Span> {
        let mut steps = Vec::with_capacity(lines.len());
        for line in lines {
            steps.push(Step {
                product: self.names().product(line.product_id.0),
                quantity: count(line.quantity.get())?,
                version: count(line.product_version)?,
                price: line.unit_price_cents.get(),
                available_after: line.available_after,
            });
        }
        self.evidence().add_steps(steps).map_err(|why| why.0)
    }
}

impl super::Names {
    /// The order that an event is about; none for those about products.
    fn order_of(&mut self, event: &Event) -> OrderNo {
        match event {
            Event::ProductCreated(_) | Event::ProductRestocked(_) => OrderNo::NONE,
            Event::OrderCreated(_)
            | Event::OrderFinished(_)
            | Event::OrderCanceled(_)
            | Event::ReservationCreated(_)
            | Event::ReservationFailed(_)
            | Event::ReservationConsumed(_)
            | Event::ReservationCanceled(_)
            | Event::PaymentCreated(_)
            | Event::PaymentProcessed(_)
            | Event::PaymentFailed(_) => self.order(event.subject()),
        }
    }
}
