//! A budget as people want to see it: where every unit of its limit is.

use crate::{Account, Budget, BudgetSpec, Central, Ledger, Reserve, Resolution, SessionState};
use quorate_domain::{Amount, BudgetId, LogTime, NodeId, Revision, SessionId, UtcOffset, Window};
use serde::{Deserialize, Serialize};

/// Where every unit of one window of a budget is: `used + outstanding + overrun + overspend + free = limit`, unless the limit
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
    /// How far local time is from UTC when that window ends.
    pub offset_at_end: UtcOffset,
    /// Whether it is handed out request by request, because little is left.
    pub is_central: bool,
    /// How many requests wait for it in line.
    pub waiting: usize,
    /// Of a bucket: spent longer ago, and counted no more in what follows.
    pub leaked: Amount,
    /// Spent: reported by nodes, or charged for nodes that died. Where requests reserve what they are expected to use, also what
    /// they used beyond.
    pub used: Amount,
    /// Part of `used` that was charged for nodes that died, without proof that it was spent.
    pub crash_charged: Amount,
    /// Billed by providers beyond the bounds that were reserved.
    pub overrun: Amount,
    /// Spent without a grant by nodes that reached no majority, for keys that may.
    pub overspend: Amount,
    /// Granted to nodes and not yet reported as spent or returned.
    pub outstanding: Amount,
    /// Part of `outstanding` that dead sessions hold.
    pub in_doubt: Amount,
    /// Still in the pool.
    pub free: Amount,
    /// By how much grants exceed the limit, after a cut or because of a debt.
    pub excess: Amount,
    /// More can never have been spent, whatever the doubt turns out to be: used, outstanding, overrun and overspend.
    pub spent_at_most: Amount,
    /// Node by node.
    pub holdings: Vec<HoldingReport>,
    /// The template it was made from, if nobody wrote it.
    pub made_from: Option<BudgetId>,
    /// Of a template: for whom budgets are made from it.
    pub end_users: Option<EndUsers>,
}

/// For how many end users budgets are made from a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndUsers {
    /// So many are there now.
    pub count: usize,
    /// There are never more.
    pub most: u32,
}

/// What is known of a session that holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderState {
    /// It may spend.
    Live,
    /// It may, but kept a round waiting in vain, and has said nothing since.
    Silent,
    /// It reported the impossible.
    Frozen,
    /// It is dead, and nobody knows what of its grant it spent.
    InDoubt,
}

/// What one session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingReport {
    /// The node.
    pub node: NodeId,
    /// Its session.
    pub session: SessionId,
    /// What is known of the session.
    pub state: HolderState,
    /// Log time since which it lives, or is dead.
    pub since: LogTime,
    /// Granted so far.
    pub granted: Amount,
    /// Reported as spent.
    pub used: Amount,
    /// Given back.
    pub returned: Amount,
    /// Neither.
    pub outstanding: Amount,
    /// More than this it can never have spent: used and outstanding.
    pub spent_at_most: Amount,
}

impl BudgetReport {
    /// Where requests reserve what they are expected to use: by how much more was used than it holds. So much must leak before
    /// anything is granted, whatever comes back.
    #[must_use]
    pub const fn debt(&self) -> Amount {
        match self.spec.reserve {
            Reserve::Bound => Amount::ZERO,
            Reserve::Estimate => self.used.saturating_add(self.overspend).saturating_sub(self.spec.limit),
        }
    }
}

impl HolderState {
    const fn is_dead(self) -> bool {
        match self {
            Self::Live | Self::Silent => false,
            Self::Frozen | Self::InDoubt => true,
        }
    }
}

impl Ledger {
    /// Where every unit of the open window of a budget is.
    #[must_use]
    pub fn report(&self, id: BudgetId) -> Option<BudgetReport> {
        let budget = self.budget(id)?;
        Some(self.report_on(id, budget, &budget.account_at(self.time(), self.zones())))
    }

    /// The same of earlier windows that are kept, oldest first: the latest, and those of which somebody who lives has yet
    /// to report.
    #[must_use]
    pub fn earlier_reports(&self, id: BudgetId) -> Vec<BudgetReport> {
        let Some(budget) = self.budget(id) else { return Vec::new() };
        let is_over = |account: &&Account| account.window().has_ended_at(self.time());
        budget.accounts().filter(is_over).map(|account| self.report_on(id, budget, account)).collect()
    }

    /// Doubt of a budget that was resolved lately, the latest first.
    #[must_use]
    pub fn resolutions(&self, id: BudgetId) -> Vec<Resolution> {
        let kept = self.budget(id).map(|budget| budget.resolutions().cloned().collect::<Vec<_>>());
        kept.into_iter().flatten().rev().collect()
    }

    fn report_on(&self, id: BudgetId, budget: &Budget, account: &Account) -> BudgetReport {
        let holdings: Vec<_> =
            account.holdings().filter_map(|(s, _)| self.holding_report(account, s)).collect();
        let (leaked, limit) = (budget.leaked_at(self.time()), budget.limit_at(self.time()));
        let (used, overrun) = match budget.spec().reserve {
            Reserve::Bound => (account.used(), account.overrun()),
            Reserve::Estimate => (account.used().saturating_add(account.overrun()), Amount::ZERO),
        };
        let doubtful = holdings.iter().filter(|holding| holding.state.is_dead());
        BudgetReport {
            budget: id,
            spec: budget.spec().clone(),
            revision: budget.revision(),
            window: account.window(),
            offset_at_end: self.zones().offset(&budget.spec().kind, account.window().end.unwrap_or_default()),
            is_central: account.is_central(),
            waiting: account.line_length(),
            leaked,
            used: used.saturating_sub(leaked),
            crash_charged: account.crash_charged().min(used.saturating_sub(leaked)),
            overrun: overrun.saturating_sub(leaked.saturating_sub(used)),
            overspend: account
                .overspend()
                .saturating_sub(leaked.saturating_sub(used).saturating_sub(overrun)),
            outstanding: account.outstanding(),
            in_doubt: doubtful.fold(Amount::ZERO, |sum, holding| sum.saturating_add(holding.outstanding)),
            free: account.free(limit),
            excess: account.excess(limit),
            spent_at_most: account
                .used()
                .saturating_add(account.outstanding())
                .saturating_add(account.beyond_grants())
                .saturating_sub(leaked),
            holdings,
            made_from: budget.origin().map(|origin| origin.template),
            end_users: self
                .template(id)
                .map(|template| EndUsers { count: template.made().len(), most: template.end_users_max() }),
        }
    }

    fn holding_report(&self, account: &Account, session: SessionId) -> Option<HoldingReport> {
        let life = self.session(session)?;
        let holding = account.holding(session)?;
        Some(HoldingReport {
            node: life.node,
            session,
            state: state_of(account, session, life.state),
            since: life.since,
            granted: holding.granted,
            used: holding.used,
            returned: holding.returned,
            outstanding: holding.outstanding(),
            spent_at_most: holding.kept(),
        })
    }
}

fn state_of(account: &Account, session: SessionId, life: SessionState) -> HolderState {
    let is_silent = account.central().is_some_and(|central: &Central| central.is_silent(session));
    match life {
        SessionState::Live if is_silent => HolderState::Silent,
        SessionState::Live => HolderState::Live,
        SessionState::Frozen => HolderState::Frozen,
        SessionState::InDoubt => HolderState::InDoubt,
    }
}
