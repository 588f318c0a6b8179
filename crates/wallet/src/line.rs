//! The line of requests of this node that wait for money. First come, first served at each budget.
//!
//! A request takes its budgets one after the other in the order of its path, from the narrowest to the widest, and
//! keeps what it has while it waits for the next. All requests take in the same order, so no two can wait for each
//! other. If it leaves, everything goes back: it holds all or, in the end, nothing.

use crate::reservation::Part;
use crate::{Account, Charge, Need, Reservation};
use quorate_domain::{Amount, BudgetId, MonoTime, PlaceId, Round, Span, WindowId};
use quorate_ledger::{Ledger, Patience, Prospect};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A request that stands in line.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) id: PlaceId,
    path: Arc<[Charge]>,
    asks: Need,
    /// Of the budgets of the path, the one it waits at.
    at: usize,
    taken: Reservation,
    /// When it began to wait at that budget.
    at_since: MonoTime,
    /// When it came. Only what is true of an instant after that can be said to it.
    pub(crate) since: MonoTime,
    /// Until when it may wait.
    pub(crate) deadline: MonoTime,
    /// The first round at its budget that shows something about it.
    pub(crate) proves_from: Option<(WindowId, Round)>,
    /// When it was known that the ledger had heard of somebody at that budget after this request came.
    pub(crate) heard_at: Option<MonoTime>,
}

impl Ticket {
    pub(crate) fn new(
        id: PlaceId,
        path: Arc<[Charge]>,
        asks: Need,
        since: MonoTime,
        deadline: MonoTime,
    ) -> Self {
        let taken = Reservation::new(Vec::with_capacity(path.len()));
        Self {
            id,
            path,
            asks,
            at: 0,
            taken,
            at_since: since,
            since,
            deadline,
            proves_from: None,
            heard_at: None,
        }
    }

    /// The budget it waits at; `None` if it has all it needs.
    pub(crate) fn waits_at(&self) -> Option<Charge> {
        self.path.get(self.at).copied()
    }

    pub(crate) fn is_at(&self, budget: BudgetId) -> bool {
        self.waits_at().is_some_and(|charge| charge.budget == budget)
    }

    /// What it takes of the budget it waits at, if there is so much.
    pub(crate) fn most(&self) -> Amount {
        self.waits_at().map_or(Amount::ZERO, |charge| self.asks.most_of(charge))
    }

    /// What it cannot do without there.
    pub(crate) fn least(&self) -> Amount {
        self.waits_at().map_or(Amount::ZERO, |charge| self.asks.least_of(charge))
    }

    /// Its patience is over: it is to be served or refused now.
    pub(crate) fn is_last_call(&self, now: MonoTime) -> bool {
        now >= self.deadline
    }

    /// How long it may still hope for what leaks, seen from any instant after it came: all its time, while it has any.
    pub(crate) fn patience(&self, ahead: Amount, now: MonoTime) -> Patience {
        let all = || Span::of(self.deadline.since(self.since));
        Patience { within: if self.is_last_call(now) { Span::default() } else { all() }, ahead }
    }

    /// Whether this replica shows that so much may still be had for it behind those who stand before it.
    pub(crate) fn may_hope_for(&self, amount: Amount, ahead: Amount, ledger: &Ledger, now: MonoTime) -> bool {
        let Some(charge) = self.waits_at() else { return true };
        match ledger.prospect(charge.budget, amount, self.patience(ahead, now), None) {
            Some((Prospect::TooBig | Prospect::Spent | Prospect::InDoubt, _)) => false,
            Some((Prospect::Held { .. } | Prospect::Open, _)) | None => true,
        }
    }

    /// When its last call at the budget it waits at begins. One whose patience was over when it came there waits for
    /// proof there as long as anybody.
    pub(crate) fn last_called(&self) -> MonoTime {
        self.deadline.max(self.at_since)
    }

