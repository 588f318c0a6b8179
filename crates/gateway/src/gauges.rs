//! How budgets, grants and sessions stand, read from the local replica and wallet at the moment of a scrape.
//! Names, units, help and labels on one screen, as in `metrics`.

use crate::funds::Funds;
use crate::replica::Replica;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use quorate_domain::{Amount, MonoTime};
use quorate_ledger::{Budget, Ledger, Reserve, SessionState};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What a budget counts, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum UnitLabel {
    Tokens,
    NanoUsd,
    Requests,
    Permits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByUnit {
    unit: UnitLabel,
}

/// Gauges that are set anew at each scrape.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    budgets: Gauge,
    budgets_central: Gauge,
    sessions_live: Gauge,
    sessions_in_doubt: Gauge,
    used: Family<ByUnit, Gauge>,
    outstanding: Family<ByUnit, Gauge>,
    crash_charged: Family<ByUnit, Gauge>,
    overrun: Family<ByUnit, Gauge>,
    overspend: Family<ByUnit, Gauge>,
    debt: Family<ByUnit, Gauge>,
    accounts: Gauge,
    line: Gauge,
    is_open: Gauge,
    lease_left: Gauge<f64, AtomicU64>,
    revocation_bound: Gauge<f64, AtomicU64>,
    idempotent_records: Gauge,
    idempotent_answers: Gauge,
}

impl Gauges {
    #[rustfmt::skip]
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        registry.register("budgets", "Budgets in the ledger", gauges.budgets.clone());
        registry.register("budgets_central", "Budgets so near exhaustion that they are handed out request by request", gauges.budgets_central.clone());
        registry.register("sessions_live", "Sessions that may spend", gauges.sessions_live.clone());
        registry.register("sessions_in_doubt", "Dead sessions whose grants stay counted as spent until they are resolved", gauges.sessions_in_doubt.clone());
        registry.register("budget_used", "Spent in the open windows of all budgets, by unit", gauges.used.clone());
        registry.register("budget_outstanding", "Granted to nodes and not yet reported as spent or returned, by unit", gauges.outstanding.clone());
        registry.register("budget_crash_charged", "Charged for nodes that died, without proof that it was spent, by unit", gauges.crash_charged.clone());
        registry.register("budget_overrun", "Billed by providers beyond the bounds that were reserved, by unit", gauges.overrun.clone());
        registry.register("budget_debt", "By how much more was used of buckets that go by estimates than they hold: nothing is granted of them before it has leaked, by unit", gauges.debt.clone());
        registry.register("budget_overspend", "Spent without a grant by nodes without a quorum, for keys that may, by unit", gauges.overspend.clone());
        registry.register("wallet_accounts", "Accounts of budgets on this node", gauges.accounts.clone());
        registry.register("wallet_line", "Requests on this node that wait for a grant", gauges.line.clone());
        registry.register("wallet_open", "1 while this node has a session to spend in", gauges.is_open.clone());
        registry.register_with_unit("lease_left", "How long this node may still admit requests by what it knows of keys, if it hears nothing more", Unit::Seconds, gauges.lease_left.clone());
        registry.register_with_unit("revocation_bound", "For how long a node that is cut off may admit a revoked key", Unit::Seconds, gauges.revocation_bound.clone());
        registry.register("idempotent_records", "Requests with an Idempotency-Key that are remembered", gauges.idempotent_records.clone());
        registry.register_with_unit("idempotent_answers", "What their answers take", Unit::Bytes, gauges.idempotent_answers.clone());
        gauges
    }

    /// Reads how things stand now.
    pub(crate) fn read(&self, replica: &dyn Replica, funds: &Funds, now: MonoTime) {
        self.lease_left.set(replica.lease().left(now).as_secs_f64());
        self.revocation_bound.set(Duration::from(replica.revocation_bound()).as_secs_f64());
        self.read_ledger(&replica.ledger().read());
        let (records, bytes) = {
            let idempotency = replica.idempotency().read();
            (idempotency.len(), idempotency.bytes())
        };
        self.idempotent_records.set(i64::try_from(records).unwrap_or(i64::MAX));
        self.idempotent_answers.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let wallet = funds.wallet();
        let count = |n: Option<usize>| n.map_or(0, |n| i64::try_from(n).unwrap_or(i64::MAX));
        self.accounts.set(count(wallet.as_ref().map(|wallet| wallet.accounts().len())));
        self.line.set(count(wallet.as_ref().map(|wallet| wallet.line_length())));
        self.is_open.set(i64::from(funds.is_open()));
    }

    fn read_ledger(&self, ledger: &Ledger) {
        let sums =
            [&self.used, &self.outstanding, &self.crash_charged, &self.overrun, &self.overspend, &self.debt];
        sums.iter().for_each(|sum| sum.clear());
        let mut n_budgets = 0;
        for (_, budget) in ledger.budgets() {
            let label = ByUnit { unit: label(budget.spec().unit) };
            for (sum, part) in sums.iter().zip(parts(budget, ledger)) {
                sum.get_or_create(&label).inc_by(shown(part));
            }
            n_budgets += 1;
        }
        self.budgets.set(n_budgets);
        self.budgets_central.set(i64::try_from(ledger.central().len()).unwrap_or(i64::MAX));
        let live = ledger.sessions().filter(|(_, session)| session.state == SessionState::Live).count();
        self.sessions_live.set(i64::try_from(live).unwrap_or(i64::MAX));
        self.sessions_in_doubt.set(i64::try_from(ledger.sessions().count() - live).unwrap_or(i64::MAX));
    }
}

/// In the order of the gauges: used, outstanding, charged for crashes, overrun, overspend, debt.
fn parts(budget: &Budget, ledger: &Ledger) -> [Amount; 6] {
    let account = budget.current();
    let (used, overrun, overspend) = (account.used(), account.overrun(), account.overspend());
    let (outstanding, crash_charged) = (account.outstanding(), account.crash_charged());
    match budget.spec().reserve {
        Reserve::Bound => [used, outstanding, crash_charged, overrun, overspend, Amount::ZERO],
        // What goes beyond an estimate is use like any other.
        Reserve::Estimate => {
            let used = used.saturating_add(overrun);
            let debt = used.saturating_add(overspend).saturating_sub(budget.limit_at(ledger.time()));
            [used, outstanding, crash_charged, Amount::ZERO, overspend, debt]
        }
    }
}

const fn label(unit: quorate_domain::Unit) -> UnitLabel {
    match unit {
        quorate_domain::Unit::Tokens => UnitLabel::Tokens,
        quorate_domain::Unit::NanoUsd => UnitLabel::NanoUsd,
        quorate_domain::Unit::Requests => UnitLabel::Requests,
        quorate_domain::Unit::Permits => UnitLabel::Permits,
    }
}

fn shown(amount: Amount) -> i64 {
    i64::try_from(amount.get()).unwrap_or(i64::MAX)
}
