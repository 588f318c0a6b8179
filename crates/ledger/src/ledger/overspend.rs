//! What nodes spent without grants, for keys that may, while they reached no majority (docs/adr/0021-overspend.md).

use super::Ledger;
use crate::Overspent;
use quorate_domain::NodeId;

impl Ledger {
    /// What a node told that it has overspent, by budget, since it was founded.
    pub fn overspent_by(&self, node: NodeId) -> impl Iterator<Item = Overspent> {
        let told = self.nodes.get(&node).into_iter().flat_map(|record| &record.overspent);
        told.map(|(budget, total)| Overspent { budget: *budget, total: *total })
    }

    /// Counts what a node has overspent in the window that is open now: the one it was spent in may be long forgotten. Of a budget
    /// that was removed nothing counts.
    pub(super) fn overspend(&mut self, node: NodeId, told: Overspent) {
        let (Some(record), true) = (self.nodes.get_mut(&node), self.budgets.contains_key(&told.budget))
        else {
            return;
        };
        let known = record.overspent.get(&told.budget).copied().unwrap_or_default();
        let more = told.total.saturating_sub(known);
        if more.is_zero() {
            return;
        }
        record.overspent.insert(told.budget, told.total);
        self.turn(told.budget);
        self.leak(told.budget);
        let Some(window) = self.budget(told.budget).map(|budget| budget.current().window().id) else {
            return;
        };
        self.with_account(told.budget, window, |account, terms| account.overspent(more, terms));
    }
}
