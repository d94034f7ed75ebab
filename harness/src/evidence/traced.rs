//! From a traced step to its row. What is about no order is not kept: the looks of clients, batches, products.

use super::read::{Reader, Result};
use super::rows::{Outcome, Service, SpanRow, Traced};
use super::{MessageNo, TraceNo};
use crate::telemetry::SpanLine;

impl Reader {
    /// Adds a traced step.
    ///
    /// # Errors
    /// When an id in it is none.
    pub fn span(&mut self, line: &SpanLine<'_>) -> Result<()> {
        let (Some(order), Some(what)) = (line.order, what(line)?) else {
            return Ok(());
        };
        let row = SpanRow {
            trace: self.trace(&line.trace)?,
            order: self.names().order(order),
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

    pub(super) fn trace(&mut self, id: &str) -> Result<TraceNo> {
        let id = u128::from_str_radix(id, 16).map_err(|_| format!("{id:?} is no trace"))?;
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

fn number(id: &str) -> Result<u64> {
    u64::from_str_radix(id, 16).map_err(|_| format!("{id:?} is no span"))
}
