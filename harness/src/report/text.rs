//! The report as people read it: what was sent and how it ended, what went wrong on purpose, what each check found,
//! and last the verdict with the reasons for it.

use super::number::{paragraph, seconds, thousands};
use super::{EngineFigures, Exit, FaultFigures, Latency, Report, Summary, Times, Told};
use crate::check::{CHECKS, Finding, Verdict};
use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

/// What the checks promise that are about the run itself, and not in the table.
const ABOUT_THE_RUN: [(&str, &str); 4] = [
    ("V3", "no check that was due had nothing to look at"),
    (
        "V4",
        "how often that happened which should happen sometimes",
    ),
    ("V5", "which faults met which services"),
    (
        "V6",
        "the checks object to each spoiled copy of this recording",
    ),
];

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        line(f, "run", &format!("{}, seed {}", summary.run, summary.seed))?;
        engine(f, &summary.engine)?;
        load(f, summary)?;
        latencies(f, summary)?;
        costs(f, summary)?;
        times(f, &summary.times)?;
        faults(f, &summary.faults)?;
        writeln!(f, "\n  {:26}looked at", "checks")?;
        for finding in &summary.checks {
            self.finding(f, finding)?;
        }
        thresholds(f, summary)?;
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
        let evaluated = thousands(*evaluated as u64);
        let why = finding.why.as_deref().unwrap_or_default();
        let (mark, looked, what) = match verdict {
            Verdict::Valid => ("✓", evaluated, promise(id).to_owned()),
            Verdict::NotApplicable => ("·", String::new(), format!("not due: {why}")),
            Verdict::Unknown => ("?", String::new(), format!("unknown: {why}")),
            Verdict::Invalid => ("✗", evaluated, violated(*violations as u64)),
        };
        let head = format!("  {mark} {id:3} {name:19} {looked:>9}  ");
        f.write_str(&paragraph(&head, &what))?;
        if *verdict == Verdict::Invalid {
            self.violations(f, finding)?;
        }
        for note in &finding.notes {
            f.write_str(&paragraph("        ", note))?;
        }
        Ok(())
    }

    fn violations(&self, f: &mut Formatter<'_>, finding: &Finding) -> fmt::Result {
        let must = promise(&finding.id);
        if !must.is_empty() {
            f.write_str(&paragraph("        must hold: ", must))?;
        }
        let worst = finding.worst.iter();
        let worst = worst.filter(|worst| !finding.sample.contains(worst));
        for violation in worst.chain(&finding.sample) {
            f.write_str(&paragraph("      - ", &violation.what))?;
        }
        let more = finding.violations.saturating_sub(finding.sample.len());
        if let Some(last) = finding.last.as_ref().filter(|_| more > 0) {
            let more = format!(
                "… {} more, the last one: {}",
                thousands(more as u64),
                last.what
            );
            f.write_str(&paragraph("      - ", &more))?;
        }
        match self.told.get(&finding.id) {
            Some(Told::Here(story)) => {
                writeln!(f, "\n{story}{:>11}  {}\n", "again", self.summary.replay)?;
            }
            Some(Told::At(id)) => writeln!(f, "        the order is told at {id}")?,
            None => {}
        }
        Ok(())
    }

    fn verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Summary {
            checks,
            took_ms,
            verdict,
            exit_code,
            ..
        } = &self.summary;
        let said = verdict.as_str().to_uppercase();
        let meaning = meaning(*exit_code);
        let head = format!("  {said} (exit code {exit_code}): ");
        write!(f, "\n{}", paragraph(&head, meaning))?;
        let because = because(&self.summary);
        if !because.is_empty() {
            line(f, "because", &because)?;
        }
        let named = [
            (Verdict::Invalid, "violated"),
            (Verdict::Unknown, "unknown"),
            (Verdict::Valid, "valid"),
            (Verdict::NotApplicable, "not due"),
        ];
        let counts = named.map(|(verdict, name)| (count(checks, verdict), name));
        let parts = counts.into_iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        let looked: usize = checks.iter().map(|finding| finding.evaluated).sum();
        let (parts, looked) = (parts.join(", "), thousands(looked as u64));
        let seconds = seconds(took_ms.saturating_mul(1_000));
        line(
            f,
            "checks",
            &format!("{parts} · {looked} items looked at · the run took {seconds} s"),
        )?;
        // Commands are never wrapped, and nothing stands after them: they are there to be copied.
        if let Some(traces) = &self.traces {
            writeln!(f, "  {:12}{traces}", "traces")?;
        }
        if let Some(tee) = &self.summary.tee {
            line(f, "handed on", &tee.to_string())?;
        }
        if let Some(recording) = &self.recording {
            writeln!(f, "  {:12}{recording}", "recording")?;
            writeln!(f, "  {:12}crashcart check {recording}", "judge again")?;
        }
        if *exit_code != 0 {
            writeln!(f, "  {:12}{}", "run again", self.summary.replay)?;
        }
        Ok(())
    }
}

