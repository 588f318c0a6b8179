//! What a node spends of budgets without a grant: for keys that say so, while it reaches no majority.
//!
//! It is counted by budget, over all sessions of the node, and only rises; so a report that comes twice or late adds
//! nothing, and none is lost with a session. As of grants, the journal holds a bound before anything is spent: whatever
//! crashes, what was spent is told.

use crate::{Charge, Need, Reservation, Wallet, Withheld};
use parking_lot::Mutex;
use quorate_domain::{Amount, BudgetId, MonoTime, Unit};
use quorate_ledger::Overspent;
use std::collections::BTreeMap;
use std::sync::Arc;

/// So many are told in a message at most: it has to fit into an entry of the log.
const TOLD_AT_ONCE: usize = 2_000;

/// What a node has overspent, by budget.
#[derive(Debug, Default)]
pub struct Overdrafts {
    drafts: Mutex<BTreeMap<BudgetId, Draft>>,
}

#[derive(Debug, Default)]
struct Draft {
    /// Spent for good.
    settled: Amount,
    /// The most that requests under way may spend beyond it.
    in_flight: Amount,
    /// Part of `settled` that the ledger knows of.
    told: Amount,
    /// What the journal holds.
    durable: Amount,
    /// How often something was added, and how much of that the journal has seen.
    entries: u64,
    durable_entries: u64,
}

impl Draft {
    fn bound(&self) -> Amount {
        self.settled.saturating_add(self.in_flight)
    }
}

/// A line of the journal: no more than `bound` was overspent of a budget, ever, before the next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverspendMark {
    /// The budget.
    pub budget: BudgetId,
    /// The bound.
    pub bound: Amount,
    entries: u64,
}

/// Something that was added to an overdraft, and that nobody may act on before the journal holds it.
#[derive(Debug)]
pub(crate) struct Entry {
    drafts: Arc<Overdrafts>,
    budget: BudgetId,
    number: u64,
}

impl Entry {
    pub(crate) fn is_durable(&self) -> bool {
        let drafts = self.drafts.drafts.lock();
        drafts.get(&self.budget).is_none_or(|draft| draft.durable_entries >= self.number)
    }
}

/// Part of a reservation: the most that it may overspend of one budget.
#[derive(Debug)]
pub(crate) struct Overdrawn {
    entry: Entry,
    unit: Unit,
    amount: Amount,
}

impl Overdrafts {
    /// What the journal held when the process began: all of it may have been spent.
    pub fn restored(journalled: impl IntoIterator<Item = (BudgetId, Amount)>) -> Self {
        let draft = |(budget, bound)| (budget, Draft { settled: bound, durable: bound, ..Draft::default() });
        Self { drafts: Mutex::new(journalled.into_iter().map(draft).collect()) }
    }

    /// The ledger has heard of so much. It is more than the journal holds after a disk was lost or put back: counting goes on
    /// from there.
    pub fn known(&self, heard: impl IntoIterator<Item = Overspent>) {
        let mut drafts = self.drafts.lock();
        for Overspent { budget, total } in heard {
            let draft = drafts.entry(budget).or_default();
            draft.settled = draft.settled.max(total);
            draft.told = draft.told.max(total);
        }
    }

    /// Forgets budgets that are gone, and says which. Of one that a request under way spends of, it is too early.
    pub fn forget(&self, is_gone: &dyn Fn(BudgetId) -> bool) -> Vec<BudgetId> {
        let mut drafts = self.drafts.lock();
        let gone = drafts.extract_if(.., |budget, draft| draft.in_flight.is_zero() && is_gone(*budget));
        gone.map(|(budget, _)| budget).collect()
    }

    /// Adds the most that a request may overspend of a budget.
    pub(crate) fn overdraw(self: &Arc<Self>, budget: BudgetId, unit: Unit, amount: Amount) -> Overdrawn {
        let number = self.enter(budget, |draft| draft.in_flight = draft.in_flight.saturating_add(amount));
        Overdrawn { entry: Entry { drafts: Arc::clone(self), budget, number }, unit, amount }
    }

    /// Adds what was spent and can be told in no other way.
    pub(crate) fn owe(self: &Arc<Self>, budget: BudgetId, amount: Amount) -> Entry {
        let number = self.enter(budget, |draft| draft.settled = draft.settled.saturating_add(amount));
        Entry { drafts: Arc::clone(self), budget, number }
    }

