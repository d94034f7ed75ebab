//! The slow checker on prices, quantities and cents.

use crate::reference::{Wrong, orders};
use crate::told::{Event, Order, Step, Told, Units};
use contract::http::{ChargeOutcome, OrderStatus, PaymentStatus};
use contract::{EventType, MINIMUM_CENTS, Reason};
use uuid::Uuid;

/// What the catalogue says of a price: its creator before the table.
fn price(told: &Told, product: Uuid) -> Option<i64> {
    let offered = told
        .offered
        .iter()
        .rev()
        .find(|offered| offered.product == Some(product))
        .map(|row| row.price);
    let row = told
        .products
        .iter()
        .rev()
        .find(|row| row.id == product)
        .map(|row| row.price);
    offered.or(row)
}

/// P = failed ⇔ c < 100, unless the provider declined; and the reason says which of the two it was.
pub fn price_rule(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for payment in told
        .payments
        .iter()
        .filter(|payment| payment.status != PaymentStatus::Created)
    {
        let mut c = Some(0);
        match told.orders.iter().find(|order| order.id == payment.order) {
            Some(order) => {
                for (product, units) in &order.items {
                    c = c.and_then(|sum: i64| {
                        Some(sum + price(told, *product)? * i64::from(*units))
                    });
                }
            }
            None => c = None,
        }
        let c = c.unwrap_or(payment.amount);
        let is_declined = told.charges.iter().any(|charge| {
            charge.outcome == ChargeOutcome::Declined
                && charge.payment == payment.id
                && charge.order == payment.order
        });
        let is_right = match payment.reason {
            None => payment.status == PaymentStatus::Processed && c >= MINIMUM_CENTS,
            Some(Reason::UnderMinimum) => {
                payment.status == PaymentStatus::Failed && c < MINIMUM_CENTS
            }
            Some(Reason::Declined) => payment.status == PaymentStatus::Failed && is_declined,
            Some(_) => false,
        };
        if !is_right {
            wrong.push(format!(
                "{} is {} for {c}",
                payment.id,
                payment.status.as_str()
            ));
        }
    }
    wrong
}

/// Σ processed = Σ finished amounts; exactly one charge per processed payment, of its amount and its order, none for
/// any other.
pub fn money(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for payment in &told.payments {
        let taken = told.charges.iter().filter(|charge| {
            charge.payment == payment.id
                && charge.order == payment.order
                && charge.outcome == ChargeOutcome::Charged
        });
        let amounts: Vec<i64> = taken.map(|charge| charge.amount).collect();
        let due = if payment.status == PaymentStatus::Processed {
            vec![payment.amount]
        } else {
            Vec::new()
        };
        if amounts != due {
            wrong.push(format!(
                "{} was charged {amounts:?}, due is {due:?}",
                payment.id
            ));
        }
    }
    for charge in told
        .charges
        .iter()
        .filter(|charge| charge.outcome == ChargeOutcome::Charged)
    {
        if !told
            .payments
            .iter()
            .any(|payment| payment.id == charge.payment && payment.order == charge.order)
        {
            wrong.push(format!(
                "a charge for {}, which is no payment",
                charge.payment
            ));
        }
    }
    for id in orders(told) {
        let paid = told
            .payments
            .iter()
            .filter(|row| row.order == id && row.status == PaymentStatus::Processed);
        let paid: Vec<i64> = paid.map(|row| row.amount).collect();
        let order = told.orders.iter().find(|order| order.id == id);
        let finished = order.filter(|order| order.status == OrderStatus::Finished);
        let due = finished.map(|order| order.amount.unwrap_or(0));
        if paid.iter().sum::<i64>() != due.unwrap_or(0) || paid.is_empty() != due.is_none() {
            wrong.push(format!("{id} paid {paid:?}, due is {due:?}"));
        }
    }
    wrong
}

fn sorted(mut units: Vec<Units>) -> Vec<Units> {
    units.sort_unstable();
    units
}

/// The units and the cents that some places tell of.
#[derive(Debug, Default)]
struct Amounts {
    q: Vec<Vec<Units>>,
    c: Vec<i64>,
}

impl Amounts {
    fn add(&mut self, event: &Event) {
        match event.kind {
            EventType::OrderCreated => self.q.push(sorted(event.items.clone())),
            EventType::ReservationFailed => {}
            EventType::ReservationCreated | EventType::ReservationCanceled => {
                let steps = event.steps.iter();
                self.q.push(sorted(
                    steps
                        .clone()
                        .map(|step| (step.product, step.quantity))
                        .collect(),
                ));
                self.c.push(
                    steps
                        .map(|step| step.price * i64::from(step.quantity))
                        .sum(),
                );
                self.c.push(event.amount);
            }
            _ => self.c.push(event.amount),
        }
    }

    fn agree(&self) -> bool {
        self.q.iter().all(|other| *other == self.q[0])
            && self.c.iter().all(|other| *other == self.c[0])
    }
}

/// q and c are equal in order, reservation, payment and every event, and come from the catalogue.
pub fn amounts(told: &Told) -> Wrong {
    let mut wrong = Wrong::new();
    for id in orders(told) {
        let order: Option<&Order> = told.orders.iter().find(|order| order.id == id);
        let said: Vec<&Event> = told
            .log
            .iter()
            .filter(|event| event.order == Some(id))
            .collect();
        if order.is_none() && said.is_empty() {
            continue;
        }
        let mut all = Amounts::default();
        all.q.extend(order.map(|order| sorted(order.items.clone())));
        all.c.extend(order.and_then(|order| order.amount));
        let rows: Vec<_> = told
            .reservations
            .iter()
            .filter(|row| row.order == id)
            .collect();
        if !rows.is_empty() {
            all.q
                .push(sorted(rows.iter().map(|row| row.units).collect()));
            all.c.push(
                rows.iter()
                    .map(|row| row.price * i64::from(row.units.1))
                    .sum(),
            );
        }
        all.c.extend(
            told.payments
                .iter()
                .filter(|row| row.order == id)
                .map(|row| row.amount),
        );
        for event in &said {
            all.add(event);
            let is_off =
                |step: &Step| price(told, step.product).is_some_and(|price| price != step.price);
            if event.steps.iter().any(is_off) {
                wrong.push(format!("{id} has a price that is not in the catalogue"));
            }
        }
        if !said
            .iter()
            .any(|event| event.kind == EventType::ReservationCreated)
        {
            all.c.push(0);
        }
        if !all.agree() {
            wrong.push(format!("{id}: {all:?}"));
        }
    }
    for product in &told.products {
        if price(told, product.id) != Some(product.price) {
            wrong.push(format!("{} does not cost what it was to cost", product.id));
        }
    }
    wrong
}