/// A line with its name in the first column.
fn line(f: &mut Formatter<'_>, name: &str, text: &str) -> fmt::Result {
    f.write_str(&paragraph(&format!("  {name:12}"), text))
}

fn promise(id: &str) -> &'static str {
    let listed = CHECKS.iter().map(|check| (check.id, check.promise));
    let mut all = listed.chain(ABOUT_THE_RUN);
    all.find(|(known, _)| *known == id)
        .map_or("", |(_, promise)| promise)
}

fn count(checks: &[Finding], verdict: Verdict) -> usize {
    checks
        .iter()
        .filter(|finding| finding.verdict == verdict)
        .count()
}

fn violated(times: u64) -> String {
    let verb = if times == 1 { "violates" } else { "violate" };
    format!("{} {verb} it", thousands(times))
}

fn load(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let (n, load) = (thousands, &summary.load);
    let took = seconds(summary.load_ms.saturating_mul(1_000));
    let offered = format!(
        "{} in {took} s, {} a second asked for",
        n(load.offered),
        summary.rate
    );
    line(f, "offered", &offered)?;
    let [accepted, refused, unknown, dropped] =
        [load.accepted, load.refused, load.unknown, load.dropped].map(n);
    let answers =
        format!("{accepted} accepted, {refused} refused, {unknown} unknown, {dropped} dropped");
    line(f, "", &answers)?;
    let mut canceled = Vec::new();
    for (outcome, count) in &summary.outcomes {
        match outcome.split_once(' ') {
            Some((_, reason)) => canceled.push((*count, reason)),
            None => line(f, outcome, &n(*count))?,
        }
    }
    if canceled.is_empty() {
        return Ok(());
    }
    canceled.sort_unstable_by(|a, b| b.cmp(a));
    let sum = canceled.iter().map(|(count, _)| count).sum();
    let parts = canceled
        .iter()
        .map(|(count, reason)| format!("{} {reason}", n(*count)));
    let parts: Vec<String> = parts.collect();
    line(
        f,
        "canceled",
        &format!("{} = {}", n(sum), parts.join(" + ")),
    )
}

fn latencies(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let raw = format!(
        "from the intended start to the 201 (from the actual one: p99 {:.1})",
        summary.accept_raw.ms_p99
    );
    let rows = [
        ("accept", summary.accept, raw.as_str()),
        (
            "settle",
            summary.settle,
            "from the intended start to the end of the order",
        ),
        (
            "generator",
            summary.load.late,
            "from the intended start to the actual one",
        ),
    ];
    writeln!(
        f,
        "\n  {:11}{:>9}{:>9}{:>9}{:>9}",
        "ms", "p50", "p90", "p99", "max"
    )?;
    for (name, latency, meaning) in rows {
        let Latency {
            ms_p50,
            ms_p90,
            ms_p99,
            ms_max,
            ..
        } = latency;
        writeln!(
            f,
            "  {name:12}{ms_p50:9.1}{ms_p90:9.1}{ms_p99:9.1}{ms_max:9.1}   {meaning}"
        )?;
    }
    Ok(())
}

/// What it took: memory, and processor time by group of processes.
fn costs(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    if summary.memory_bytes > 0 {
        let megabytes = summary.memory_bytes / 1_000_000;
        let whose = if summary.engine.name == "distributed" {
            "shop's processes had in use, each at its worst"
        } else {
            "shop's process had in use"
        };
        writeln!(
            f,
            "  {:12}{megabytes:>36} MB, the most that the {whose}",
            "memory"
        )?;
    }
    let each = &summary.cpu_ms_per_saga;
    let Some(all) = each.get("all") else {
        return Ok(());
    };
    let parts = each.iter().filter(|(group, _)| *group != "all");
    let parts: Vec<String> = parts
        .map(|(group, ms)| format!("{ms:.2} {group}"))
        .collect();
    let parts = parts.join(" + ");
    line(
        f,
        "processors",
        &format!("{all:.2} ms for one settled saga = {parts}"),
    )
}

