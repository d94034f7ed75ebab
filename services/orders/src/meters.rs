//! What orders counts: sagas, because it begins and ends them.

use crate::sql::Settlement;
use contract::http::OrderStatus;
use contract::{Bug, Reason};
use platform::metrics::{Counters, Level, Timing};
use platform::{Context, Trace, planted};

/// Sagas, counted and measured. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Meters {
    started: Counters,
    settled: Counters,
    took: Timing,
    pub(crate) in_flight: Level,
    pub(crate) oldest: Level,
}

impl Meters {
    pub(crate) fn new(ctx: &Context) -> Self {
        let metrics = ctx.metrics();
        let meters = Self {
            started: metrics.counters("crashcart_sagas_started_total", "Sagas begun.", &[]),
            settled: metrics.counters(
                "crashcart_sagas_settled_total",
                "Sagas that came to their end.",
                &["outcome", "reason"],
            ),
            took: metrics.timing(
                "crashcart_saga_duration_seconds",
                "From the accepted request to the settled saga.",
                &["outcome"],
            ),
            in_flight: metrics.level(
                "crashcart_sagas_in_flight",
                "Sagas begun and not at their end; each replica tells the same, from the database.",
            ),
            oldest: metrics.level(
                "crashcart_saga_oldest_age_seconds",
                "Age of the oldest saga that is not at its end.",
            ),
        };
        // Whoever asks how fast something grows must see where it began.
        let _ = meters.started.with_label_values::<&str>(&[]);
        let canceled = Reason::ALL.iter().map(|reason| reason.as_str());
        let canceled = canceled.map(|reason| [OrderStatus::Canceled.as_str(), reason]);
        let finished = [OrderStatus::Finished.as_str(), ""];
        for labels in canceled.chain([finished]) {
            let _ = meters.settled.with_label_values(&labels);
        }
        meters
    }

    /// A saga was begun.
    pub(crate) fn started(&self) {
        self.started.with_label_values::<&str>(&[]).inc();
    }

    /// A saga that was begun at `created_us` came to its end, in this step.
    pub(crate) fn settled(
        &self,
        ctx: &Context,
        end: &Settlement,
        (created_us, step): (i64, &Trace),
    ) {
        let (outcome, reason) = (end.status.as_str(), end.reason.map_or("", Reason::as_str));
        if planted!(ctx, Bug::OrderAsLabel) {
            let order = end.order_id.to_string();
            self.settled.with_label_values(&[outcome, &order]).inc();
        } else {
            self.settled.with_label_values(&[outcome, reason]).inc();
        }
        let step = Some(step).filter(|_| ctx.tracer().is_on());
        self.took
            .observe(&[outcome], end.at_us - created_us, (step, end.at_us));
    }
}
