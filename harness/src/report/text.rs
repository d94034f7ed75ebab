//! The report as people read it.

use super::number::thousands;
use super::{Exit, FaultFigures, Latency, Report, Summary};
use crate::check::{CHECKS, Finding, Verdict, Violation};
use std::fmt::{self, Display, Formatter};

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        load(f, summary)?;
        faults(f, &summary.faults)?;
        writeln!(f)?;
        for finding in &summary.checks {
            self.finding(f, finding)?;
        }
        if !summary.thresholds.is_empty() {
            writeln!(f)?;
        }
        for threshold in &summary.thresholds {
            let mark = if threshold.held { "✓" } else { "✗" };
            writeln!(
                f,
                "  {mark} {}   it was {}",
                threshold.threshold, threshold.was
            )?;
        }
        self.verdict(f)
    }
}

impl Report {
    fn finding(&self, f: &mut Formatter<'_>, finding: &Finding) -> fmt::Result {
        let Finding {
            id,
            name,
            verdict,
            evaluated,
            violations,
            ..
        } = finding;
        let (mark, looked) = match verdict {
            Verdict::Valid => ("✓", thousands(*evaluated as u64)),
            Verdict::NotApplicable => ("·", String::new()),
            Verdict::Unknown => ("?", "unknown".to_owned()),
            Verdict::Invalid => {
                let (bad, all) = (thousands(*violations as u64), thousands(*evaluated as u64));
                ("✗", format!("{bad} of {all} violate it"))
            }
        };
        let why = finding
            .why
            .as_ref()
            .map_or(String::new(), |why| format!("  {why}"));
        let not_due = if *verdict == Verdict::NotApplicable {
            "not due:"
        } else {
            ""
        };
        let line = format!("  {mark} {id:3} {name:20} {looked:>9}{not_due}{why}");
        writeln!(f, "{}", line.trim_end())?;
        if *verdict == Verdict::Invalid {
            self.violations(f, finding)?;
        }
        for note in &finding.notes {
            writeln!(f, "        {note}")?;
        }
        Ok(())
    }

    fn violations(&self, f: &mut Formatter<'_>, finding: &Finding) -> fmt::Result {
        if let Some(check) = CHECKS.iter().find(|check| check.id == finding.id) {
            writeln!(f, "        must hold: {}", check.promise)?;
        }
        let worst = finding
            .worst
            .iter()
            .filter(|worst| !finding.sample.contains(worst));
        for Violation { what, .. } in worst.chain(&finding.sample) {
            writeln!(f, "      - {what}")?;
        }
        let more = finding.violations.saturating_sub(finding.sample.len());
        if let Some(last) = finding.last.as_ref().filter(|_| more > 0) {
            writeln!(
                f,
                "      - … {} more, the last one: {}",
                thousands(more as u64),
                last.what
            )?;
        }
        if let Some(told) = self.told.get(&finding.id) {
            writeln!(f)?;
            write!(f, "{told}")?;
            writeln!(f, "{:>11}  {}\n", "again", self.summary.replay)?;
        }
        Ok(())
    }

    fn verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Summary {
            checks,
            took_ms,
            verdict,
            ..
        } = &self.summary;
        let count = |verdict| {
            checks
                .iter()
                .filter(|finding| finding.verdict == verdict)
                .count()
        };
        let parts: Vec<String> = [
            Verdict::Invalid,
            Verdict::Unknown,
            Verdict::Valid,
            Verdict::NotApplicable,
        ]
        .into_iter()
        .filter(|verdict| count(*verdict) > 0)
        .map(|verdict| format!("{} {}", count(verdict), verdict.as_str()))
        .collect();
        let looked: usize = checks.iter().map(|finding| finding.evaluated).sum();
        let said = said(self.summary.exit_code, *verdict);
        let seconds =
            std::time::Duration::from_millis(u64::try_from(*took_ms).unwrap_or(0)).as_secs_f64();
        let parts = parts.join(", ");
        writeln!(
            f,
            "\n  {said}   checks: {parts} · {} items looked at · {seconds:.1} s",
            thousands(looked as u64)
        )?;
        if let Some(recording) = &self.recording {
            writeln!(
                f,
                "  recorded in {recording}; `crashcart check {recording}` judges it again"
            )?;
        }
        if self.summary.exit_code != 0 {
            writeln!(
                f,
                "  again: {}   (exit code {})",
                self.summary.replay, self.summary.exit_code
            )?;
        }
        Ok(())
    }
}

