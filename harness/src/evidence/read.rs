//! From JSON lines to rows.

use super::lines::{DeadLine, InboxLine, LogLine, QueueLine, TapLine};
use super::rows::{
    Act, Applied, ChargeRow, Created, DeadRow, Did, End, Item, OrderRow, PaymentRow,
};
use super::rows::{ProductRow, QueueRow, ReservationRow, Said, Service, Span};
use super::{Evidence, KeyNo, MessageNo, Names, OrderNo, ProductNo, Source};
use crate::history::{Action, Operation, Outcome};
use contract::http::{Charge, Order, Payment, Product, Reservation};
use contract::{Cents, Event, EventType, Line, MessageId};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Display;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use uuid::Uuid;

/// Reads sources, line by line, into evidence.
#[derive(Debug, Default)]
pub struct Reader {
    evidence: Evidence,
    /// The place of the last message on the tap; without gaps nothing is missing.
    tapped: i64,
}

pub(super) type Result<T, E = String> = std::result::Result<T, E>;

impl Reader {
    /// The evidence that was read.
    pub fn finish(mut self) -> Evidence {
        let due = |did: &Did| (did.due_us, did.start_us);
        if !self.evidence.history.is_sorted_by_key(due) {
            self.evidence.history.sort_by_key(due);
        }
        let queues = &self.evidence.queues;
        let silent = Service::ALL
            .into_iter()
            .find(|service| !queues.contains_key(service));
        if let Some(service) = silent {
            self.miss(
                Source::Queues,
                format!("nothing is known of the queue of {}", service.as_str()),
            );
        }
        self.names().forget();
        self.evidence
    }

    /// Room for the lines of a source at once, instead of growing towards them. Best called for all sources first.
    pub fn reserve(&mut self, source: Source, lines: usize) {
        let Evidence {
            history,
            orders,
            reservations,
            payments,
            charges,
            said,
            tap,
            applied,
            steps,
            spans,
            ..
        } = &mut self.evidence;
        match source {
            Source::History => more(history, lines),
            Source::Orders => more(orders, lines),
            Source::Reservations => {
                more(reservations, lines);
                more(steps, lines);
            }
            Source::Payments => more(payments, lines),
            Source::Charges => more(charges, lines),
            Source::LogOrders | Source::LogProducts | Source::LogPayments => more(said, lines),
            Source::Tap => more(tap, lines),
            Source::InboxOrders | Source::InboxProducts | Source::InboxPayments => {
                more(applied, lines);
            }
            Source::Spans => more(spans, lines),
            Source::Products
            | Source::Queues
            | Source::DeadLetters
            | Source::Faults
            | Source::Metrics
            | Source::Shapes => {}
        }
        match source {
            Source::History => self.names().keys.reserve(lines),
            Source::Orders => self.names().orders.reserve(lines),
            Source::Payments => self.names().payments.reserve(lines),
            Source::LogOrders | Source::LogProducts | Source::LogPayments => {
                self.names().messages.reserve(lines);
            }
            _ => {}
        }
    }

    /// What is read so far, to be added to.
    pub const fn evidence(&mut self) -> &mut Evidence {
        &mut self.evidence
    }

    /// Notes that a source could not be read.
    pub fn miss(&mut self, source: Source, why: impl Into<String>) {
        self.evidence.missing.entry(source).or_insert(why.into());
    }

    /// Reads all lines of `text`. A line that cannot be read makes the source missing: what else is wrong with it,
    /// nobody can say.
    pub fn read(&mut self, source: Source, text: &str) {
        for (number, line) in (1..).zip(text.lines()) {
            self.read_line(source, number, line);
        }
    }

    /// Reads one line of a source.
    pub fn read_line(&mut self, source: Source, number: usize, line: &str) {
        if let Err(why) = self.line(source, line) {
            self.miss(source, format!("{} line {number}: {why}", source.file()));
        }
    }

    pub(super) fn names(&mut self) -> &mut Names {
        Arc::make_mut(&mut self.evidence.names)
    }

