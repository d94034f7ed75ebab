//! How the simulated provider behaves: latency, declines, lost requests and lost answers.

use contract::Cents;
use platform::http::Problem;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, LogNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The 99th percentile of the standard normal distribution.
const Z99: f64 = 2.326_347_874;
/// The longest latency that can be asked for.
const LATENCY_MS_MAX: f64 = 60_000.0;

/// How the provider behaves. Latency is log-normal; the rates are shares of all requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// Half of the answers take less than this many milliseconds; 0 for no latency at all.
    pub latency_ms_p50: f64,
    /// All but one in a hundred take less than this many milliseconds.
    pub latency_ms_p99: f64,
    /// The share of payments that are declined, 0 to 1.
    pub decline_rate: f64,
    /// Payments of exactly these amounts are declined.
    pub decline_amounts_cents: Vec<Cents>,
    /// The share of requests that are lost on their way in: no charge, no answer.
    pub lost_request_rate: f64,
    /// The share of answers that are lost on their way out: a charge, but no answer.
    pub lost_answer_rate: f64,
}

impl Default for ProviderSettings {
    fn default() -> Self {
        Self {
            latency_ms_p50: 2.0,
            latency_ms_p99: 20.0,
            decline_rate: 0.0,
            decline_amounts_cents: Vec::new(),
            lost_request_rate: 0.0,
            lost_answer_rate: 0.0,
        }
    }
}

/// What will happen to one request.
pub(super) struct Mood {
    pub(super) latency: Duration,
    pub(super) declines: bool,
    pub(super) loses_request: bool,
    pub(super) loses_answer: bool,
}

impl ProviderSettings {
    /// # Errors
    /// 422 with the field that is out of its range.
    pub(super) fn check(&self) -> Result<(), Problem> {
        let Self {
            latency_ms_p50: p50,
            latency_ms_p99: p99,
            ..
        } = *self;
        if !(0.0..=LATENCY_MS_MAX).contains(&p50) {
            return Err(Problem::invalid(
                "latencyMsP50",
                format!("must be between 0 and {LATENCY_MS_MAX}"),
            ));
        }
        if !(p50..=LATENCY_MS_MAX).contains(&p99) {
            return Err(Problem::invalid(
                "latencyMsP99",
                format!("must be between latencyMsP50 and {LATENCY_MS_MAX}"),
            ));
        }
        for (field, rate) in [
            ("declineRate", self.decline_rate),
            ("lostRequestRate", self.lost_request_rate),
            ("lostAnswerRate", self.lost_answer_rate),
        ] {
            if !(0.0..=1.0).contains(&rate) {
                return Err(Problem::invalid(field, "must be between 0 and 1"));
            }
        }
        if self.decline_amounts_cents.len() > 1_000 {
            return Err(Problem::invalid(
                "declineAmountsCents",
                "must have at most 1000 amounts",
            ));
        }
        Ok(())
    }

    /// Draws what happens to a request for `amount`. Always the same number of draws, whatever the settings.
    pub(super) fn mood(&self, amount: Cents, chance: &mut impl Rng) -> Mood {
        let latency_ms = self.latency().map_or(0.0, |latency| latency.sample(chance));
        let mut under = |rate: f64| chance.random::<f64>() < rate;
        Mood {
            latency: Duration::from_secs_f64(latency_ms.min(LATENCY_MS_MAX) / 1e3),
            declines: under(self.decline_rate) || self.decline_amounts_cents.contains(&amount),
            loses_request: under(self.lost_request_rate),
            loses_answer: under(self.lost_answer_rate),
        }
    }

    fn latency(&self) -> Option<LogNormal<f64>> {
        let sigma = (self.latency_ms_p99 / self.latency_ms_p50).ln() / Z99;
        if self.latency_ms_p50 > 0.0 {
            LogNormal::new(self.latency_ms_p50.ln(), sigma).ok()
        } else {
            None
        }
    }
}
