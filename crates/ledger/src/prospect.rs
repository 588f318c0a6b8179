//! What a request that waits may still hope for. Decided on one replica, without a word to the log.

use crate::{Account, Ledger, SessionState};
use quorate_domain::{Amount, BudgetId, Round, SessionId, WindowId};

/// What a request that waits for an amount of a budget may hope for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// It is larger than the whole budget.
    TooBig,
    /// The budget is spent: even if everyone returned everything, it would not be enough.
    Spent,
    /// Others hold what it would need. A round has shown that at an instant not enough was unreserved, but for what the
    /// doubtful hold, who have not answered.
    Held {
        /// Granted to sessions about which the round proves nothing.
        doubtful: Amount,
    },
    /// Perhaps enough is unreserved, or will be.
    Open,
}

/// Where the units of a window are, as far as a denial is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The limit of the budget.
    pub limit: Amount,
    /// Left in the pool.
    pub free: Amount,
    /// Granted to live sessions and not reported as spent: reserved, or on its way back.
    pub held: Amount,
    /// Granted to dead sessions: counted as spent until it is resolved.
    pub in_doubt: Amount,
}

impl Ledger {
    /// What a request for `need` may hope for. `from` is the first round that shows something about it; without one
    /// only what no return can change is said. True of the instant this replica shows.
    #[must_use]
    pub fn prospect(
        &self,
        budget: BudgetId,
        need: Amount,
        from: Option<(WindowId, Round)>,
    ) -> Option<(Prospect, Shortage)> {
        let found = self.budget(budget)?;
        let account = found.account_at(self.time());
        let shortage = self.shortage(&account, found.spec().limit);
        Some((self.judge(&account, need, from, &shortage), shortage))
    }

    fn judge(
        &self,
        account: &Account,
        need: Amount,
        from: Option<(WindowId, Round)>,
        shortage: &Shortage,
    ) -> Prospect {
        if need > shortage.limit {
            return Prospect::TooBig;
        }
        if need > shortage.free.saturating_add(shortage.held) {
            return Prospect::Spent;
        }
        let tally = from
            .filter(|(window, _)| *window == account.window().id)
            .and_then(|(_, round)| account.tally_from(round));
        match tally {
            Some(tally) if need > tally.at_most => {
                let doubtful =
                    tally.doubtful.values().fold(Amount::ZERO, |sum, held| sum.saturating_add(*held));
                Prospect::Held { doubtful }
            }
            Some(_) | None => Prospect::Open,
        }
    }

    fn shortage(&self, account: &Account, limit: Amount) -> Shortage {
        let mut shortage =
            Shortage { limit, free: account.free(limit), held: Amount::ZERO, in_doubt: Amount::ZERO };
        for (session, holding) in account.holdings() {
            let sum = if self.is_live(session) { &mut shortage.held } else { &mut shortage.in_doubt };
            *sum = sum.saturating_add(holding.outstanding());
        }
        shortage
    }

    fn is_live(&self, session: SessionId) -> bool {
        self.session(session).is_some_and(|life| life.state == SessionState::Live)
    }
}
