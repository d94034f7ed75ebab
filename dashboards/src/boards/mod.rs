//! Five boards, each for one question.

mod cost;
mod messaging;
mod promises;
mod run;
mod time;

use crate::PROMETHEUS;
use crate::board::{Board, Needs};

/// The boards, the one to begin with first.
pub fn boards() -> Vec<Board> {
    vec![
        promises::board(),
        time::board(),
        messaging::board(),
        cost::board(),
        run::board(),
    ]
}

/// An expression, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The title of the board.
    pub board: &'static str,
    /// The title of the panel.
    pub panel: &'static str,
    /// PromQL, with Grafana's variables; see [`crate::with_durations`].
    pub expr: String,
    /// Who is asked: [`PROMETHEUS`].
    pub datasource: &'static str,
    /// What must be there for it to find anything.
    pub needs: Needs,
}

/// Every expression of every board.
pub fn queries() -> Vec<Asked> {
    let mut asked = Vec::new();
    for board in boards() {
        for panel in board.panels() {
            asked.extend(panel.queries.iter().map(|query| Asked {
                board: board.title,
                panel: panel.title,
                expr: query.expr.clone(),
                datasource: PROMETHEUS,
                needs: query.needs(),
            }));
        }
    }
    asked
}
