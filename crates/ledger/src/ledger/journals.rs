//! What the journals of nodes prove about sessions that are over.

use super::Ledger;
use crate::account::Proof;
use crate::session::Told;
use crate::{Doubt, Evidence, Mark, NodeRecord, OpenSession, Outcome, SessionState, TellMarks};
use quorate_domain::{Amount, BootId, BudgetId, NodeId, SessionId, Unit, WindowId};
use std::collections::BTreeMap;

/// What a journal proves, by what it is about.
type Marks<'a> = BTreeMap<(SessionId, BudgetId, WindowId), &'a Mark>;

const fn about(mark: &Mark) -> (SessionId, BudgetId, WindowId) {
    (mark.session, mark.budget, mark.window)
}

impl Ledger {
    /// Whether a line of a node's journal may say anything new: its session holds what the line is about, or did when it died, and
    /// was settled without it.
    #[must_use]
    pub fn may_learn_from(&self, node: NodeId, mark: &Mark) -> bool {
        let (session, budget, window) = about(mark);
        self.session(session).is_some_and(|life| life.holds.contains(&(budget, window)))
            || self
                .nodes
                .get(&node)
                .is_some_and(|record| record.unproven.contains_key(&(budget, window, session)))
    }

    /// Dead sessions of a node that were settled without the word of its journal, which may still come.
    pub fn unproven_sessions(&self, node: NodeId) -> impl Iterator<Item = SessionId> {
        let unproven = self.nodes.get(&node).into_iter().flat_map(|record| record.unproven.keys());
        unproven.map(|(_, _, session)| *session)
    }

    /// Doubt is about to end without the word of the journal.
    pub(super) fn ends_unproven(&mut self, doubt: &Doubt) {
        let Doubt { node, session, budget, window, .. } = *doubt;
        let account = self.budget(budget).and_then(|budget| budget.account(window));
        let known = account.and_then(|account| account.holding(session)).map(|held| held.overrun);
        if let (Some(record), Some(known)) = (self.nodes.get_mut(&node), known) {
            record.unproven.insert((budget, window, session), known);
        }
    }

    pub(super) fn forget_unproven(&mut self, budget: BudgetId, window: WindowId) {
        let of_it = (budget, window, SessionId::default())..=(budget, window, SessionId::new(u64::MAX));
        for record in self.nodes.values_mut() {
            record.unproven.extract_if(of_it.clone(), |_, _| true).for_each(drop);
        }
    }

    /// Keeps part of a journal until its node opens a session with the rest.
    pub(super) fn hear_marks(&mut self, tell: TellMarks) -> Outcome {
        let told = self.nodes.entry(tell.node).or_default().told.entry(tell.boot).or_default();
        told.extend(tell.marks.into_iter().map(|mark| (about(&mark), mark)));
        Outcome::Done
    }

    /// Ends the node's earlier sessions by what its journal proves, and returns the generation seen now. A journal
    /// that had come further when the ledger last heard of it has been rolled back with its disk, and proves nothing.
    pub(super) fn settle_earlier_sessions(
        &mut self,
        open: &OpenSession,
        told: &Told,
        record: &NodeRecord,
    ) -> u64 {
        let known = record.generation;
        let earlier: Vec<_> =
            self.sessions.iter().filter(|(_, s)| s.node == open.node).map(|(id, _)| *id).collect();
        match &open.evidence {
            Evidence::Intact { generation, marks } if *generation >= known => {
                let all = told.values().chain(marks);
                let marks = all.map(|mark| (about(mark), mark)).collect();
                for session in earlier {
                    self.release_unspent(session, open.boot);
                    self.settle_by_journal(session, &marks);
                    self.forget_if_empty(session);
                }
                self.charge_unproven(record, &marks);
                *generation
            }
            Evidence::Intact { .. } | Evidence::Lost => {
                for session in earlier {
                    self.release_unspent(session, open.boot);
                    self.doubt(session);
                }
                known
            }
        }
    }

    /// The journal knows of more that went beyond grants than was known when doubt ended: whatever became of the grants, a client may
    /// have been told of it (G1).
    fn charge_unproven(&mut self, record: &NodeRecord, marks: &Marks<'_>) {
        for ((budget, window, session), known) in &record.unproven {
            let Some(mark) = marks.get(&(*session, *budget, *window)) else { continue };
            let more = mark.overrun.saturating_sub(*known);
            if more > Amount::ZERO {
                self.leak(*budget);
                self.with_account(*budget, *window, |account, terms| account.had_overrun(more, terms));
            }
        }
    }

    /// Whatever its disk says, nothing was spent of windows that have not begun. An earlier process that held permits is dead;
    /// the same process, which lost its session and opens another, may still run what it began.
    fn release_unspent(&mut self, session: SessionId, boot: BootId) {
        let Some(life) = self.sessions.get(&session) else { return };
        let is_of_permits = |budget: &BudgetId| {
            self.budgets.get(budget).is_some_and(|budget| budget.spec().unit == Unit::Permits)
        };
        let is_unspent = |(budget, window): &&(BudgetId, WindowId)| {
            window.start() > self.time || (life.boot != boot && is_of_permits(budget))
        };
        let unspent: Vec<_> = life.holds.iter().filter(is_unspent).copied().collect();
        for (budget, window) in unspent {
            self.close_holding(session, budget, window, &Proof::default());
            self.release(session, budget, window);
        }
    }

    fn settle_by_journal(&mut self, session: SessionId, marks: &Marks<'_>) {
        let Some(life) = self.sessions.get(&session) else { return };
        let (is_live, holds) = (life.state == SessionState::Live, life.holds.clone());
        if !is_live {
            // Doubt was declared already, for a reason the journal does not know of. What went beyond grants is in none.
            for (budget, window) in holds {
                let Some(mark) = marks.get(&(session, budget, window)) else { continue };
                self.leak(budget);
                self.with_account(budget, window, |account, terms| {
                    account.overran(session, mark.overrun, terms);
                });
            }
            return;
        }
        for (budget, window) in holds {
            let proof =
                marks.get(&(session, budget, window)).map_or_else(Proof::default, |mark| (*mark).into());
            self.close_holding(session, budget, window, &proof);
        }
        self.sessions.remove(&session);
    }
}
