//! A template: a budget of which nothing is spent, from which each end user of an organisation has one of his own.

use quorate_domain::{BudgetId, LogTime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Bound;

/// For so many end users a template makes budgets, if it says nothing.
pub const END_USERS_MAX_DEFAULT: u32 = 10_000;

/// So many made budgets are looked at in turn, whenever one is made: whether they can be forgotten.
const LOOKED_AT_ONCE: usize = 64;

/// What a template has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    end_users_max: u32,
    made: BTreeSet<BudgetId>,
    /// The last that was looked at.
    looked_at: BudgetId,
}

/// Where a budget comes from that nobody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The template.
    pub template: BudgetId,
    /// When it was made.
    pub since: LogTime,
}

impl Template {
    pub(crate) const fn new(end_users_max: u32) -> Self {
        Self { end_users_max, made: BTreeSet::new(), looked_at: BudgetId::new(0) }
    }

    /// For how many end users it makes budgets at most.
    #[must_use]
    pub const fn end_users_max(&self) -> u32 {
        self.end_users_max
    }

    /// The budgets made from it.
    #[must_use]
    pub const fn made(&self) -> &BTreeSet<BudgetId> {
        &self.made
    }

    /// Whether it makes no more.
    pub(crate) fn is_full(&self) -> bool {
        self.made.len() >= usize::try_from(self.end_users_max).unwrap_or(usize::MAX)
    }

    pub(crate) const fn bound(&mut self, end_users_max: u32) {
        self.end_users_max = end_users_max;
    }

    pub(crate) fn made_one(&mut self, budget: BudgetId) {
        self.made.insert(budget);
    }

    pub(crate) fn lost_one(&mut self, budget: BudgetId) {
        self.made.remove(&budget);
    }

    /// Those whose turn it is to be looked at.
    pub(crate) fn next_to_look_at(&mut self) -> Vec<BudgetId> {
        let later = self.made.range((Bound::Excluded(self.looked_at), Bound::Unbounded));
        let next: Vec<_> =
            later.chain(self.made.range(..=self.looked_at)).take(LOOKED_AT_ONCE).copied().collect();
        self.looked_at = next.last().copied().unwrap_or_default();
        next
    }
}
