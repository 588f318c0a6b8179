//! What a session asks the ledger for before anybody waits: where a grant runs low, and of windows that begin soon.
//!
//! There may be a hundred thousand accounts in use. They are walked over a few times a second, and nobody waits for that.

use crate::Wallet;
use crate::account::Account;
use quorate_domain::{Amount, BudgetId, MonoTime};
use quorate_ledger::{Ask, Ledger, Urgency};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How often more is asked for ahead of need: what could not be had cannot be had in the next instant either.
const AHEAD_EVERY: Duration = Duration::from_millis(100);
/// So many accounts may be walked over whenever something is said; more of them not more often than they are asked for.
pub(crate) const FEW: usize = 1_000;
/// The next window of a budget is asked for so long before the open one ends, or up to `NEXT_SPREAD` earlier: not all budgets
/// are asked for in one message.
const NEXT_BEFORE: Duration = Duration::from_secs(5);
const NEXT_SPREAD: Duration = Duration::from_secs(20);
/// Budgets are spread over so many moments.
const NEXT_MOMENTS: u32 = 1_024;
/// So many are asked for in a message at most, which has to fit into an entry of the log.
const ASKED_AT_ONCE: usize = 2_000;

/// When it was looked, and for what.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// For grants that run low.
    low: MonoTime,
    /// For budgets whose window ends soon.
    next: MonoTime,
    /// When more was asked for ahead of need.
    asked: BTreeMap<BudgetId, MonoTime>,
}

/// All that is looked at to decide what to ask for ahead of need. Where requests wait it is asked for them.
pub(crate) struct Forward<'a> {
    pub(crate) wallet: &'a Wallet,
    pub(crate) ledger: &'a Ledger,
    pub(crate) waited_at: &'a BTreeSet<BudgetId>,
    pub(crate) now: MonoTime,
}

impl Forward<'_> {
    pub(crate) fn asks(&self, looked: &mut Looked) -> Vec<Ask> {
        let mut asks = self.asks_ahead(looked);
        asks.extend(self.asks_for_next(looked));
        asks
    }

    /// For accounts that run low, before anybody has to wait.
    fn asks_ahead(&self, looked: &mut Looked) -> Vec<Ask> {
        let active = self.wallet.active.lock();
        if active.len() > FEW && self.now.since(looked.low) < AHEAD_EVERY {
            return Vec::new();
        }
        looked.low = self.now;
        looked.asked.retain(|_, asked| self.now.since(*asked) < AHEAD_EVERY);
        let has_more = |budget: BudgetId| {
            self.ledger.budget(budget).is_some_and(|budget| !budget.free_at(self.ledger.time()).is_zero())
        };
        let runs_low = |account: &&Arc<Account>| {
            !account.has_ended_at(self.now)
                && !account.is_idle_at(self.now)
                && account.is_low()
                && !self.waited_at.contains(&account.budget())
                && self.wallet.is_current(account)
                && !looked.asked.contains_key(&account.budget())
                && has_more(account.budget())
        };
        let ask = |account: &Arc<Account>| Ask {
            budget: account.budget(),
            window: Some(account.window().id),
            places: Vec::new(),
            want: account.welcome(Amount::ZERO, self.now),
            urgency: Urgency::CanWait,
        };
        let asks: Vec<Ask> = active.values().filter(runs_low).take(ASKED_AT_ONCE).map(ask).collect();
        looked.asked.extend(asks.iter().map(|ask| (ask.budget, self.now)));
        asks
    }

    /// For windows that begin soon, of budgets that are in use.
    fn asks_for_next(&self, looked: &mut Looked) -> Vec<Ask> {
        if self.now.since(looked.next) < AHEAD_EVERY {
            return Vec::new();
        }
        looked.next = self.now;
        let ends_soon = |account: &&Arc<Account>| {
            account.ends_within(next_asked_before(account.budget()), self.now)
                && !account.has_ended_at(self.now)
                && !account.is_idle_at(self.now)
                && !self.waited_at.contains(&account.budget())
                && self.wallet.is_current(account)
                && self.wallet.next(account.budget()).is_none()
        };
        let ask = |account: &Arc<Account>| {
            let next = self.ledger.upcoming(account.budget())?;
            Some(Ask {
                budget: account.budget(),
                window: Some(next.id),
                places: Vec::new(),
                want: account.welcome_next(),
                urgency: Urgency::CanWait,
            })
        };
        self.wallet.active.lock().values().filter(ends_soon).filter_map(ask).take(ASKED_AT_ONCE).collect()
    }
}

fn next_asked_before(budget: BudgetId) -> Duration {
    let moment = u32::try_from(budget.get() % u64::from(NEXT_MOMENTS)).unwrap_or_default();
    NEXT_BEFORE + NEXT_SPREAD * moment / NEXT_MOMENTS
}
