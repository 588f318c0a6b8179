//! Doubt: what a dead session holds and may have spent, and how it ends: with its window, by an operator's word, or by a
//! rule of the budget.

use crate::SessionState;
use quorate_domain::{Amount, BudgetId, LogTime, NodeId, SessionId, Span, WindowId};
use serde::{Deserialize, Serialize};

/// So many resolutions are kept of each budget, to be looked at; and by these a repeated one is known.
pub(crate) const RESOLUTIONS_KEPT: usize = 16;

/// What becomes of doubt in a lifetime budget if nobody resolves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AutoResolve {
    /// It stays until somebody does.
    #[default]
    Never,
    /// All of it is taken as spent. Nothing can be overspent.
    AsSpent {
        /// So long after the session died.
        after: Span,
    },
    /// Nothing beyond what the session had reported is taken as spent. What it spent and did not report is spent twice.
    AsReportedMayOverspend {
        /// So long after the session died.
        after: Span,
    },
}

impl AutoResolve {
    /// What is taken as spent of this doubt at this time; `None` if it is left alone.
    pub(crate) fn spent(self, doubt: &Doubt, now: LogTime) -> Option<Amount> {
        let is_due = |after| now >= doubt.since.plus(after);
        match self {
            Self::Never => None,
            Self::AsSpent { after } => is_due(after).then_some(doubt.most),
            Self::AsReportedMayOverspend { after } => is_due(after).then_some(doubt.least),
        }
    }

    /// The reason that is written down when it comes to that.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Never => "auto_resolve never".to_owned(),
            Self::AsSpent { after } => format!("auto_resolve as_spent after {} ms", after.millis()),
            Self::AsReportedMayOverspend { after } => {
                format!("auto_resolve as_reported_may_overspend after {} ms", after.millis())
            }
        }
    }
}

/// What one dead session holds of one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The budget.
    pub budget: BudgetId,
    /// The window.
    pub window: WindowId,
    /// The session.
    pub session: SessionId,
    /// Its node.
    pub node: NodeId,
    /// Why it may spend no more.
    pub state: SessionState,
    /// Log time of its end.
    pub since: LogTime,
    /// It spent at least this: it said so.
    pub least: Amount,
    /// And no more than this: it had no more.
    pub most: Amount,
}

/// Doubt that ended, and by whose word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Log time.
    pub at: LogTime,
    /// The session that was dead.
    pub session: SessionId,
    /// Its node.
    pub node: NodeId,
    /// The window.
    pub window: WindowId,
    /// What it is taken to have spent in all.
    pub spent: Amount,
    /// What went back to the pool.
    pub released: Amount,
    /// Who said so.
    pub actor: String,
    /// Why.
    pub reason: String,
}
