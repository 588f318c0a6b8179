//! The replicated quota state machine: budgets, sessions, grants. Pure.

use quorate_domain::LogTime;
use serde::{Deserialize, Serialize};

/// Commands to the ledger.
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

/// All budgets and sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {}

impl Ledger {
    /// Applies one committed command. Total and deterministic.
    pub fn apply(&mut self, _at: LogTime, _command: Command) -> Outcome {
        Outcome::Done
    }
}