    /// It has so much of a budget now, and goes on to the next.
    pub(crate) fn took(&mut self, account: Arc<Account>, charge: Charge, amount: Amount, now: MonoTime) {
        self.taken.push(Part::new(account, charge, amount, &self.asks));
        self.pass(now);
    }

    /// It goes on to the next budget.
    pub(crate) fn pass(&mut self, now: MonoTime) {
        self.at += 1;
        self.at_since = now;
        self.proves_from = None;
        self.heard_at = None;
    }

    /// What it has already, while it waits for more.
    pub(crate) const fn taken(&self) -> &Reservation {
        &self.taken
    }

    pub(crate) fn into_reservation(self) -> Reservation {
        self.taken
    }
}

/// The tickets, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Line {
    last: u64,
    pub(crate) tickets: Vec<Ticket>,
}

impl Line {
    pub(crate) fn next_id(&mut self) -> PlaceId {
        self.last += 1;
        PlaceId::new(self.last)
    }

    pub(crate) fn at(&self, budget: BudgetId) -> impl Iterator<Item = &Ticket> {
        self.tickets.iter().filter(move |ticket| ticket.is_at(budget))
    }

    /// All of them, each with what those cannot do without who stand before it at its budget. `has_hope` says whether a ticket
    /// may still be served behind so much: one that may not is about to be refused, and takes nothing.
    pub(crate) fn in_turn(
        &self,
        has_hope: impl Fn(&Ticket, Amount) -> bool,
    ) -> impl Iterator<Item = (&Ticket, Amount)> {
        behind_each_other(self.tickets.iter(), has_hope)
    }

    /// The same of one budget.
    pub(crate) fn in_turn_at(
        &self,
        budget: BudgetId,
        has_hope: impl Fn(&Ticket, Amount) -> bool,
    ) -> impl Iterator<Item = (&Ticket, Amount)> {
        behind_each_other(self.at(budget), has_hope)
    }

    /// What everyone at a budget takes together, if there is so much.
    pub(crate) fn sum_at(&self, budget: BudgetId) -> Amount {
        self.at(budget).fold(Amount::ZERO, |sum, ticket| sum.saturating_add(ticket.most()))
    }

    pub(crate) fn count_at(&self, budget: BudgetId) -> u32 {
        u32::try_from(self.at(budget).count()).unwrap_or(u32::MAX)
    }

    /// The budgets somebody waits at.
    pub(crate) fn budgets(&self) -> BTreeSet<BudgetId> {
        self.tickets.iter().filter_map(|ticket| ticket.waits_at().map(|charge| charge.budget)).collect()
    }

    pub(crate) fn remove(&mut self, id: PlaceId) -> Option<Ticket> {
        let place = self.tickets.binary_search_by_key(&id, |ticket| ticket.id).ok()?;
        Some(self.tickets.remove(place))
    }

    pub(crate) fn get(&self, id: PlaceId) -> Option<&Ticket> {
        let place = self.tickets.binary_search_by_key(&id, |ticket| ticket.id).ok()?;
        self.tickets.get(place)
    }

    pub(crate) fn waits_at(&self, id: PlaceId, budget: BudgetId) -> bool {
        self.get(id).is_some_and(|ticket| ticket.is_at(budget))
    }
}

fn behind_each_other<'a>(
    tickets: impl Iterator<Item = &'a Ticket>,
    has_hope: impl Fn(&Ticket, Amount) -> bool,
) -> impl Iterator<Item = (&'a Ticket, Amount)> {
    let mut sums: BTreeMap<BudgetId, Amount> = BTreeMap::new();
    tickets.map(move |ticket| {
        let Some(charge) = ticket.waits_at() else { return (ticket, Amount::ZERO) };
        let sum = sums.entry(charge.budget).or_default();
        let ahead = *sum;
        if has_hope(ticket, ahead) {
            *sum = ahead.saturating_add(ticket.least());
        }
        (ticket, ahead)
    })
}
