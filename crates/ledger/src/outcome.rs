//! What comes of a command. A refusal is an outcome like any other: it is replicated, and the same everywhere.
//!
//! The order of variants and fields is a stored format (retries are answered from it): add at the end, never reorder.

use crate::Account;
use quorate_domain::{Amount, BudgetId, NodeId, PlaceId, Revision, Round, SessionId, Span, Window, ZoneName};
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// What the session holds in the current window after the ask.
    Holds {
        /// The budget.
        budget: BudgetId,
        /// The current window, as the session sees it.
        view: View,
        /// How long the grant is good for, counted from when the ask was sent; for ever in a lifetime budget.
        valid_for: Span,
        /// The first round that shows something about the requests of this ask.
        proves_from: Round,
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

/// A window as one session sees it: what it holds there, and how the window is handed out. The newer version counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The window.
    pub window: Window,
    /// Rises with each change of the account.
    pub version: u64,
    /// Everything granted to the session so far.
    pub granted: Amount,
    /// Requests of the session that were granted what they need, and how much that is, as far as it mentioned them last.
    pub served: Vec<(PlaceId, Amount)>,
    /// In central mode: which spell of it, and which round.
    pub central: Option<Spell>,
}

/// Central mode as one session sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spell {
    /// The round with which it began: another number is another spell.
    pub since: Round,
    /// The round under way, or the latest.
    pub round: Round,
    /// Whether that round waits for the session's answer.
    pub is_asked: bool,
}

impl View {
    /// The window as this session sees it.
    #[must_use]
    pub fn of(account: &Account, session: SessionId) -> Self {
        let holding = account.holding(session);
        Self {
            window: account.window(),
            version: account.version(),
            granted: holding.map(|holding| holding.granted).unwrap_or_default(),
            served: holding.map(|holding| holding.served.clone().into_iter().collect()).unwrap_or_default(),
            central: account.central().map(|central| Spell {
                since: central.since(),
                round: central.round(),
                is_asked: central.asks(session),
            }),
        }
    }
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
    /// The command was made before the node's latest session began.
    #[error("node {node} has opened session {latest} since")]
    LaterSession {
        /// The node.
        node: NodeId,
        /// Its latest session.
        latest: SessionId,
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
    /// A dead session cannot have spent that.
    #[error("session {session} spent from {least} to {most} of that budget, and neither less nor more")]
    SpentOutOfRange {
        /// The session.
        session: SessionId,
        /// It reported as much.
        least: Amount,
        /// It was granted, and did not return, no more.
        most: Amount,
    },
    /// What a dead session holds of a bucket leaks once it is taken as spent, and it may still spend it.
    #[error(
        "session {session} may spend what it holds of that bucket for {left_ms} ms more, if its node lives; then it is taken as spent by itself"
    )]
    MaySpendYet {
        /// The session.
        session: SessionId,
        /// How much longer, in milliseconds of log time.
        left_ms: u64,
    },
    /// The budget would follow a time zone whose rules nobody told the ledger.
    #[error("the rules of time zone {0} are not in the ledger yet")]
    UnknownTimeZone(ZoneName),
    /// A template has made budgets for as many end users as it may.
    #[error("budget {budget} has been made for {most} end users already, and may be for no more")]
    TooManyEndUsers {
        /// The template.
        budget: BudgetId,
        /// How many it may have.
        most: u32,
    },
}
