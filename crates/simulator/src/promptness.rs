//! Nobody waits for long while there is enough for everybody who waits (L2).

use crate::campaign::Violation;
use crate::node::Node;
use crate::plan::Plan;
use quorate_domain::BudgetId;
use quorate_ledger::Ledger;
use std::collections::BTreeMap;

/// So long the pool may hold enough for everybody who waits, with nothing wrong on the network: some exchanges, a round
/// that is called off, a write to the journal.
const ENOUGH_FOR_US: u64 = 1_000_000;

/// Since when each pool has held enough for everybody who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Promptness(BTreeMap<BudgetId, u64>);

impl Promptness {
    pub(crate) fn check<'a>(
        &mut self,
        now: u64,
        ledger: &Ledger,
        nodes: impl Iterator<Item = &'a Node>,
        plan: &Plan,
    ) -> Result<(), Violation> {
        let mut needs: BTreeMap<BudgetId, u64> = BTreeMap::new();
        nodes.flat_map(|node| node.needs(plan)).for_each(|(id, need)| *needs.entry(id).or_default() += need);
        let has_enough = |id: BudgetId| {
            let need = needs.get(&id).copied().unwrap_or_default();
            need > 0 && ledger.budget(id).is_some_and(|budget| budget.free_at(ledger.time()).get() >= need)
        };
        self.0.retain(|id, _| has_enough(*id));
        for id in needs.keys().copied().filter(|id| has_enough(*id)) {
            let since = *self.0.entry(id).or_insert(now);
            if now - since > ENOUGH_FOR_US {
                let what =
                    format!("budget {id}: requests wait since {since}, and there is enough for all of them");
                return Err(Violation { id: "L2".to_owned(), what });
            }
        }
        Ok(())
    }
}
