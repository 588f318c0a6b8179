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
    /// Even if all that live returned everything, it would not be enough: only with what dead sessions hold.
    InDoubt,
    /// Others hold what it would need. A round has shown that at an instant not enough was unreserved, but for what the
    /// doubtful hold, who have not answered.
    Held {
        /// Granted to sessions about which the round proves nothing.
        doubtful: Amount,
        /// Granted to sessions that were dead when it began.
        lost: Amount,
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
        let of_the_living = shortage.free.saturating_add(shortage.held);
        if need > of_the_living {
            let is_in_doubt = need <= of_the_living.saturating_add(shortage.in_doubt);
            return if is_in_doubt { Prospect::InDoubt } else { Prospect::Spent };
        }
        let tally = from
            .filter(|(window, _)| *window == account.window().id)
            .and_then(|(_, round)| account.tally_from(round));
        match tally {
            Some(tally) if need > tally.at_most => Prospect::Held {
                doubtful: sum(tally.doubtful.values().copied()),
                lost: sum(self
                    .lost(account)
                    .filter(|(it, _)| !tally.doubtful.contains_key(it))
                    .map(|(_, held)| held)),
            },
            Some(_) | None => Prospect::Open,
        }
    }

    fn shortage(&self, account: &Account, limit: Amount) -> Shortage {
        let in_doubt = sum(self.lost(account).map(|(_, held)| held));
        let held = account.outstanding().saturating_sub(in_doubt);
        Shortage { limit, free: account.free(limit), held, in_doubt }
    }

    /// What dead sessions hold.
    fn lost(&self, account: &Account) -> impl Iterator<Item = (SessionId, Amount)> {
        let held = account.holdings().map(|(session, holding)| (session, holding.outstanding()));
        held.filter(|(session, _)| !self.is_live(*session))
    }

    fn is_live(&self, session: SessionId) -> bool {
        self.session(session).is_some_and(|life| life.state == SessionState::Live)
    }
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::ZERO, Amount::saturating_add)
}
