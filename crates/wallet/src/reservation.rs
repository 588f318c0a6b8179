//! A reservation: what a request took from every budget of its path, until it is settled.

use crate::overdraft::{Entry, Overdrawn};
use crate::{Account, Cost};
use quorate_domain::{Amount, BudgetId, Unit, WindowId};
use std::sync::Arc;

/// Part of a reservation: what was taken from one budget.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) account: Arc<Account>,
    pub(crate) unit: Unit,
    pub(crate) amount: Amount,
}

/// What a request cost beyond its reservation: nothing, unless a provider broke its own limit.
///
/// No watermark covers it. Nobody may hear of the request's end before [`Overrun::is_durable`] (G1).
#[derive(Debug)]
#[must_use = "overrun that is not made durable is lost with the node"]
pub struct Overrun {
    pub(crate) accounts: Vec<Arc<Account>>,
    overspent: Vec<Entry>,
}

impl Overrun {
    /// Whether the journal holds all of it.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.accounts.iter().all(|account| account.is_overrun_durable())
            && self.overspent.iter().all(Entry::is_durable)
    }
}

/// What a request took from the budgets of its path. All of them or none.
///
/// Dropped without being settled, it is charged in full: a request whose end nobody saw may have cost that much.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is charged in full"]
pub struct Reservation {
    parts: Vec<Part>,
    /// What no grant covers. Nearly always nothing.
    overdrawn: Vec<Overdrawn>,
}

impl Reservation {
    pub(crate) fn new(parts: Vec<Part>) -> Self {
        Self { parts, overdrawn: Vec::new() }
    }

    /// Charges what was really spent and gives back the rest. More than was reserved is booked as overrun.
    pub fn settle(mut self, spent: &Cost) -> Overrun {
        let overran = |part: Part| {
            let overran = part.account.settle(part.amount, spent.to_charge(part.unit));
            overran.then_some(part.account)
        };
        let accounts = self.parts.drain(..).filter_map(overran).collect();
        let settle = |part: Overdrawn| {
            let spent = spent.to_charge(part.unit());
            part.settle(spent)
        };
        Overrun { accounts, overspent: self.overdrawn.drain(..).filter_map(settle).collect() }
    }

    /// Gives everything back: the attempt cost nothing.
    pub fn cancel(self) {
        let _none = self.settle(&Cost::NOTHING);
    }

    /// Whether what will be left of it is wanted elsewhere: it should be reported as soon as it is settled.
    #[must_use]
    pub fn is_recalled(&self) -> bool {
        self.parts.iter().any(|part| part.account.is_closed())
    }

    /// Whether the journal covers all that no grant does, so that the request may be sent.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        self.overdrawn.iter().all(Overdrawn::is_durable)
    }

    /// Whether it spends what nobody granted.
    #[must_use]
    pub fn overspends(&self) -> bool {
        !self.overdrawn.is_empty()
    }

    /// What was taken of grants, budget by budget.
    pub fn taken(&self) -> impl Iterator<Item = (BudgetId, WindowId, Amount)> {
        self.parts.iter().map(|part| (part.account.budget(), part.account.window().id, part.amount))
    }

    /// The least that was taken from a budget of this unit; `None` if there is none on the path.
    #[must_use]
    pub fn least(&self, unit: Unit) -> Option<Amount> {
        self.parts.iter().filter(|part| part.unit == unit).map(|part| part.amount).min()
    }

    /// Gives back what was taken beyond a lower bound of the cost.
    pub fn shrink(&mut self, bound: &Cost) {
        for part in &mut self.parts {
            let beyond = part.amount.saturating_sub(bound.to_reserve(part.unit));
            part.account.shrink(beyond);
            part.amount = part.amount.saturating_sub(beyond);
        }
        for part in &mut self.overdrawn {
            part.shrink(bound.to_reserve(part.unit()));
        }
    }

    /// Splits off the permits, which a request keeps from attempt to attempt.
    pub fn split_permits(&mut self) -> Self {
        Self::new(self.parts.extract_if(.., |part| part.unit == Unit::Permits).collect())
    }

    /// Whether no budget limits the request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.overdrawn.is_empty()
    }

    pub(crate) fn push(&mut self, part: Part) {
        self.parts.push(part);
    }

    pub(crate) fn overdraw(&mut self, part: Overdrawn) {
        self.overdrawn.push(part);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        for part in self.parts.drain(..) {
            // A permit is held while the request runs, and the request is over.
            let charged = if part.unit == Unit::Permits { Amount::ZERO } else { part.amount };
            part.account.settle(part.amount, charged);
        }
        for part in self.overdrawn.drain(..) {
            let all = part.amount();
            let _within = part.settle(all);
        }
    }
}
