//! Why a request gets no money, so that its caller can be told what to do.

use quorate_domain::{Amount, BudgetId};
use quorate_ledger::Shortage;

/// Why a request gets no money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// At an instant while it waited, the ledger had not enough of it (G2).
    #[error("budget {budget} has too little left: {need} needed, limit {}", shortage.limit)]
    Denied {
        /// The budget.
        budget: BudgetId,
        /// What the request would have needed of it.
        need: Amount,
        /// What the ledger has.
        shortage: Shortage,
        /// What that means.
        cause: Cause,
        /// Held by nodes that died or gave no answer: it is not known whether they need it.
        doubtful: Amount,
    },
    /// The ledger could not be asked, or the line is full. Says nothing about the budget.
    #[error("the budget could not be reserved: the ledger is out of reach")]
    Unavailable,
}

/// What a shortage means to the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The request is larger than the whole budget: it can never be served.
    TooBig,
    /// The budget is spent.
    Spent,
    /// What is not spent is held by nodes that died: whether it was spent is not known until they come back, or somebody
    /// resolves it.
    InDoubt,
    /// Others hold what would be needed; when their requests end, some may come back.
    Held,
}
