//! The replicated configuration. Pure.

use quorate_domain::LogTime;
use serde::{Deserialize, Serialize};

/// Commands to the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Nothing but the passing of log time.
    Tick,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done.
    Done,
}

/// All configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {}

impl Catalog {
    /// Applies one committed command. Total and deterministic.
    pub fn apply(&mut self, _at: LogTime, _command: Command) -> Outcome {
        Outcome::Done
    }
}
