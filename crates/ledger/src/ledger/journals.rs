//! What the journals of nodes prove about sessions that are over.

use super::Ledger;
use crate::account::Proof;
use crate::session::Told;
use crate::{Evidence, Mark, OpenSession, Outcome, SessionState, TellMarks};
use quorate_domain::{BootId, BudgetId, SessionId, Unit, WindowId};
use std::collections::BTreeMap;

/// What a journal proves, by what it is about.
type Marks<'a> = BTreeMap<(SessionId, BudgetId, WindowId), &'a Mark>;

const fn about(mark: &Mark) -> (SessionId, BudgetId, WindowId) {
    (mark.session, mark.budget, mark.window)
}

impl Ledger {
    /// Keeps part of a journal until its node opens a session with the rest.
    pub(super) fn hear_marks(&mut self, tell: TellMarks) -> Outcome {
        let told = self.nodes.entry(tell.node).or_default().told.entry(tell.boot).or_default();
        told.extend(tell.marks.into_iter().map(|mark| (about(&mark), mark)));
        Outcome::Done
    }

    /// Ends the node's earlier sessions by what its journal proves, and returns the generation seen now. A journal
    /// that had come further when the ledger last heard of it has been rolled back with its disk, and proves nothing.
    pub(super) fn settle_earlier_sessions(&mut self, open: &OpenSession, told: &Told, known: u64) -> u64 {
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
