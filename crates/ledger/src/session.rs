//! Sessions: one life of one node as a holder of grants.

use crate::Mark;
use quorate_domain::{Amount, BootId, BudgetId, LogTime, NodeId, SessionId, WindowId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a session may spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// It may.
    Live,
    /// It reported the impossible; it gets nothing more and what it holds stays counted as spent.
    Frozen,
    /// It is gone and left no proof of what it spent; what it holds stays counted as spent until resolved.
    InDoubt,
}

/// One life of one node as a holder of grants. A session that ended without doubt is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The node.
    pub node: NodeId,
    /// The start of its process.
    pub boot: BootId,
    /// Whether it may spend.
    pub state: SessionState,
    /// The highest number of its messages that was heard.
    pub sequence: u64,
    /// Where it holds something, so that closing a session does not search every budget.
    pub holds: BTreeSet<(BudgetId, WindowId)>,
    /// Log time since which it is in its state.
    pub since: LogTime,
}

/// What a start of a node's process has told of its journal.
pub(crate) type Told = BTreeMap<(SessionId, BudgetId, WindowId), Mark>;

/// What a dead session held of one window, once its doubt has ended.
pub(crate) type Unproven = (BudgetId, WindowId, SessionId);

/// What the ledger remembers of a node from session to session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its latest session.
    pub latest: SessionId,
    /// The highest generation of its journal heard of; a lower one means that the disk was rolled back.
    pub generation: u64,
    /// What it told that it has overspent, by budget, since the node was founded: a report that comes again adds nothing.
    pub overspent: BTreeMap<BudgetId, Amount>,
    /// What each start of its process has told of its journal, until one of them opens a session: what an earlier one has told may come
    /// late.
    pub(crate) told: BTreeMap<BootId, Told>,
    /// Of what its dead sessions held and was settled without the word of its journal: how much went beyond grants, as far as was known.
    /// The journal may know of more, and tells it when the node opens its next session.
    pub(crate) unproven: BTreeMap<Unproven, Amount>,
}
