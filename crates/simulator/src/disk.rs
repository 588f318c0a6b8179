//! A node's journal on a disk that keeps what was synced and loses what was not.

use quorate_domain::{Amount, BudgetId, SessionId, WindowId};
use quorate_ledger::{Evidence, Mark};
use std::collections::BTreeMap;

/// What is on the disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    generation: u64,
    marks: BTreeMap<(SessionId, BudgetId, WindowId), Mark>,
    is_lost: bool,
}

impl Disk {
    /// The node's process starts: the generation rises.
    pub(crate) fn start(&mut self) {
        self.generation += 1;
    }

    /// The disk is replaced by an empty one.
    pub(crate) fn lose(&mut self) {
        self.marks.clear();
        self.is_lost = true;
    }

    /// Written and synced.
    pub(crate) fn write(&mut self, marks: &[Mark]) {
        for mark in marks {
            self.marks.insert((mark.session, mark.budget, mark.window), *mark);
        }
    }

    pub(crate) fn forget(&mut self, session: SessionId, windows: &[(BudgetId, WindowId)]) {
        for (budget, window) in windows {
            self.marks.remove(&(session, *budget, *window));
        }
    }

    /// The ledger has taken the evidence: earlier sessions are closed.
    pub(crate) fn accepted(&mut self, session: SessionId) {
        self.marks.retain(|(earlier, ..), _| *earlier >= session);
        self.is_lost = false;
    }

    pub(crate) fn evidence(&self) -> Evidence {
        if self.is_lost {
            return Evidence::Lost;
        }
        Evidence::Intact { generation: self.generation, marks: self.marks.values().copied().collect() }
    }

    /// What the disk says at most was spent.
    pub(crate) fn bound(&self, session: SessionId, budget: BudgetId, window: WindowId) -> Amount {
        self.marks.get(&(session, budget, window)).map_or(Amount::ZERO, |mark| mark.spent_bound)
    }
}
