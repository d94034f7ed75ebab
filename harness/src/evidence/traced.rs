//! From a traced step to its row. What is about no order is not kept: the looks of clients, batches, products.

use super::read::{Reader, Result};
use super::rows::{Outcome, Service, SpanRow, Traced};
use super::{Answered, MessageNo, OrderNo, TraceNo};
use crate::telemetry::SpanLine;

/// The request that places an order.
const PLACE: &str = "POST /api/v1/orders";

impl Reader {
    /// Adds a traced step.
    ///
    /// # Errors
    /// When an id in it is none.
    pub fn span(&mut self, line: &SpanLine<'_>) -> Result<()> {
        self.example(line)?;
        self.asked(line);
        let Some(what) = what(line)? else {
            return Ok(());
        };
        // A request of which nobody knows what came of it names no order, and is the first of its trace all the same.
        if line.order.is_none() && line.name != PLACE {
            return Ok(());
        }
        let order = line.order;
        let row = SpanRow {
            trace: self.trace(&line.trace)?,
            order: order.map_or(OrderNo::NONE, |order| self.names().order(order)),
            message: line
                .message
                .map_or(MessageNo::NONE, |id| self.names().message(id)),
            what,
            service: Service::parse(&line.service),
            span: number(&line.span)?,
            parent: line.parent.as_deref().map_or(Ok(0), number)?,
            start_us: line.start_us,
            end_us: line.end_us,
        };
        self.evidence().spans.push(row);
        Ok(())
    }

    /// Notes that something of this trace was traced, if it stands as an example somewhere.
    fn example(&mut self, line: &SpanLine<'_>) -> Result<()> {
        let examples = &mut self.evidence().examples;
        if !examples.is_empty()
            && let Some(is_there) = examples.get_mut(&trace_id(&line.trace)?)
        {
            *is_there = true;
        }
        Ok(())
    }

    /// Notes a request that placed an order, or tried to.
    fn asked(&mut self, line: &SpanLine<'_>) {
        if let (PLACE, Some(status)) = (&*line.name, line.status) {
            let answered = Answered {
                at_us: line.end_us,
                took_us: line.end_us - line.start_us,
            };
            self.evidence()
                .asked
                .entry(status)
                .or_default()
                .push(answered);
        }
    }

    pub(super) fn trace(&mut self, id: &str) -> Result<TraceNo> {
        let id = trace_id(id)?;
        Ok(self.names().trace(id))
    }
}

fn what(line: &SpanLine<'_>) -> Result<Option<Traced>> {
    Ok(match (&*line.kind, line.outcome.as_deref()) {
        ("server", _) => line.status.map(Traced::Request),
        ("producer", _) => Some(Traced::Publish),
        ("client", _) => Some(Traced::Call),
        ("consumer", Some(outcome)) => Some(Traced::Process(match outcome {
            "applied" => Outcome::Applied,
            "duplicate" => Outcome::Duplicate,
            "rolled_back" | "refused" => Outcome::Failed,
            "unknown" => Outcome::Unknown,
            other => return Err(format!("there is no outcome {other:?}")),
        })),
        _ => None,
    })
}

fn trace_id(id: &str) -> Result<u128> {
    u128::from_str_radix(id, 16).map_err(|_| format!("{id:?} is no trace"))
}

fn number(id: &str) -> Result<u64> {
    u64::from_str_radix(id, 16).map_err(|_| format!("{id:?} is no span"))
}
