//! The findings as JUnit XML, which every CI system shows as tests.

use super::{Report, Told};
use crate::check::{Finding, Verdict};
use quick_junit::{
    NonSuccessKind, Report as Xml, SerializeError, TestCase, TestCaseStatus, TestSuite,
};

/// The report as JUnit XML: one test case a check.
///
/// # Errors
/// When a text in it cannot be written as XML.
pub fn junit(report: &Report) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(&report.summary.run);
    for finding in &report.summary.checks {
        let mut case = TestCase::new(
            format!("{} {}", finding.id, finding.name),
            status(report, finding),
        );
        case.set_classname("crashcart.check");
        suite.add_test_case(case);
    }
    for threshold in &report.summary.thresholds {
        let mut status = TestCaseStatus::success();
        if !threshold.held {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(format!("{}: it was {}", threshold.threshold, threshold.was));
        }
        let mut case = TestCase::new(threshold.threshold.clone(), status);
        case.set_classname("crashcart.threshold");
        suite.add_test_case(case);
    }
    let mut xml = Xml::new("crashcart");
    xml.add_test_suite(suite);
    xml.to_string()
}

fn status(report: &Report, finding: &Finding) -> TestCaseStatus {
    match finding.verdict {
        Verdict::Valid => TestCaseStatus::success(),
        Verdict::NotApplicable => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(finding.why.clone().unwrap_or_default());
            status
        }
        Verdict::Unknown => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(finding.why.clone().unwrap_or_default());
            status
        }
        Verdict::Invalid => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let first = finding
                .sample
                .first()
                .map_or("", |violation| &violation.what);
            status.set_message(format!(
                "{} of {} violate it: {first}",
                finding.violations, finding.evaluated
            ));
            let told = match report.told.get(&finding.id) {
                Some(Told::Here(story)) => story.clone(),
                Some(Told::At(id)) => format!("the order is told at {id}\n"),
                None => String::new(),
            };
            let all: Vec<&str> = finding
                .sample
                .iter()
                .map(|violation| violation.what.as_str())
                .collect();
            status.set_description(format!(
                "{}\n\n{told}again: {}\n",
                all.join("\n"),
                report.summary.replay
            ));
            status
        }
    }
}
