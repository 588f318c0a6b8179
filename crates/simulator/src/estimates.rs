//! Buckets that go by estimates: what requests are expected to use is drawn anew, from nothing to their bound, so that many use
//! more.

use crate::plan::{BudgetPlan, KindPlan, Plan, RequestPlan};
use crate::world::in_unit;
use quorate_domain::Unit;
use quorate_ledger::Reserve;
use rand::{Rng, RngExt};

impl Plan {
    /// Its buckets of tokens go by estimates.
    #[must_use]
    pub(crate) fn by_estimates(mut self, draw: &mut impl Rng) -> Self {
        let pays_debts = |budget: &&mut BudgetPlan| {
            budget.unit == Unit::Tokens && matches!(budget.kind, KindPlan::Bucket(_))
        };
        let buckets = self.budgets.iter_mut().filter(pays_debts);
        buckets.for_each(|bucket| bucket.reserve = Reserve::Estimate);
        // As good as can be, or far too low for most.
        let is_low = draw.random_bool(0.5);
        for request in &mut self.requests {
            let most = if is_low { request.bound.div_ceil(4) } else { request.bound };
            request.expected = draw.random_range(1..=most);
        }
        self
    }
}

impl BudgetPlan {
    /// What a request takes of it, if there is so much.
    pub(crate) fn most_of(&self, request: &RequestPlan) -> u64 {
        match self.reserve {
            Reserve::Bound => in_unit(self.unit, request.bound),
            Reserve::Estimate => in_unit(self.unit, request.expected.min(request.bound)),
        }
    }

    /// What it cannot do without.
    pub(crate) fn least_of(&self, request: &RequestPlan) -> u64 {
        match self.reserve {
            Reserve::Bound => in_unit(self.unit, request.cut_to.unwrap_or(request.bound)),
            Reserve::Estimate => self.most_of(request),
        }
    }
}
