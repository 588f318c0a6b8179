//! What nodes overspend for keys that may, and what the ledger knows of it: all that was billed, and no more than could be.

use crate::campaign::Violation;
use quorate_domain::{BudgetId, NodeId};
use quorate_ledger::Ledger;
use std::collections::BTreeMap;

/// What is true of one node's overspending of one budget.
#[derive(Clone, Copy, Debug, Default)]
struct Owed {
    /// Billed, as far as it was foreseen.
    least: u64,
    /// Foreseen or billed, whichever is more.
    most: u64,
    /// Foreseen of requests under way.
    in_flight: u64,
    /// The part of the most that went beyond grants of sessions.
    of_sessions: u64,
}

impl Owed {
    fn untold(&self, (node, budget): (NodeId, BudgetId), ledger: &Ledger) -> u64 {
        (self.least + self.in_flight).saturating_sub(told(ledger, node, budget))
    }
}

/// What nodes have overspent.
#[derive(Debug, Default)]
pub struct Overspending(BTreeMap<(NodeId, BudgetId), Owed>);

impl Overspending {
    fn of(&mut self, node: NodeId, budget: BudgetId) -> &mut Owed {
        self.0.entry((node, budget)).or_default()
    }

    /// A request is about to spend so much that nobody granted.
    pub fn foreseen(&mut self, node: NodeId, budget: BudgetId, amount: u64) {
        self.of(node, budget).in_flight += amount;
    }

    /// It was not sent.
    pub fn never_sent(&mut self, node: NodeId, budget: BudgetId, amount: u64) {
        self.of(node, budget).in_flight -= amount;
    }

    /// Something may be told as overspent, or may not, because a node or its session ended.
    pub fn may_be_told(&mut self, node: NodeId, budget: BudgetId, amount: u64) {
        let owed = self.of(node, budget);
        owed.most += amount;
        owed.of_sessions += amount;
    }

    /// A request was foreseen and not sent, and its node died with that in its journal: it may be told, or may not.
    pub fn may_be_told_unsent(&mut self, node: NodeId, budget: BudgetId, amount: u64) {
        self.of(node, budget).most += amount;
    }

    /// A client has heard of the end of the request that it was.
    pub fn heard_of(&mut self, node: NodeId, budget: BudgetId, amount: u64) {
        self.of(node, budget).least += amount;
    }

    /// The most that was overspent of a budget without any session's grants.
    #[must_use]
    pub fn without_grants(&self, budget: BudgetId) -> u64 {
        let of = self.0.iter().filter(|((_, of), _)| *of == budget);
        of.map(|(_, owed)| owed.most + owed.in_flight - owed.of_sessions).sum()
    }

    /// A provider bills what was foreseen.
    pub fn billed(&mut self, node: NodeId, budget: BudgetId, (foreseen, billed): (u64, u64)) {
        let owed = self.of(node, budget);
        owed.in_flight -= foreseen;
        owed.least += billed.min(foreseen);
        owed.most += billed.max(foreseen);
    }

    /// What is overspent of a budget, or may be by requests under way, and the ledger has not heard of.
    #[must_use]
    pub fn untold(&self, budget: BudgetId, ledger: &Ledger) -> u64 {
        self.0
            .iter()
            .filter(|((_, of), _)| *of == budget)
            .map(|(spot, owed)| owed.untold(*spot, ledger))
            .sum()
    }

    /// The same of all that a node has overspent.
    #[must_use]
    pub fn untold_by(&self, node: NodeId, ledger: &Ledger) -> u64 {
        self.0.iter().filter(|((of, _), _)| *of == node).map(|(spot, owed)| owed.untold(*spot, ledger)).sum()
    }

    /// G1 and I6 when all is told: the ledger knows of all that was billed, but by nodes that have lost their disks, and of no
    /// more than could be.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn check(
        &self,
        ledger: &Ledger,
        nodes: &[NodeId],
        has_lost_its_disk: impl Fn(NodeId) -> bool,
    ) -> Result<(), Violation> {
        for (budget, found) in ledger.budgets() {
            let mut of_all = 0;
            for node in nodes.iter().copied() {
                let owed = self.0.get(&(node, budget)).copied().unwrap_or_default();
                let told = told(ledger, node, budget);
                of_all += told;
                let broken = |id: &str| {
                    let what =
                        format!("node {node}, budget {budget}: {owed:?} was overspent, {told} in the ledger");
                    Err(Violation { id: id.to_owned(), what })
                };
                if told < owed.least && !has_lost_its_disk(node) {
                    return broken("G1");
                }
                if told > owed.most + owed.in_flight {
                    return broken("I6");
                }
            }
            // What a lifetime budget counts as overspent is what its nodes have told.
            let counted: u64 = found.accounts().map(|account| account.overspend().get()).sum();
            let is_whole = found.current().window().end.is_none();
            if counted > of_all || (is_whole && counted != of_all) {
                let what = format!("budget {budget}: {of_all} told as overspent, {counted} counted");
                return Err(Violation { id: "I1".to_owned(), what });
            }
        }
        Ok(())
    }
}

fn told(ledger: &Ledger, node: NodeId, budget: BudgetId) -> u64 {
    ledger.overspent_by(node).find(|told| told.budget == budget).map_or(0, |told| told.total.get())
}