    fn enter(&self, budget: BudgetId, add: impl FnOnce(&mut Draft)) -> u64 {
        let mut drafts = self.drafts.lock();
        let draft = drafts.entry(budget).or_default();
        add(draft);
        draft.entries += 1;
        draft.entries
    }

    /// What the journal should hold and does not.
    #[must_use]
    pub fn marks(&self) -> Vec<OverspendMark> {
        let drafts = self.drafts.lock();
        let is_due = |draft: &Draft| draft.entries > draft.durable_entries || draft.durable != draft.bound();
        let due = drafts.iter().filter(|(_, draft)| is_due(draft));
        due.map(|(budget, draft)| OverspendMark {
            budget: *budget,
            bound: draft.bound(),
            entries: draft.entries,
        })
        .collect()
    }

    /// The journal holds these marks now.
    pub fn journalled(&self, marks: &[OverspendMark]) {
        let mut drafts = self.drafts.lock();
        for mark in marks {
            let draft = drafts.entry(mark.budget).or_default();
            (draft.durable, draft.durable_entries) = (mark.bound, mark.entries);
        }
    }

    /// What the ledger has not heard of.
    pub(crate) fn untold(&self) -> Vec<Overspent> {
        let drafts = self.drafts.lock();
        let untold = drafts.iter().filter(|(_, draft)| draft.settled > draft.told).take(TOLD_AT_ONCE);
        untold.map(|(budget, draft)| Overspent { budget: *budget, total: draft.settled }).collect()
    }

    pub(crate) fn has_untold(&self) -> bool {
        self.drafts.lock().values().any(|draft| draft.settled > draft.told)
    }

    pub(crate) fn told(&self, heard: &[Overspent]) {
        self.known(heard.iter().copied());
    }

    /// Overspent for good by this node, of one budget.
    #[must_use]
    pub fn settled(&self, budget: BudgetId) -> Amount {
        self.drafts.lock().get(&budget).map(|draft| draft.settled).unwrap_or_default()
    }
}

impl Overdrawn {
    /// Whether the journal covers it, so that it may be spent.
    pub(crate) fn is_durable(&self) -> bool {
        self.entry.is_durable()
    }

    pub(crate) const fn unit(&self) -> Unit {
        self.unit
    }

    pub(crate) const fn amount(&self) -> Amount {
        self.amount
    }

    /// What was really spent. More than was foreseen has to be in the journal before anybody hears of it.
    pub(crate) fn settle(self, spent: Amount) -> Option<Entry> {
        let Self { entry, amount, .. } = self;
        let settle = |draft: &mut Draft| {
            draft.in_flight = draft.in_flight.saturating_sub(amount);
            draft.settled = draft.settled.saturating_add(spent);
        };
        let number = entry.drafts.enter(entry.budget, settle);
        (spent > amount).then_some(Entry { number, ..entry })
    }

    /// A request under way turns out to need no more than `bound`.
    pub(crate) fn shrink(&mut self, bound: Amount) {
        let beyond = self.amount.saturating_sub(bound);
        self.amount = self.amount.saturating_sub(beyond);
        let less = |draft: &mut Draft| draft.in_flight = draft.in_flight.saturating_sub(beyond);
        self.entry.drafts.drafts.lock().get_mut(&self.entry.budget).into_iter().for_each(less);
    }
}

impl Wallet {
    /// Takes the bound from every budget of the path as far as grants cover it, and overspends the rest: for a key that may,
    /// on a node that reaches no majority. Nothing may be sent before [`Reservation::is_covered`]. Permits that are not at
    /// hand are done without.
    ///
    /// # Errors
    /// [`Withheld::Fenced`].
    pub fn overdraw(
        &self,
        path: &[Charge],
        asks: impl Into<Need>,
        now: MonoTime,
    ) -> Result<Reservation, Withheld> {
        if !self.is_open() {
            return Err(Withheld::Fenced);
        }
        let asks = asks.into();
        let mut reservation = Reservation::new(Vec::with_capacity(path.len()));
        for charge in path {
            if let Some(part) = self.part(*charge, &asks, now) {
                reservation.push(part);
            } else if charge.unit != Unit::Permits {
                let bound = asks.most.to_reserve(charge.unit);
                reservation.overdraw(self.overdrafts.overdraw(charge.budget, charge.unit, bound));
            }
        }
        Ok(reservation)
    }

    /// What this node has overspent.
    #[must_use]
    pub const fn overdrafts(&self) -> &Arc<Overdrafts> {
        &self.overdrafts
    }
}
