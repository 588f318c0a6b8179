//! What the node of a copy spent of grants that the copy does not hold: it had heard of them from a leader before they were in its own log.
//! Its journal knows. It is counted as overspend, for nothing else holds it. Pure.

use crate::machine::State;
use quorate_domain::{Amount, BudgetId, NodeId, SessionId, Unit};
use quorate_ledger::{Command, Ledger, Mark, Overspent, Sync};
use std::collections::BTreeMap;

/// By budget, at most so much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Beyond(pub(super) BTreeMap<BudgetId, Amount>);

impl Beyond {
    /// Compares a journal with the state at the end of its node's copy. Where the node had no session by its copy, nothing can be told.
    pub(super) fn of(state: &State, node: NodeId, marks: &[Mark]) -> Self {
        let ledger = state.ledger.read();
        let latest = ledger.latest_session(node);
        let mut beyond = BTreeMap::<BudgetId, Amount>::new();
        if !ledger.is_live(latest) {
            return Self(beyond);
        }
        for mark in marks.iter().filter(|mark| mark.session >= latest) {
            let excess = mark.spent_bound.saturating_sub(granted(&ledger, mark).unwrap_or(mark.spent_bound));
            if excess > Amount::ZERO {
                let sum = beyond.entry(mark.budget).or_default();
                *sum = sum.saturating_add(excess);
            }
        }
        Self(beyond)
    }

    /// What tells the ledger of it, in the name of the node's latest session.
    pub(super) fn told(&self, state: &State, node: NodeId) -> Option<Command> {
        let ledger = state.ledger.read();
        let known: BTreeMap<_, _> = ledger.overspent_by(node).map(|told| (told.budget, told.total)).collect();
        let total = |(budget, more): (&BudgetId, &Amount)| Overspent {
            budget: *budget,
            total: known.get(budget).copied().unwrap_or_default().saturating_add(*more),
        };
        let overspent: Vec<_> = self.0.iter().map(total).collect();
        let session: SessionId = ledger.latest_session(node);
        let generation = ledger.journal_of(node);
        let sync = Sync { session, sequence: 0, generation, reports: vec![], asks: vec![], overspent };
        (!self.0.is_empty()).then_some(Command::Sync(sync))
    }
}

/// How much of a window the session of a mark was granted by the copy; `None` if the mark says nothing that could be missing in it.
fn granted(ledger: &Ledger, mark: &Mark) -> Option<Amount> {
    let budget = ledger.budget(mark.budget).filter(|budget| budget.spec().unit != Unit::Permits)?;
    let account = budget.accounts().chain(budget.next()).find(|account| account.window().id == mark.window);
    let Some(account) = account else {
        // One that was over, and settled, before the copy ends; or one that began afterwards.
        return (mark.window > budget.current().window().id).then_some(Amount::ZERO);
    };
    // Not less what was returned: the journal may hold a bound from before that.
    Some(account.holding(mark.session).map(|held| held.granted).unwrap_or_default())
}
