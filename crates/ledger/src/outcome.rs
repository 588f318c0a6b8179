//! What comes of a command. A refusal is an outcome like any other: it is replicated, and the same everywhere.
//!
//! The order of variants and fields is a stored format (retries are answered from it): add at the end, never reorder.

use crate::Mode;
use quorate_domain::{Amount, BudgetId, Revision, SessionId, Span, Window};
use serde::{Deserialize, Serialize};

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done, and there is nothing to tell.
    Done,
    /// The budget is stored.
    BudgetStored {
        /// Its id.
        budget: BudgetId,
        /// Its revision now.
        revision: Revision,
    },
    /// The session is open.
    SessionOpened {
        /// Its id; higher than every earlier one.
        session: SessionId,
    },
    /// The report was taken; one answer to each ask, in order.
    Synced {
        /// The answers.
        answers: Vec<Answer>,
    },
    /// The session is not alive: its node must stop spending at once and open a new one.
    Fenced,
    /// Nothing was changed.
    Rejected(Rejection),
}

/// The answer to one ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// What the session holds in the current window after the ask.
    Holds {
        /// The budget.
        budget: BudgetId,
        /// The current window.
        window: Window,
        /// Everything granted to the session in this window so far. May be more than the need, or less if short.
        granted: Amount,
        /// How long the grant is good for, counted from when the ask was sent; for ever in a lifetime budget.
        valid_for: Span,
        /// How the budget is handed out from now on.
        mode: Mode,
        /// Why the need was not met, if it was not.
        short: Option<Shortage>,
    },
    /// The window asked for is over; ask again for this one.
    WindowOver {
        /// The budget.
        budget: BudgetId,
        /// The window that is open now.
        current: Window,
    },
    /// There is no such budget any more: its subject is free of it.
    UnknownBudget {
        /// The budget.
        budget: BudgetId,
    },
}

/// Why a need was not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shortage {
    /// The limit of the budget.
    pub limit: Amount,
    /// Left in the pool.
    pub free: Amount,
    /// Granted to other live sessions and not yet reported as spent: some of it may come back.
    pub held: Amount,
    /// Granted to the asking session and not yet reported as spent.
    pub own: Amount,
    /// Granted to dead sessions: counted as spent until it is resolved.
    pub in_doubt: Amount,
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// No budget has this id.
    #[error("there is no budget {0}")]
    UnknownBudget(BudgetId),
    /// There already is a budget of this subject, unit and kind.
    #[error("budget {0} already limits this subject in this unit and kind; change that one")]
    BudgetExists(BudgetId),
    /// There is no budget of this subject, unit and kind to change.
    #[error("there is no budget of this subject, unit and kind to change")]
    BudgetAbsent,
    /// Somebody else changed the budget first.
    #[error("budget {budget} is at revision {stored} now; read it again and repeat the change")]
    RevisionMismatch {
        /// The budget.
        budget: BudgetId,
        /// Its revision.
        stored: Revision,
    },
    /// No session has this id.
    #[error("there is no session {0}")]
    UnknownSession(SessionId),
    /// The session still holds grants.
    #[error("session {0} still holds grants; report and return them first")]
    StillHolding(SessionId),
    /// Only what a dead session holds can be resolved.
    #[error("session {0} is alive; only what a dead session holds can be resolved")]
    SessionAlive(SessionId),
    /// The session never held anything there.
    #[error("session {0} holds nothing of that budget and window")]
    NothingHeld(SessionId),
    /// The report contradicts what was granted: more spent and returned than was ever held.
    #[error("session {session} reports more of budget {budget} than it was granted; it is frozen")]
    Inconsistent {
        /// The session.
        session: SessionId,
        /// The budget.
        budget: BudgetId,
    },
}