/// Where the time goes, by story.
fn times(f: &mut Formatter<'_>, times: &BTreeMap<String, Times>) -> fmt::Result {
    if times.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "\n  {:17}{:>7}{:>8} ={:>9} +{:>7} +{:>8} +{:>7} +{:>8} +{:>7} +{:>7} +{:>12}",
        "where it goes, ms",
        "orders",
        "total",
        "generator",
        "network",
        "services",
        "broker",
        "provider",
        "outbox",
        "waiting",
        "unexplained"
    )?;
    for (story, of) in times {
        let share = 100.0 * of.unexplained_share();
        writeln!(
            f,
            "  {story:17}{:>7}{:>8.2}  {:>9.2}  {:>7.2}  {:>8.2}  {:>7.2}  {:>8.2}  {:>7.2}  {:>7.2}  {:>7.2} {share:>3.0}%",
            thousands(of.orders),
            of.total_ms,
            of.generator_ms,
            of.network_ms,
            of.services_ms,
            of.broker_ms,
            of.provider_ms,
            of.outbox_ms,
            of.waiting_ms,
            of.unexplained_ms,
        )?;
    }
    Ok(())
}

/// What the shop ran on; nothing to say of a shop that is all ours.
fn engine(f: &mut Formatter<'_>, engine: &EngineFigures) -> fmt::Result {
    if engine.name == "embedded" {
        return Ok(());
    }
    let mut parts = vec![engine.name.clone()];
    parts.push(match engine.replicas {
        1 => "1 replica".to_owned(),
        n => format!("{n} replicas"),
    });
    parts.extend(engine.routing.clone());
    for (name, version) in [
        ("PostgreSQL", &engine.postgres),
        ("RabbitMQ", &engine.rabbitmq),
    ] {
        parts.extend(version.as_ref().map(|version| format!("{name} {version}")));
    }
    line(f, "engine", &parts.join(", "))
}

fn faults(f: &mut Formatter<'_>, faults: &[FaultFigures]) -> fmt::Result {
    if !faults.is_empty() {
        writeln!(
            f,
            "\n  {:30}{:>14}{:>12}   seen",
            "faults", "seconds", "back after"
        )?;
    }
    for fault in faults {
        let at = fault.service.as_deref();
        let at = at.map_or(String::new(), |service| format!(" at {service}"));
        let name = format!("{}{at}", fault.kind);
        let [from, to] =
            [fault.from_ms, fault.to_ms].map(|ms| ms.map(|ms| seconds(ms.saturating_mul(1_000))));
        let when = match (from, to) {
            (None, _) => "did not fire".to_owned(),
            (Some(_), None) => "all along".to_owned(),
            (Some(from), Some(to)) => format!("{from} to {to:>4}"),
        };
        let back = fault
            .recovery_ms
            .map_or(String::new(), |ms| format!("{ms} ms"));
        let head = format!("  {name:30}{when:>14}{back:>12}   ");
        f.write_str(&paragraph(&head, &fault.how))?;
    }
    Ok(())
}

fn thresholds(f: &mut Formatter<'_>, summary: &Summary) -> fmt::Result {
    let thresholds = &summary.thresholds;
    if !thresholds.is_empty() {
        writeln!(f, "\n  thresholds")?;
    }
    let lengths = thresholds
        .iter()
        .map(|judged| judged.threshold.chars().count());
    let width = lengths.max().unwrap_or(0);
    for judged in thresholds {
        let mark = if judged.held { "✓" } else { "✗" };
        writeln!(
            f,
            "  {mark} {:width$}  it was {}",
            judged.threshold, judged.was
        )?;
    }
    Ok(())
}

/// What an exit code means.
fn meaning(code: u8) -> &'static str {
    let known = Exit::ALL.into_iter().find(|exit| exit.code() == code);
    known.map_or("", Exit::meaning)
}

/// Which findings made the verdict what it is.
fn because(summary: &Summary) -> String {
    let bad = |finding: &&Finding| matches!(finding.verdict, Verdict::Invalid | Verdict::Unknown);
    let checks = summary.checks.iter().filter(bad).map(|finding| {
        let Finding {
            id,
            name,
            evaluated,
            violations,
            ..
        } = finding;
        let (bad, all) = (thousands(*violations as u64), thousands(*evaluated as u64));
        if finding.verdict == Verdict::Unknown {
            format!("{id} {name} is unknown")
        } else {
            format!("{id} {name} ({bad} of {all})")
        }
    });
    let missed = summary.thresholds.iter().filter(|judged| !judged.held);
    let missed = missed.map(|judged| format!("{}: it was {}", judged.threshold, judged.was));
    checks.chain(missed).collect::<Vec<_>>().join("; ")
}
