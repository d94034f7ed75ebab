//! The files that are checked in, with what they should hold.

use crate::{Scale, Settings, boards, json, prometheus_config, provisioning, rules};

/// A file below `dashboards/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where, from `dashboards/` on.
    pub path: String,
    /// All that stands in it.
    pub text: String,
}

/// Every file that is made from this code.
pub fn files() -> Vec<File> {
    let boards = boards();
    let boards = boards.iter().map(|board| {
        (
            format!("grafana/boards/{}.json", board.file),
            json::board(board),
        )
    });
    let others = [
        (
            "grafana/provisioning/datasources/crashcart.yaml",
            provisioning::datasources(),
        ),
        (
            "grafana/provisioning/dashboards/crashcart.yaml",
            provisioning::dashboards(),
        ),
        (
            "prometheus/prometheus.yml",
            prometheus_config(&Settings::compose()),
        ),
        ("prometheus/rules.yml", rules(Scale::REAL)),
    ];
    let others = others.map(|(path, text)| (path.to_owned(), text));
    boards
        .chain(others)
        .map(|(path, text)| File { path, text })
        .collect()
}
