//! What a run says in the end: figures, evidence, verdict, and how to run it again.

use crate::check::{Finding, Verdict};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// A latency in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Half took at most this.
    pub ms_p50: f64,
    /// All but one in a hundred took at most this.
    pub ms_p99: f64,
    /// None took longer.
    pub ms_max: f64,
}

impl Latency {
    /// The latency in a histogram of microseconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "2^53 microseconds are 285 years"
    )]
    pub fn of(us: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1e3;
        Self {
            count: us.len(),
            ms_p50: ms(us.value_at_quantile(0.5)),
            ms_p99: ms(us.value_at_quantile(0.99)),
            ms_max: ms(us.max()),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// The file of orders, if it was not the one that comes with crashcart.
    pub source: Option<String>,
    /// Orders a second.
    pub rate: f64,
    /// Where the databases were kept, if they were.
    pub data: Option<String>,
    /// How much of what the orders need was in stock, in percent.
    pub stock_percent: u32,
    /// Orders that were due.
    pub offered: u64,
    /// Orders that were acknowledged.
    pub accepted: u64,
    /// Orders that certainly were not taken.
    pub refused: u64,
    /// Orders by how they ended: `finished`, `canceled under_minimum`, …
    pub outcomes: BTreeMap<String, u64>,
    /// Intended start to 201.
    pub accept: Latency,
    /// Intended start to the settled order.
    pub settle: Latency,
    /// Intended start to actual start: how late the generator was.
    pub late: Latency,
    /// How long all of it took.
    pub took_ms: u64,
    /// What each check found.
    pub findings: Vec<Finding>,
    /// What all of it comes to.
    pub verdict: Verdict,
}

impl Summary {
    /// The command that runs it again.
    pub fn replay(&self) -> String {
        let orders = self
            .source
            .as_ref()
            .map_or(String::new(), |path| format!(" --orders {path}"));
        let stock = if self.stock_percent == 100 {
            String::new()
        } else {
            format!(" --stock {}", self.stock_percent)
        };
        let data = self
            .data
            .as_ref()
            .map_or(String::new(), |path| format!(" --data {path}"));
        format!(
            "crashcart run --seed {} -r {}{orders}{stock}{data}",
            self.seed, self.rate
        )
    }

    fn in_doubt(&self) -> u64 {
        self.offered.saturating_sub(self.accepted + self.refused)
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let n = thousands;
        writeln!(
            f,
            "  orders     {} offered at {}/s",
            n(self.offered),
            self.rate
        )?;
        let (accepted, refused, unknown) = (n(self.accepted), n(self.refused), n(self.in_doubt()));
        writeln!(
            f,
            "             {accepted} accepted, {refused} refused, {unknown} unknown"
        )?;
        for (outcome, count) in &self.outcomes {
            let (status, reason) = outcome.split_once(' ').unwrap_or((outcome, ""));
            let line = format!("  {status:10} {} {reason}", n(*count));
            writeln!(f, "{}", line.trim_end())?;
        }
        for (name, latency) in [
            ("accept", self.accept),
            ("settle", self.settle),
            ("generator", self.late),
        ] {
            let Latency {
                ms_p50,
                ms_p99,
                ms_max,
                ..
            } = latency;
            let late = if name == "generator" { " late" } else { "" };
            writeln!(
                f,
                "  {name:10} p50 {ms_p50:.1} ms   p99 {ms_p99:.1} ms   max {ms_max:.1} ms{late}"
            )?;
        }
        writeln!(f)?;
        for finding in &self.findings {
            write!(f, "{finding}")?;
        }
        if self.late.ms_p99 > (self.accept.ms_p99 / 4.0).max(10.0) {
            writeln!(
                f,
                "\n  ! the generator was late by more than a quarter of accept p99: a lower -r says more"
            )?;
        }
        let seconds = std::time::Duration::from_millis(self.took_ms).as_secs_f64();
        let said = verdict(self.verdict).to_uppercase();
        let part = match self.accepted {
            all if all == self.offered => String::new(),
            some => format!(
                " for the {} of {} orders that were accepted",
                n(some),
                n(self.offered)
            ),
        };
        writeln!(
            f,
            "
  {said}{part}  in {seconds:.1} s"
        )?;
        if self.verdict != Verdict::Valid {
            writeln!(f, "  again: {}", self.replay())?;
        }
        Ok(())
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            check,
            verdict: said,
            evaluated,
            violations,
            sample,
        } = self;
        let mark = match said {
            Verdict::Valid => "✓",
            Verdict::Invalid => "✗",
            Verdict::Unknown => "?",
        };
        write!(
            f,
            "  {mark} {check:27} {:7}  {} looked at",
            verdict(*said),
            thousands(*evaluated as u64)
        )?;
        if *violations > 0 {
            write!(f, ", {} violate it", thousands(*violations as u64))?;
        }
        writeln!(f)?;
        for line in sample {
            writeln!(f, "      {line}")?;
        }
        Ok(())
    }
}

const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "invalid",
        Verdict::Unknown => "unknown",
    }
}

/// A number in groups of three digits.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}
