//! What the checks say about themselves. V3: nothing that was due saw nothing. V4: what should happen sometimes did.
//! V5: which fault met which service. V6: the checks object to a spoiled copy of what they have just looked at.

use super::{Finding, Verdict};
use crate::corrupt;
use crate::evidence::{Evidence, Service};
use crate::faults::FaultKind;
use contract::{EventType, Reason};

/// The findings about a run that has been judged.
pub fn about_the_run(evidence: &Evidence, findings: &[Finding]) -> Vec<Finding> {
    let is_whole = findings
        .iter()
        .all(|finding| finding.verdict != Verdict::Invalid);
    vec![
        nothing_unseen(findings),
        sometimes(evidence),
        grid(evidence),
        spoiled(evidence, is_whole),
    ]
}

fn finding(id: &str, name: &str, evaluated: usize) -> Finding {
    Finding {
        id: id.to_owned(),
        name: name.to_owned(),
        verdict: Verdict::Valid,
        evaluated,
        violations: 0,
        sample: Vec::new(),
        worst: None,
        last: None,
        why: None,
        notes: Vec::new(),
    }
}

/// V3
fn nothing_unseen(findings: &[Finding]) -> Finding {
    let due = findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::NotApplicable);
    let blind: Vec<&str> = due
        .clone()
        .filter(|finding| finding.verdict == Verdict::Unknown)
        .map(|finding| finding.id.as_str())
        .collect();
    let mut all = finding("V3", "nothing unseen", due.count());
    if all.evaluated == 0 || !blind.is_empty() {
        all.verdict = Verdict::Unknown;
        all.why = Some(
            format!(
                "due, and without evidence: {}",
                if blind.is_empty() { "all" } else { "" }
            ) + &blind.join(", "),
        );
    }
    all
}

/// V4
fn sometimes(evidence: &Evidence) -> Finding {
    let repeated = evidence
        .applied
        .iter()
        .filter(|applied| applied.seen > 1)
        .count();
    let out_of_stock = evidence.said.iter().filter(|said| {
        said.kind == EventType::ReservationFailed && said.reason == Some(Reason::OutOfStock)
    });
    let last_unit = evidence
        .steps
        .iter()
        .filter(|step| step.available_after == 0)
        .count();
    let unknown = evidence
        .history
        .iter()
        .filter(|did| did.end == crate::evidence::End::Unknown)
        .count();
    let goals = [
        (repeated, "a repeated delivery was absorbed"),
        (out_of_stock.count(), "an order came too late for the stock"),
        (last_unit, "an order took the last unit"),
        (unknown, "a client did not learn how its request ended"),
    ];
    let mut all = finding("V4", "sometimes", goals.len());
    all.notes = goals
        .iter()
        .map(|(times, goal)| {
            if *times == 0 {
                format!("never: {goal}")
            } else {
                format!("{times} times: {goal}")
            }
        })
        .collect();
    all
}

/// V5
fn grid(evidence: &Evidence) -> Finding {
    let kinds = FaultKind::ALL
        .into_iter()
        .filter(|kind| kind.is_at_a_service());
    let mut all = finding("V5", "faults by service", 0);
    if evidence.plan.faults.is_empty() {
        all.verdict = Verdict::NotApplicable;
        all.why = Some("the plan has no faults".to_owned());
        return all;
    }
    let met = |kind: FaultKind, service: Service| {
        let here = evidence
            .faults
            .iter()
            .filter(|fault| fault.kind == kind && fault.fired_us.is_some());
        here.into_iter()
            .any(|fault| fault.service.as_deref() == Some(service.as_str()))
    };
    let mut count = 0;
    let mut unmet = Vec::new();
    for kind in kinds {
        let cells = Service::ALL
            .into_iter()
            .map(|service| (service.as_str(), met(kind, service)));
        let (reached, left): (Vec<_>, Vec<_>) = cells.partition(|(_, met)| *met);
        count += reached.len();
        all.evaluated += Service::ALL.len();
        let left: Vec<&str> = left.into_iter().map(|(service, _)| service).collect();
        if !left.is_empty() {
            unmet.push(format!("{kind} did not meet {}", left.join(", ")));
        }
    }
    all.notes
        .push(format!("{count} of {} cells met", all.evaluated));
    all.notes.extend(unmet);
    all
}

/// V6
fn spoiled(evidence: &Evidence, is_whole: bool) -> Finding {
    if !is_whole {
        // More damage may go unseen in what is broken already, and that would say nothing about the checks.
        let mut not_due = finding("V6", "spoiled copies", 0);
        not_due.verdict = Verdict::NotApplicable;
        not_due.why = Some("the recording is not a good one to begin with".to_owned());
        return not_due;
    }
    let proof = corrupt::prove(evidence, evidence.plan.seed);
    let mut all = finding(
        "V6",
        "spoiled copies",
        proof.seen.len() + proof.unseen.len(),
    );
    if proof.seen.is_empty() && proof.unseen.is_empty() {
        all.verdict = Verdict::Unknown;
        all.why = Some("there was nothing to spoil".to_owned());
    }
    if !proof.unseen.is_empty() {
        all.verdict = Verdict::Invalid;
        all.violations = proof.unseen.len();
        all.sample = proof
            .unseen
            .iter()
            .map(|name| super::Violation::run(format!("nobody objected to: {name}")))
            .collect();
    }
    all
}