    fn line(&mut self, source: Source, line: &str) -> Result<()> {
        match source {
            Source::History => self.operation(parse(line)?),
            Source::Orders => self.order(&parse(line)?),
            Source::Products => self.product(&parse(line)?),
            Source::Reservations => self.reservation(&parse(line)?),
            Source::Payments => self.payment(&parse(line)?),
            Source::Charges => {
                self.charge(&parse(line)?);
                Ok(())
            }
            Source::LogOrders => self.event(Service::Orders, &parse(line)?),
            Source::LogProducts => self.event(Service::Products, &parse(line)?),
            Source::LogPayments => self.event(Service::Payments, &parse(line)?),
            Source::Tap => self.tapped(&parse(line)?),
            Source::InboxOrders => self.applied(Service::Orders, &parse(line)?),
            Source::InboxProducts => self.applied(Service::Products, &parse(line)?),
            Source::InboxPayments => self.applied(Service::Payments, &parse(line)?),
            Source::Queues => self.queue(&parse(line)?),
            Source::DeadLetters => self.dead(parse(line)?),
            Source::Faults => {
                self.evidence.faults.push(parse(line)?);
                Ok(())
            }
            Source::Metrics => self.scrape(&parse(line)?),
            Source::Spans => self.span(&parse(line)?),
            Source::Shapes => {
                self.shape(parse(line)?);
                Ok(())
            }
        }
    }

    /// Adds a client action.
    ///
    /// # Errors
    /// When a number in it is out of range.
    pub fn operation(&mut self, operation: Operation) -> Result<()> {
        let Operation {
            story,
            action,
            key,
            due_us,
            start_us,
            end_us,
            outcome,
        } = operation;
        let key = self.key(key.as_deref());
        let mut did = Did {
            story,
            act: Act::Place,
            end: End::Unknown,
            seen: None,
            version: 0,
            status: 0,
            key,
            order: OrderNo::NONE,
            items: Span::default(),
            due_us,
            start_us,
            end_us,
        };
        let mut product = ProductNo::NONE;
        match outcome {
            Outcome::Created { product_id } => {
                did.end = End::Ok;
                product = self.names().product(product_id.0);
            }
            Outcome::Ok {
                order_id,
                status,
                version,
            } => {
                did.end = End::Ok;
                did.order = self.names().order(order_id.0);
                did.seen = Some(status);
                did.version = count(version)?;
            }
            Outcome::Refused { status } => (did.end, did.status) = (End::Refused, status),
            Outcome::Unknown { .. } => {}
        }
        match action {
            Action::CreateProduct { price_cents, stock } => {
                did.act = Act::CreateProduct;
                if did.end != End::Refused {
                    self.evidence.created.push(Created {
                        product,
                        price: price_cents.get(),
                        stock,
                    });
                }
            }
            Action::Place { items } => did.items = self.items(&items)?,
            Action::PlaceBadly { .. } => did.act = Act::PlaceBadly,
            Action::Read { order_id } => {
                did.act = Act::Read;
                did.order = self.names().order(order_id.0);
            }
        }
        self.evidence.history.push(did);
        Ok(())
    }

    fn order(&mut self, order: &Order) -> Result<()> {
        let row = OrderRow {
            order: self.names().order(order.id.0),
            status: order.status,
            reason: order.reason,
            version: count(order.version)?,
            items: self.items(&order.items)?,
            key: self.key(order.idempotency_key.as_deref()),
            trace: self.trace(&order.trace_id)?,
            amount: order.amount_cents.map(Cents::get),
            created_us: order.created_at_us,
            settled_us: order.settled_at_us.unwrap_or(0),
        };
        self.evidence.orders.push(row);
        Ok(())
    }

    fn product(&mut self, product: &Product) -> Result<()> {
        let row = ProductRow {
            product: self.names().product(product.id.0),
            version: count(product.version)?,
            price: product.price_cents.get(),
            available: product.available,
            received: product.received,
        };
        self.evidence.products.push(row);
        Ok(())
    }

    fn reservation(&mut self, line: &Reservation) -> Result<()> {
        let row = ReservationRow {
            order: self.names().order(line.order_id.0),
            item: Item {
                product: self.names().product(line.product_id.0),
                quantity: count(line.quantity.get())?,
            },
            status: line.status,
            version: count(line.version)?,
            price: line.unit_price_cents.get(),
        };
        self.evidence.reservations.push(row);
        Ok(())
    }

    fn payment(&mut self, payment: &Payment) -> Result<()> {
        let row = PaymentRow {
            payment: self.names().payment(payment.id.0),
            order: self.names().order(payment.order_id.0),
            status: payment.status,
            reason: payment.reason,
            version: count(payment.version)?,
            amount: payment.amount_cents.get(),
        };
        self.evidence.payments.push(row);
        Ok(())
    }

    fn charge(&mut self, charge: &Charge) {
        let row = ChargeRow {
            payment: self.names().payment(charge.payment_id.0),
            order: self.names().order(charge.order_id.0),
            outcome: charge.outcome,
            amount: charge.amount_cents.get(),
            at_us: charge.at_us,
        };
        self.evidence.charges.push(row);
    }

