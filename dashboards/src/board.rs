//! What a board is made of: rows of panels, each of which asks Prometheus something and says what to look for.

use crate::palette::{BAD, CALM, GOOD, WARN};

/// One question, and everything that answers it.
#[derive(Debug, Clone)]
pub struct Board {
    /// The name of its file, without the ending.
    pub file: &'static str,
    /// What stands in its address.
    pub uid: &'static str,
    /// The question.
    pub title: &'static str,
    /// What to look for.
    pub description: &'static str,
    /// How far back it shows: `15m`.
    pub since: &'static str,
    /// From top to bottom.
    pub rows: Vec<Row>,
}

impl Board {
    /// Every panel, from top to bottom.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|row| &row.panels)
    }
}

/// Panels that belong together.
#[derive(Debug, Clone)]
pub struct Row {
    /// What they are about.
    pub title: &'static str,
    /// From left to right; what does not fit goes on below.
    pub panels: Vec<Panel>,
}

/// A row with these panels.
pub(crate) fn row(title: &'static str, panels: Vec<Panel>) -> Row {
    Row { title, panels }
}

/// How a panel draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lines over time.
    Lines,
    /// Areas on top of each other: the parts of a whole over time.
    Stack,
    /// Lines over time on a logarithmic axis: milliseconds stay readable beside seconds.
    Latency,
    /// How a distribution moves over time.
    Heatmap,
    /// One number, large, with its way there behind it.
    Stat,
    /// The names of series, large, without their values.
    Names,
    /// One number between 0 and 1 on a dial.
    Gauge,
    /// Numbers beside each other as bars.
    Bars,
    /// 0 and 1 over time, in words.
    States([&'static str; 2]),
}

/// What the numbers of a panel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    Count,
    /// So many a second.
    PerSecond,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share: 1 is all of it.
    Share,
    /// Times as much as is allowed.
    Times,
    /// 0 or 1.
    Switch,
}

/// What must be there for a query to find anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The shop, and orders that come in.
    Orders,
    /// Something out of the ordinary: a retry, a cancelation, an alert. A good day may have nothing of it.
    Trouble,
    /// A shop on PostgreSQL.
    Postgres,
    /// RabbitMQ with its own metrics.
    RabbitMq,
    /// A harness that says how its run goes.
    Harness,
}

/// One expression, and how its series are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// PromQL, with Grafana's `$__rate_interval` and `$__range`; see [`crate::with_durations`].
    pub expr: String,
    /// The name of each series, with labels in double braces.
    pub legend: &'static str,
}

/// Metrics of which there is no series before something out of the ordinary has happened.
const RARE: [&str; 6] = [
    "ALERTS",
    "crashcart_duplicates_absorbed_total",
    "crashcart_retries_total",
    "crashcart_dead_lettered_total",
    "crashcart_store_errors_total",
    r#"outcome="canceled""#,
];

impl Query {
    /// What must be there for this to find anything.
    pub fn needs(&self) -> Needs {
        let has = |name: &&str| self.expr.contains(*name);
        let is_rare = RARE.iter().any(has) && !self.expr.contains("vector(0)");
        if self.expr.contains("rabbitmq_") {
            Needs::RabbitMq
        } else if self.expr.contains("crashcart_run_") {
            Needs::Harness
        } else if self.expr.contains("crashcart_store_connections") {
            Needs::Postgres
        } else if is_rare {
            Needs::Trouble
        } else {
            Needs::Orders
        }
    }

    /// Whether it asks about the whole time that is shown, and is therefore asked once.
    pub(crate) fn is_instant(&self) -> bool {
        self.expr.contains("$__range")
    }
}

/// A picture, and what it shows.
#[derive(Debug, Clone)]
pub struct Panel {
    /// What it shows, in a few words.
    pub title: &'static str,
    /// What to look for.
    pub description: &'static str,
    /// How it draws.
    pub kind: Kind,
    /// What its numbers are.
    pub unit: Unit,
    /// Columns, of 24.
    pub width: u16,
    /// Rows of Grafana's grid, about 30 pixels each.
    pub height: u16,
    /// What it asks.
    pub queries: Vec<Query>,
    /// From which value on which colour; the first one holds from the bottom.
    pub thresholds: Vec<(f64, &'static str)>,
    /// Whether the thresholds are drawn as lines.
    pub has_lines: bool,
    /// What stands there while there is nothing.
    pub nothing: &'static str,
}

impl Panel {
    /// A panel that asks nothing yet, calm, a third of the board wide.
    pub(crate) fn new(kind: Kind, title: &'static str, description: &'static str) -> Self {
        let unit = match kind {
            Kind::Latency | Kind::Heatmap => Unit::Seconds,
            Kind::Gauge => Unit::Share,
            Kind::States(_) => Unit::Switch,
            Kind::Lines | Kind::Stack | Kind::Stat | Kind::Names | Kind::Bars => Unit::Count,
        };
        let height = match kind {
            Kind::Stat | Kind::Names => 4,
            Kind::Gauge => 6,
            _ => 8,
        };
        Self {
            title,
            description,
            kind,
            unit,
            width: 8,
            height,
            queries: Vec::new(),
            thresholds: vec![(f64::NEG_INFINITY, CALM)],
            has_lines: false,
            nothing: "nothing yet",
        }
    }

    pub(crate) fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    pub(crate) fn size(mut self, width: u16, height: u16) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    pub(crate) fn ask(mut self, legend: &'static str, expr: impl Into<String>) -> Self {
        let expr = expr.into();
        self.queries.push(Query { expr, legend });
        self
    }

    /// Calm below `warn`, bad from `bad` on.
    pub(crate) fn worse_from(mut self, warn: f64, bad: f64) -> Self {
        self.thresholds = vec![(f64::NEG_INFINITY, CALM), (warn, WARN), (bad, BAD)];
        self
    }

    /// Good at nothing, bad from one on.
    pub(crate) fn none_allowed(self) -> Self {
        self.steps(&[(f64::NEG_INFINITY, GOOD), (1.0, BAD)])
    }

    /// Any other thresholds.
    pub(crate) fn steps(mut self, steps: &[(f64, &'static str)]) -> Self {
        self.thresholds = steps.to_vec();
        self
    }

    /// Draws the thresholds as lines.
    pub(crate) fn lined(mut self) -> Self {
        self.has_lines = true;
        self
    }

    pub(crate) fn nothing(mut self, text: &'static str) -> Self {
        self.nothing = text;
        self
    }
}
