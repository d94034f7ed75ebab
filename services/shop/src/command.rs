//! What a running shop can be told, as data: the same in this process and over the pipes of a child.
//!
//! One JSON object a line: `{"do":"crash","service":"orders"}`.

use platform::dial::{FaultSettings, Fired};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Something to do to a running shop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase", deny_unknown_fields)]
pub enum Command {
    /// From now on, this goes wrong at the ports of a service; what is not given does not.
    Faults {
        /// Its name.
        service: String,
        /// What goes wrong.
        settings: FaultSettings,
    },
    /// A service dies where it stands: its tasks are gone, its connections are cut.
    Crash {
        /// Its name.
        service: String,
    },
    /// A service that crashed runs again, on the same database and the same port.
    Restart {
        /// Its name.
        service: String,
    },
    /// How often each thing went wrong, and which incarnation of each service runs.
    Fired,
}

/// What came of a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It is done.
    Done,
    /// The answer to [`Command::Fired`], by name of service.
    Fired(BTreeMap<String, State>),
    /// It could not be done, and why.
    Failed(String),
}

/// Where a service of a running shop stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// 1 from the start, one more with each restart.
    pub incarnation: u64,
    /// Whether it runs; not between a crash and the restart.
    pub runs: bool,
    /// What went wrong at its ports, in all its incarnations.
    pub fired: Fired,
}
