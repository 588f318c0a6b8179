//! Why a request gets no money, so that its caller can be told what to do.

use quorate_domain::{Amount, BudgetId};
use quorate_ledger::Shortage;

/// Why a request gets no money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The ledger has not enough of it.
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
    },
    /// The ledger could not be asked, or the line is full.
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
    /// Others hold what would be needed; when their requests end, some may come back.
    Held,
}

/// What a shortage means to a request that needs this much. `None` if it may only have been unlucky in its place:
/// enough may come back.
pub(super) fn judge(need: Amount, shortage: &Shortage) -> Option<Cause> {
    let at_best = shortage.free.saturating_add(shortage.held).saturating_add(shortage.own);
    if need > shortage.limit {
        Some(Cause::TooBig)
    } else if need > at_best {
        Some(Cause::Spent)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_never_come_back_is_turned_away_at_once() {
        let amount = Amount::new;
        let shortage = Shortage {
            limit: amount(100),
            free: amount(5),
            held: amount(10),
            own: amount(3),
            in_doubt: amount(50),
        };
        assert_eq!(judge(amount(101), &shortage), Some(Cause::TooBig));
        assert_eq!(judge(amount(19), &shortage), Some(Cause::Spent));
        assert_eq!(judge(amount(18), &shortage), None);
    }
}
