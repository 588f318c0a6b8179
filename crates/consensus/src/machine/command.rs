//! What an entry of the log may ask, and what comes of it.
//!
//! The order of variants and fields is a stored format: add at the end, never reorder.

use quorate_domain::{BootId, LogTime};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One wish to change the replicated state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Command {
    /// To the configuration.
    Catalog(quorate_catalog::Command),
    /// To the budgets.
    Ledger(quorate_ledger::Command),
    /// To who belongs to the cluster.
    Membership(quorate_membership::Command),
    /// To the records of requests with an `Idempotency-Key`.
    Idempotency(quorate_idempotency::Command),
}

/// What came of a command. A refusal is an outcome too: it was agreed on by all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The catalogue's answer.
    Catalog(quorate_catalog::Outcome),
    /// The ledger's answer.
    Ledger(quorate_ledger::Outcome),
    /// The membership's answer.
    Membership(quorate_membership::Outcome),
    /// A retry came so late that its first answer is forgotten. Whether it had been applied is not known.
    Forgotten,
    /// The records' answer.
    Idempotency(quorate_idempotency::Outcome),
}

/// Names one operation of one process, so that a retry is known as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OpId {
    /// The process.
    pub boot: BootId,
    /// Its operations, counted from 1.
    pub sequence: u64,
}

/// A command on its way into the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Who asked, for commands that must not be applied twice.
    pub origin: Option<OpId>,
    /// What is asked.
    pub command: Command,
}

/// What an entry of the log carries: many proposals with one log time, each answered on its own. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The leader's time of day when it wrote the entry.
    pub at: LogTime,
    /// The commands, applied in this order.
    pub proposals: Arc<[Proposal]>,
}

impl Command {
    /// The lowest level of a cluster in which it may be written (docs/adr/0025-levels.md).
    #[must_use]
    pub const fn level(&self) -> u32 {
        match self {
            Self::Catalog(_) | Self::Ledger(_) | Self::Idempotency(_) => 1,
            Self::Membership(command) => command.level(),
        }
    }

    /// Whether applying it twice is the same as applying it once, so that retries need no operation id.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        match self {
            Self::Catalog(_) => false,
            Self::Ledger(command) => command.is_idempotent(),
            Self::Membership(command) => command.is_idempotent(),
            Self::Idempotency(command) => command.is_idempotent(),
        }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} proposals at {}", self.proposals.len(), self.at)
    }
}