fn load(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let (n, load) = (thousands, &summary.load);
    let seconds =
        std::time::Duration::from_millis(u64::try_from(summary.load_ms).unwrap_or(0)).as_secs_f64();
    writeln!(
        f,
        "  offered    {} in {seconds:.1} s, {} a second asked for",
        n(load.offered),
        summary.rate
    )?;
    let (accepted, refused, unknown) = (n(load.accepted), n(load.refused), n(load.unknown));
    writeln!(
        f,
        "             {accepted} accepted, {refused} refused, {unknown} unknown, {} dropped",
        n(load.dropped)
    )?;
    let mut canceled = Vec::new();
    for (outcome, count) in &summary.outcomes {
        match outcome.split_once(' ') {
            Some((_, reason)) => canceled.push((*count, reason)),
            None => writeln!(f, "  {outcome:10} {}", n(*count))?,
        }
    }
    if !canceled.is_empty() {
        canceled.sort_unstable_by(|a, b| b.cmp(a));
        let sum = canceled.iter().map(|(count, _)| count).sum();
        let parts: Vec<String> = canceled
            .iter()
            .map(|(count, reason)| format!("{} {reason}", n(*count)))
            .collect();
        writeln!(f, "  canceled   {} = {}", n(sum), parts.join(" + "))?;
    }
    latency(
        f,
        "accept",
        summary.accept,
        &format!("   raw p99 {:.1} ms", summary.accept_raw.ms_p99),
    )?;
    latency(f, "settle", summary.settle, "")?;
    latency(f, "generator", load.late, "   late")?;
    if let Some(bytes) = summary.memory_bytes {
        writeln!(f, "  {:10} {} MB at most", "memory", bytes / 1_000_000)?;
    }
    Ok(())
}

fn latency(f: &mut Formatter<'_>, name: &str, latency: Latency, more: &str) -> fmt::Result {
    let Latency {
        ms_p50,
        ms_p90,
        ms_p99,
        ms_max,
        ..
    } = latency;
    writeln!(
        f,
        "  {name:10} p50 {ms_p50:.1}   p90 {ms_p90:.1}   p99 {ms_p99:.1}   max {ms_max:.1} ms{more}"
    )
}

fn faults(f: &mut Formatter<'_>, faults: &[FaultFigures]) -> fmt::Result {
    for (n, fault) in faults.iter().enumerate() {
        let head = if n == 0 { "faults" } else { "" };
        let at = fault
            .service
            .as_deref()
            .map_or(String::new(), |service| format!(" at {service}"));
        let name = format!("{}{at}", fault.kind);
        let when = match (fault.from_ms, fault.to_ms) {
            (None, _) => "did not fire".to_owned(),
            (Some(_), None) => "all along".to_owned(),
            (Some(from), Some(to)) => format!("{} to {} s", tenths(from), tenths(to)),
        };
        let back = fault
            .recovery_ms
            .map_or(String::new(), |ms| format!(", back after {ms} ms"));
        writeln!(f, "  {head:10} {name:26} {when:14} {}{back}", fault.how)?;
    }
    Ok(())
}

/// Milliseconds as seconds with one digit.
fn tenths(ms: i64) -> String {
    super::number::seconds(ms * 1_000)
}

/// The last word. What makes a run worth nothing stands in it, because "unknown" alone sounds like an accident.
fn said(exit_code: u8, verdict: Verdict) -> String {
    let why = match exit_code {
        code if code == Exit::Harness.code() => ": a bug in crashcart, not in the shop",
        code if code == Exit::RunInvalid.code() => ": the run is worth nothing",
        code if code == Exit::Threshold.code() => ", and a threshold was missed",
        _ => "",
    };
    format!("{}{why}", verdict.as_str().to_uppercase())
}
