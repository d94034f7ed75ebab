//! Alerts and recorded series: one set, on any scale of time.

mod messages;
mod promises;
mod services;

pub(crate) use promises::{FAST, SLOW};

use crate::Scale;
use crate::boards::boards;
use serde_json::json;
use std::fmt::Write;
use std::time::Duration;

/// How often rules are looked at in real life.
const EVERY: Duration = Duration::from_secs(15);

/// What a rule brings about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// A series of its own.
    Recording,
    /// Somebody is told, because something is broken now.
    Critical,
    /// Somebody is told, and it can wait until the morning.
    Warning,
}

/// A rule on a scale of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The name of the alert, or of the series.
    pub name: String,
    /// PromQL.
    pub expr: String,
    /// What it brings about.
    pub kind: RuleKind,
    wait: Option<String>,
    text: Option<Text>,
}

/// What people read when an alert fires.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Text {
    summary: &'static str,
    description: String,
    /// The file of the board to look at.
    board: &'static str,
    way_out: &'static str,
}

impl Rule {
    fn recording(name: String, expr: String) -> Self {
        Self {
            name,
            expr,
            kind: RuleKind::Recording,
            wait: None,
            text: None,
        }
    }

    fn alert(kind: RuleKind, name: &str, expr: String, text: Text) -> Self {
        Self {
            name: name.to_owned(),
            expr,
            kind,
            wait: None,
            text: Some(text),
        }
    }

    /// It fires only when it holds for that long.
    fn after(mut self, wait: String) -> Self {
        self.wait = Some(wait);
        self
    }
}

/// Rules that are looked at together, one after the other.
struct Group {
    name: &'static str,
    rules: Vec<Rule>,
}

fn groups(scale: Scale) -> [Group; 3] {
    [
        Group {
            name: "promises",
            rules: promises::rules(scale),
        },
        Group {
            name: "messages",
            rules: messages::rules(scale),
        },
        Group {
            name: "services",
            rules: services::rules(scale),
        },
    ]
}

/// Every rule.
pub fn rule_list(scale: Scale) -> Vec<Rule> {
    groups(scale)
        .into_iter()
        .flat_map(|group| group.rules)
        .collect()
}

/// The rules as Prometheus reads them (YAML).
pub fn rules(scale: Scale) -> String {
    let mut text = String::from(
        "# Made by `cargo run -p dashboards`; change dashboards/src/rules instead.\ngroups:\n",
    );
    let every = scale.pause(EVERY);
    for Group { name, rules } in groups(scale) {
        // Writing into a string cannot fail, here and below.
        let _ = write!(
            text,
            "  - name: {name}\n    interval: {every}\n    rules:\n"
        );
        for rule in rules {
            write_rule(&mut text, &rule);
        }
    }
    text
}

fn write_rule(text: &mut String, rule: &Rule) {
    let Rule {
        name,
        expr,
        kind,
        wait,
        text: says,
    } = rule;
    let what = if *kind == RuleKind::Recording {
        "record"
    } else {
        "alert"
    };
    let expr = expr.replace('\n', "\n          ");
    let _ = write!(
        text,
        "      - {what}: {name}\n        expr: |-\n          {expr}\n"
    );
    if let Some(wait) = wait {
        let _ = writeln!(text, "        for: {wait}");
    }
    if let Some(says) = says {
        let severity = if *kind == RuleKind::Critical {
            "critical"
        } else {
            "warning"
        };
        let _ = write!(
            text,
            "        labels:\n          severity: {severity}\n        annotations:\n"
        );
        let annotations = [
            ("summary", says.summary.to_owned()),
            ("description", says.description.clone()),
            ("runbook", runbook(says)),
        ];
        for (key, value) in annotations {
            // A JSON string is a YAML string.
            let _ = writeln!(text, "          {key}: {}", json!(value));
        }
    }
}

/// Where to look, and the way out.
fn runbook(says: &Text) -> String {
    let boards = boards();
    let board = boards.iter().find(|board| board.file == says.board);
    let title = board.map_or(says.board, |board| board.title);
    format!("Look at the board \"{title}\". {}", says.way_out)
}
