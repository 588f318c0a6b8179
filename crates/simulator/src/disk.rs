//! A node's journal on a disk that keeps what was synced and loses what was not.

use quorate_domain::{Amount, BudgetId, SessionId, WindowId};
use quorate_ledger::{Begun, Evidence, Mark};
use quorate_wallet::OverspendMark;
use std::collections::{BTreeMap, VecDeque};

/// What is on the disk, and what was on it before: somebody may put an old copy back.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    now: Copy,
    /// As it was before each of the latest writes, the latest last.
    before: VecDeque<Copy>,
    is_lost: bool,
}

#[derive(Clone, Debug, Default)]
struct Copy {
    generation: u64,
    marks: BTreeMap<(SessionId, BudgetId, WindowId), Mark>,
    overspent: BTreeMap<BudgetId, Amount>,
    begun: Option<Begun>,
}

const COPIES_KEPT: usize = 40;

impl Disk {
    /// How often it was written to.
    pub(crate) const fn generation(&self) -> u64 {
        self.now.generation
    }

    fn keep_copy(&mut self) {
        if self.before.len() == COPIES_KEPT {
            self.before.pop_front();
        }
        self.before.push_back(self.now.clone());
    }

    /// Somebody puts back a copy that is older than `generation`, if there is one: the latest such or, the larger `older`, one that
    /// is older still. `false` if there is none.
    pub(crate) fn roll_back(&mut self, generation: u64, older: usize) -> bool {
        let old = self.before.iter().take_while(|copy| copy.generation < generation).count();
        let Some(place) = old.checked_sub(1) else { return false };
        self.before.truncate(place.saturating_sub(older) + 1);
        self.now = self.before.pop_back().unwrap_or_default();
        true
    }

    /// The disk is replaced by an empty one.
    pub(crate) fn lose(&mut self) {
        self.now = Copy::default();
        self.before.clear();
        self.is_lost = true;
    }

    /// Written and synced.
    pub(crate) fn write(&mut self, begun: Begun, marks: &[Mark]) {
        self.keep_copy();
        self.now.begun = Some(begun);
        self.now.generation += 1;
        for mark in marks {
            self.now.marks.insert((mark.session, mark.budget, mark.window), *mark);
        }
    }

    /// The same of what is overspent.
    pub(crate) fn write_overspent(&mut self, marks: &[OverspendMark]) {
        self.keep_copy();
        self.now.generation += 1;
        self.now.overspent.extend(marks.iter().map(|mark| (mark.budget, mark.bound)));
    }

    /// What the node may have overspent at most.
    pub(crate) fn overspent(&self) -> Vec<(BudgetId, Amount)> {
        self.now.overspent.iter().map(|(budget, bound)| (*budget, *bound)).collect()
    }

    pub(crate) fn forget(&mut self, session: SessionId, windows: &[(BudgetId, WindowId)]) {
        for (budget, window) in windows {
            self.now.marks.remove(&(session, *budget, *window));
        }
    }

    /// The ledger has taken the evidence: earlier sessions are closed. A copy that was put back goes on where the ledger is.
    pub(crate) fn accepted(&mut self, session: SessionId, heard: u64) {
        self.keep_copy();
        self.now.generation = self.now.generation.max(heard) + 1;
        self.now.marks.retain(|(earlier, ..), _| *earlier >= session);
        self.is_lost = false;
    }

    pub(crate) fn evidence(&self) -> Evidence {
        if self.is_lost {
            return Evidence::Lost;
        }
        let marks = self.now.marks.values().filter(|mark| self.now.proves(mark)).copied().collect();
        Evidence::Intact { generation: self.now.generation, marks }
    }

    /// Which windows had begun, as far as it says.
    pub(crate) const fn begun(&self) -> Option<Begun> {
        self.now.begun
    }

    /// All that is written of windows, whether it proves anything or not.
    pub(crate) fn written(&self) -> impl Iterator<Item = &Mark> {
        self.now.marks.values()
    }

    /// What the disk says at most was spent.
    pub(crate) fn bound(&self, session: SessionId, budget: BudgetId, window: WindowId) -> Amount {
        let mark = self.now.marks.get(&(session, budget, window)).filter(|mark| self.now.proves(mark));
        mark.map_or(Amount::ZERO, |mark| mark.spent_bound)
    }
}

impl Copy {
    fn proves(&self, mark: &Mark) -> bool {
        self.begun.is_none_or(|begun| begun.allows(mark))
    }
}
