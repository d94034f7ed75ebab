//! From a recording to a report: what a run does in the end, and `crashcart check` at any later time.

use super::RunError;
use crate::evidence::Source;
use crate::recording::{self, RecordingError};
use crate::report::{Report, junit, report};
use crate::threshold::Threshold;
use crate::ui::page_of;
use contract::OrderId;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Judges the recording in `dir`: by `thresholds`, or, if there are none, by those that its run was asked to reach.
///
/// # Errors
/// When there is no recording.
pub fn judge_recording(dir: &Path, thresholds: &[Threshold]) -> Result<Report, RunError> {
    let evidence = recording::read(dir)?;
    let own = if thresholds.is_empty() {
        &evidence.plan.thresholds[..]
    } else {
        &[]
    };
    let own = own.iter().map(|text| text.parse::<Threshold>());
    let own = own.collect::<Result<Vec<_>, _>>();
    let own = own.map_err(|why| RunError::Config(format!("a threshold in the plan {why}")))?;
    let thresholds = [thresholds, &own].concat();
    let mut report = report(&evidence, &thresholds, |order| trace(dir, order));
    report.recording = Some(dir.display().to_string());
    report.traces = page_of(dir).map(|page| page.display().to_string());
    Ok(report)
}

/// Writes `summary.json`, `report.txt` and `junit.xml` into the recording.
///
/// # Errors
/// When they cannot be written.
pub fn write_report(dir: &Path, report: &Report) -> Result<(), RunError> {
    let failed = |error: &dyn std::fmt::Display| RunError::SetUp(error.to_string());
    let json = serde_json::to_string_pretty(&report.summary).map_err(|error| failed(&error))?;
    let xml = junit(report).map_err(|error| failed(&error))?;
    for (name, text) in [
        ("summary.json", json + "\n"),
        ("report.txt", report.to_string()),
        ("junit.xml", xml),
    ] {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|source| RecordingError::File { path, source })?;
    }
    Ok(())
}

/// The trace of an order. Looked up in the file: only orders that violate something need it.
fn trace(dir: &Path, order: OrderId) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Traced {
        id: OrderId,
        trace_id: String,
    }
    let file = BufReader::new(File::open(dir.join(Source::Orders.file())).ok()?);
    let id = order.to_string();
    let lines = file
        .lines()
        .map_while(Result::ok)
        .filter(|line| line.contains(&id));
    let mut traced = lines.filter_map(|line| serde_json::from_str::<Traced>(&line).ok());
    traced
        .find(|traced| traced.id == order)
        .map(|traced| traced.trace_id)
}
