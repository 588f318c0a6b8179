//! A budget as people want to see it: where every unit of its limit is.

use crate::{Account, Budget, BudgetSpec, Ledger, SessionState};
use quorate_domain::{Amount, BudgetId, NodeId, Revision, SessionId, Window};
use serde::{Deserialize, Serialize};

/// Where every unit of one window of a budget is: `used + outstanding + overrun + free = limit`, unless the limit
/// was cut below what was granted already; then `excess` says by how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReport {
    /// Its id.
    pub budget: BudgetId,
    /// Whose spending it limits, and to how much.
    pub spec: BudgetSpec,
    /// The number of the change that last wrote it.
    pub revision: Revision,
    /// The window reported on.
    pub window: Window,
    /// Whether it is handed out request by request, because little is left.
    pub is_central: bool,
    /// How many requests wait for it in line.
    pub waiting: usize,
    /// Spent: reported by nodes, or charged for nodes that died.
    pub used: Amount,
    /// Part of `used` that was charged for nodes that died, without proof that it was spent.
    pub crash_charged: Amount,
    /// Billed by providers beyond what was reserved.
    pub overrun: Amount,
    /// Granted to nodes and not yet reported as spent or returned.
    pub outstanding: Amount,
    /// Part of `outstanding` that dead sessions hold.
    pub in_doubt: Amount,
    /// Still in the pool.
    pub free: Amount,
    /// By how much grants exceed the limit after a cut.
    pub excess: Amount,
    /// Node by node.
    pub holdings: Vec<HoldingReport>,
}

/// What one session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingReport {
    /// The node.
    pub node: NodeId,
    /// Its session.
    pub session: SessionId,
    /// Whether the session may spend.
    pub state: SessionState,
    /// Granted so far.
    pub granted: Amount,
    /// Reported as spent.
    pub used: Amount,
    /// Given back.
    pub returned: Amount,
    /// Neither.
    pub outstanding: Amount,
}

impl Ledger {
    /// Where every unit of the open window of a budget is.
    #[must_use]
    pub fn report(&self, id: BudgetId) -> Option<BudgetReport> {
        let budget = self.budget(id)?;
        Some(self.report_on(id, budget, &budget.account_at(self.time())))
    }

    fn report_on(&self, id: BudgetId, budget: &Budget, account: &Account) -> BudgetReport {
        let holdings: Vec<_> =
            account.holdings().filter_map(|(s, _)| self.holding_report(account, s)).collect();
        let doubtful = holdings.iter().filter(|holding| holding.state != SessionState::Live);
        BudgetReport {
            budget: id,
            spec: budget.spec().clone(),
            revision: budget.revision(),
            window: account.window(),
            is_central: account.is_central(),
            waiting: account.line_length(),
            used: account.used(),
            crash_charged: account.crash_charged(),
            overrun: account.overrun(),
            outstanding: account.outstanding(),
            in_doubt: doubtful.fold(Amount::ZERO, |sum, holding| sum.saturating_add(holding.outstanding)),
            free: account.free(budget.spec().limit),
            excess: account.excess(budget.spec().limit),
            holdings,
        }
    }

    fn holding_report(&self, account: &Account, session: SessionId) -> Option<HoldingReport> {
        let life = self.session(session)?;
        let holding = account.holding(session)?;
        Some(HoldingReport {
            node: life.node,
            session,
            state: life.state,
            granted: holding.granted,
            used: holding.used,
            returned: holding.returned,
            outstanding: holding.outstanding(),
        })
    }
}