    fn event(&mut self, service: Service, logged: &LogLine<'_>) -> Result<()> {
        let kind = event_type(&logged.kind)?;
        let event = Event::parse(kind, logged.data.get()).map_err(text)?;
        let about = self.about(&event)?;
        if event.entity().version != logged.version {
            return Err(format!(
                "version {} is {} in the data",
                logged.version,
                event.entity().version
            ));
        }
        let said = Said {
            id: self.names().message(logged.id.0),
            cause: self.message(logged.cause),
            digest: digest(kind.as_str(), logged.subject, logged.cause, logged.data),
            kind,
            service,
            version: count(logged.version)?,
            is_published: logged.published_at_us.is_some(),
            time_us: logged.time_us,
            order: about.order,
            payment: about.payment,
            lines: about.lines,
            reason: about.reason,
            amount: about.amount,
        };
        self.evidence.said.push(said);
        Ok(())
    }

    fn tapped(&mut self, line: &TapLine<'_>) -> Result<()> {
        if self.tapped == 0 && line.seq > 1 {
            return Err(format!(
                "the tap begins at place {}: what was before is not kept any more",
                line.seq
            ));
        }
        if line.seq != self.tapped + 1 {
            return Err(format!(
                "place {} follows {}: there is something missing",
                line.seq, self.tapped
            ));
        }
        self.tapped = line.seq;
        let message = &line.message;
        let kind = EventType::parse(&message.kind);
        let tapped = super::Tapped {
            id: self.names().message(message.id.0),
            digest: digest(
                &message.kind,
                message.subject,
                message.causeid,
                message.data,
            ),
            kind,
            source: Service::parse(&message.source),
        };
        self.evidence.tap.push(tapped);
        Ok(())
    }

    fn applied(&mut self, service: Service, line: &InboxLine) -> Result<()> {
        let id = self.names().message(line.message_id.0);
        let seen = u16::try_from(count(line.seen)?).unwrap_or(u16::MAX);
        let at_us = line.applied_at_us;
        self.evidence.applied.push(Applied {
            id,
            seen,
            service,
            at_us,
        });
        Ok(())
    }

    fn queue(&mut self, line: &QueueLine<'_>) -> Result<()> {
        let service = Service::parse(&line.queue)
            .ok_or_else(|| format!("there is no service {:?}", line.queue))?;
        let QueueLine {
            ready,
            unacked,
            retrying,
            dead,
            unpublished,
            ..
        } = *line;
        self.evidence.queues.insert(
            service,
            QueueRow {
                ready,
                unacked,
                retrying,
                dead,
                unpublished,
            },
        );
        Ok(())
    }

    fn dead(&mut self, line: DeadLine) -> Result<()> {
        let service = Service::parse(&line.queue)
            .ok_or_else(|| format!("there is no service {:?}", line.queue))?;
        let id = self.names().message(line.id.0);
        self.evidence.dead.push(DeadRow {
            id,
            service,
            attempts: line.attempts,
            reason: line.reason,
        });
        Ok(())
    }

    pub(super) fn items(&mut self, lines: &[Line]) -> Result<Span> {
        let mut items = Vec::with_capacity(lines.len());
        for line in lines {
            let product = self.names().product(line.product_id.0);
            items.push(Item {
                product,
                quantity: count(line.quantity.get())?,
            });
        }
        self.evidence.add_items(items).map_err(|why| why.0)
    }

    fn key(&mut self, key: Option<&str>) -> KeyNo {
        key.map_or(KeyNo::NONE, |key| self.names().keys.number(key))
    }

    fn message(&mut self, id: Option<MessageId>) -> MessageNo {
        id.map_or(MessageNo::NONE, |id| self.names().message(id.0))
    }
}

/// Room for `lines` more than there is room for now.
fn more<T>(rows: &mut Vec<T>, lines: usize) {
    rows.reserve_exact(rows.capacity() - rows.len() + lines);
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T> {
    serde_json::from_str(line).map_err(text)
}

fn event_type(kind: &str) -> Result<EventType> {
    EventType::parse(kind).ok_or_else(|| format!("there is no event type {kind:?}"))
}

/// Versions, quantities and counts are never negative, and fewer than four billion.
pub(super) fn count(number: i64) -> Result<u32> {
    u32::try_from(number).map_err(|_| format!("{number} is out of range"))
}

/// Equal for a message that was logged and the same message on the exchange. 32 bits: should two payloads share
/// them, one lie in four billion goes unseen; it can never accuse anybody.
fn digest(kind: &str, subject: Uuid, cause: Option<MessageId>, data: &RawValue) -> u32 {
    let mut hasher = DefaultHasher::new();
    (kind, subject, cause, data.get()).hash(&mut hasher);
    let hash = hasher.finish();
    u32::try_from(hash >> 32).unwrap_or(0)
}

fn text(error: impl Display) -> String {
    error.to_string()
}
