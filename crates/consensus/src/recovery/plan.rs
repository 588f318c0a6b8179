//! A plan of recovery: which copy the cluster would go on with, and what that keeps and loses. Written as JSON, read again by whoever
//! applies it.

use quorate_domain::{BudgetId, LogTime, NodeId, SessionId};
use serde::{Deserialize, Serialize};

/// The format of a plan. Raised when a program of today could not read one.
pub(super) const FORMAT: u32 = 1;

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The term of the leader that put it there.
    pub term: u64,
    /// The index.
    pub index: u64,
}

/// A directory that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRead {
    /// Where it is.
    pub directory: String,
    /// Which node.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// The last entry that it has.
    pub last: At,
    /// The last entry that it knows a majority to have had.
    pub committed: At,
}

/// An entry that is kept although nobody knows whether it was ever acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncertain {
    /// Where it stands.
    pub at: At,
    /// When it was written, in milliseconds since 1970.
    pub log_time_ms: Option<LogTime>,
    /// What it asks, in words.
    pub asks: Vec<String>,
}

/// What the directories that were not read may hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Unknowable {
    /// The others are no majority without one of those that were read: they agreed on nothing more.
    Nothing,
    /// The others are a majority by themselves: whatever they agreed on behind the last entry is lost.
    Later {
        /// The last entry that is kept.
        after: At,
        /// Its log time, or that of the last entry before it that has one.
        since_ms: LogTime,
    },
}

/// A member that is no member afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftBehind {
    /// Its id.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// Where its peers reached it.
    pub address: String,
    /// Whether it voted.
    pub is_voter: bool,
    /// Whether its directory was read for this plan.
    pub was_read: bool,
}

/// What counts as spent afterwards, because its holder is left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charged {
    /// The budget.
    pub budget: BudgetId,
    /// Whose it is.
    pub subject: String,
    /// Of what.
    pub unit: String,
    /// Who held it.
    pub node: NodeId,
    /// In which of its lives.
    pub session: SessionId,
    /// How much.
    pub amount: u64,
}

/// The plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The format of this file.
    pub format: u32,
    /// What this plan is called: the same directory gives the same.
    pub plan: String,
    /// The cluster, hexadecimal.
    pub cluster: String,
    /// Its lineage now.
    pub lineage: u32,
    /// The copy that the cluster goes on with.
    pub keeper: CopyRead,
    /// Why that one.
    pub why: String,
    /// SHA-256 of what the keeper's directory holds, hexadecimal.
    pub digest: String,
    /// The other copies that were read.
    pub others: Vec<CopyRead>,
    /// Up to here a majority had everything.
    pub proven: At,
    /// What is kept beyond that.
    pub uncertain: Vec<Uncertain>,
    /// What may be lost.
    pub unknowable: Unknowable,
    /// Who is left behind.
    pub left_behind: Vec<LeftBehind>,
    /// What they held.
    pub charged: Vec<Charged>,
    /// What the keeper itself spent, by its journal, of grants that its copy does not hold. Counted as overspend.
    pub spent_beyond: Vec<Charged>,
}

impl Plan {
    /// The lineage afterwards.
    #[must_use]
    pub const fn next_lineage(&self) -> u32 {
        self.lineage.saturating_add(1)
    }
}
