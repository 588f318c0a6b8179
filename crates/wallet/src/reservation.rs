//! A reservation: what a request took from every budget of its path, until it is settled.

use crate::overdraft::{Entry, Overdrawn};
use crate::{Account, Charge, Cost, Need};
use quorate_domain::{Amount, BudgetId, Unit, WindowId};
use quorate_ledger::Reserve;
use std::sync::Arc;

/// Part of a reservation: what was taken from one budget.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) account: Arc<Account>,
    unit: Unit,
    reserve: Reserve,
    amount: Amount,
    /// What is charged if nobody can tell what the request cost.
    full: Amount,
}

impl Part {
    /// What a request that asks for so much took.
    pub(crate) fn new(account: Arc<Account>, charge: Charge, amount: Amount, asks: &Need) -> Self {
        let Charge { unit, reserve, .. } = charge;
        let full = match (unit, reserve) {
            // A permit is held while the request runs, and the request is over.
            (Unit::Permits, _) => Amount::ZERO,
            (_, Reserve::Bound) => amount,
            (_, Reserve::Estimate) => asks.most.to_reserve(unit),
        };
        Self { account, unit, reserve, amount, full }
    }

    /// Ends it with this charge. What was more than was reserved.
    fn settle(self, spent: Amount) -> Option<Beyond> {
        let upto = self.account.settle(self.amount, spent)?;
        Some(Beyond { account: self.account, by: spent.saturating_sub(self.amount), upto })
    }
}

/// What was charged to an account beyond a reservation.
#[derive(Debug)]
pub(crate) struct Beyond {
    pub(crate) account: Arc<Account>,
    pub(crate) by: Amount,
    /// What the account had of it with that. Others may add to it before the journal is written, which is theirs to wait for.
    pub(crate) upto: Amount,
}

/// What a request cost beyond its reservation: beyond what it was expected to use, or because a provider broke its own limit.
///
/// No watermark covers it. Nobody may hear of the request's end before [`Overrun::is_durable`] (G1).
#[derive(Debug)]
#[must_use = "overrun that is not made durable is lost with the node"]
pub struct Overrun {
    pub(crate) accounts: Vec<Beyond>,
    pub(crate) overspent: Vec<Entry>,
}

impl Overrun {
    /// Whether the journal holds all of it.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.accounts.iter().all(|beyond| beyond.account.is_overrun_durable(beyond.upto))
            && self.overspent.iter().all(Entry::is_durable)
    }
}

/// What a request took from the budgets of its path. All of them or none.
///
/// Dropped without being settled, it is charged in full: a request whose end nobody saw may have cost its bound.
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
        self.end(|part| spent.to_charge(part.unit), |part| spent.to_charge(part.unit()))
    }

    /// Charges the most that the request can have cost: nobody can tell what it did.
    pub fn charge_in_full(mut self) -> Overrun {
        self.settle_in_full()
    }

    fn settle_in_full(&mut self) -> Overrun {
        self.end(|part| part.full, Overdrawn::amount)
    }

    /// Ends it with these charges.
    fn end(&mut self, of_grant: impl Fn(&Part) -> Amount, of_none: impl Fn(&Overdrawn) -> Amount) -> Overrun {
        let granted = self.parts.drain(..).filter_map(|part| {
            let spent = of_grant(&part);
            part.settle(spent)
        });
        let accounts = granted.collect();
        let overdrawn = self.overdrawn.drain(..).filter_map(|part| {
            let spent = of_none(&part);
            part.settle(spent)
        });
        Overrun { accounts, overspent: overdrawn.collect() }
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

    /// The least that was taken from a budget of this unit that covers the request's cost; `None` if there is none on the path. One
    /// that goes by estimates covers none.
    #[must_use]
    pub fn least(&self, unit: Unit) -> Option<Amount> {
        let covering = self.parts.iter().filter(|part| part.unit == unit && part.reserve == Reserve::Bound);
        covering.map(|part| part.amount).min()
    }

    /// The tokens that were taken by estimate; `None` if no budget of the path goes by estimates.
    #[must_use]
    pub fn estimated(&self) -> Option<Amount> {
        let estimated = self.parts.iter().filter(|part| part.reserve == Reserve::Estimate);
        estimated.map(|part| part.amount).max()
    }

    /// Gives back what was taken beyond a lower bound of the cost.
    pub fn shrink(&mut self, bound: &Cost) {
        for part in &mut self.parts {
            let beyond = part.amount.saturating_sub(bound.to_reserve(part.unit));
            part.account.shrink(beyond);
            part.amount = part.amount.saturating_sub(beyond);
            part.full = part.full.min(bound.to_reserve(part.unit));
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
        // What goes beyond what was reserved is told with the next report: nobody hears of the request's end before.
        drop(self.settle_in_full());
    }
}
