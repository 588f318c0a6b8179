//! What a request that waits may still hope for. Decided on one replica, without a word to the log.

use crate::{Account, Budget, Ledger, Shown};
use quorate_domain::{Amount, BudgetId, PlaceId, Round, SessionId, Span, WindowId};

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

/// Where a request stands in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The window it waits for.
    pub window: WindowId,
    /// The first round that shows something about it.
    pub proves_from: Round,
    /// Its session.
    pub session: SessionId,
    /// Its name.
    pub id: PlaceId,
}

/// How long a request waits, and behind whom. Nothing but a bucket fills again meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// So long it may wait from any instant after it came.
    pub within: Span,
    /// What those take who are served before it.
    pub ahead: Amount,
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
    /// Granted and spent beyond the limit: as much must come back, or leak, before anything is there.
    pub owed: Amount,
    /// Of a bucket: what has leaked by the time until which it would be waited. Where others stand before the request, the most
    /// that can have: what they spend leaks too.
    pub coming: Amount,
    /// Of a bucket: how long it takes from now until enough has leaked, if nothing that is held comes back.
    pub refills_in: Option<Span>,
}

impl Ledger {
    /// What a request for `need` may hope for; without its place in line, only what no return can change. True of the instant
    /// this replica shows.
    #[must_use]
    pub fn prospect(
        &self,
        budget: BudgetId,
        need: Amount,
        patience: Patience,
        standing: Option<Standing>,
    ) -> Option<(Prospect, Shortage)> {
        let found = self.budget(budget)?;
        let account = found.account_at(self.time(), self.zones());
        let shortage = self.shortage(found, &account, need, patience);
        let prospect = self.hopeless(need, patience.ahead, &shortage);
        Some((prospect.unwrap_or_else(|| self.judge(&account, need, standing)), shortage))
    }

    /// Of a bucket nobody is called hopeless who could be served now, nor who could be served in its turn within its patience.
    fn hopeless(&self, need: Amount, ahead: Amount, shortage: &Shortage) -> Option<Prospect> {
        if need > shortage.limit {
            return Some(Prospect::TooBig);
        }
        let all = shortage.free.saturating_add(shortage.held);
        let now = all.saturating_sub(shortage.owed);
        let then = all.saturating_add(shortage.coming).saturating_sub(shortage.owed);
        let in_turn = if shortage.coming.is_zero() { need } else { need.saturating_add(ahead) };
        let is_hopeless = need > now && in_turn > then;
        let is_in_doubt = need <= all.saturating_add(shortage.in_doubt).saturating_sub(shortage.owed);
        is_hopeless.then_some(if is_in_doubt { Prospect::InDoubt } else { Prospect::Spent })
    }

    fn judge(&self, account: &Account, need: Amount, standing: Option<Standing>) -> Prospect {
        let proof = standing.filter(|standing| standing.window == account.window().id).and_then(|standing| {
            let Standing { proves_from, session, id, .. } = standing;
            let denies = |shown: &Shown<'_>| need > shown.left_for(session, id);
            account.shown_from(proves_from).filter(denies).min_by_key(|shown| shown.doubtful().count())
        });
        let Some(shown) = proof else { return Prospect::Open };
        let lost = self.lost(account).filter(|(session, _)| !shown.is_doubtful(*session));
        Prospect::Held {
            doubtful: sum(shown.doubtful().map(|(_, held)| held)),
            lost: sum(lost.map(|(_, held)| held)),
        }
    }

    fn shortage(&self, budget: &Budget, account: &Account, need: Amount, patience: Patience) -> Shortage {
        let now = self.time();
        let is_first = patience.ahead.is_zero();
        let limit_then = if is_first {
            budget.limit_at(now.plus(patience.within))
        } else {
            budget.limit_at_most(now, patience.within)
        };
        let in_doubt = sum(self.lost(account).map(|(_, held)| held));
        let limit = budget.limit_at(now);
        let (free, owed) = (account.free(limit), account.excess(limit));
        Shortage {
            limit: budget.spec().limit,
            free,
            held: account.outstanding().saturating_sub(in_doubt),
            in_doubt,
            owed,
            coming: limit_then.saturating_sub(limit),
            refills_in: budget.leaks_in(need.saturating_add(owed).saturating_sub(free), now),
        }
    }

    /// What dead sessions hold.
    fn lost(&self, account: &Account) -> impl Iterator<Item = (SessionId, Amount)> {
        let held = account.holdings().map(|(session, holding)| (session, holding.outstanding()));
        held.filter(|(session, _)| !self.is_live(*session))
    }
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::ZERO, Amount::saturating_add)
}
