//! What was admitted of every bucket, and when: between any two instants no more than it holds, and what leaks meanwhile (I12).

use crate::oracle::Violation;
use quorate_domain::{BudgetId, LogTime};
use quorate_ledger::{Budget, Ledger};
use std::collections::BTreeMap;

/// What was admitted of every bucket.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    buckets: BTreeMap<BudgetId, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// The most that it was ever allowed to hold.
    capacity: u64,
    /// What was billed within reservations, by when they were made.
    admitted: BTreeMap<LogTime, u64>,
}

impl Rates {
    /// What limits are in force now.
    pub(crate) fn note_limits(&mut self, ledger: &Ledger) {
        for (id, budget) in ledger.budgets().filter(|(_, budget)| is_bucket(budget)) {
            let bucket = self.buckets.entry(id).or_default();
            bucket.capacity = bucket.capacity.max(budget.spec().limit.get());
        }
    }

    /// Of what was reserved at a log time, so much was billed. Other budgets than buckets do not count.
    pub(crate) fn billed(&mut self, budget: BudgetId, reserved_at: LogTime, amount: u64) {
        if let Some(bucket) = self.buckets.get_mut(&budget) {
            *bucket.admitted.entry(reserved_at).or_default() += amount;
        }
    }

    pub(crate) fn check(&self, ledger: &Ledger) -> Result<(), Violation> {
        self.buckets.iter().try_for_each(|(id, bucket)| {
            let refill = ledger.budget(*id).and_then(|budget| budget.spec().kind.refill());
            refill.map_or(Ok(()), |refill| bucket.check(*id, refill.span().millis()))
        })
    }
}

impl Bucket {
    /// The largest excess over all intervals that end now is what stands in a bucket that leaks at the rate.
    fn check(&self, id: BudgetId, refill_ms: u64) -> Result<(), Violation> {
        let most = u128::from(self.capacity) * u128::from(refill_ms);
        let (mut level, mut before) = (0_u128, LogTime::default());
        for (at, amount) in &self.admitted {
            let leaked = u128::from(at.since(before).millis()) * u128::from(self.capacity);
            level = level.saturating_sub(leaked) + u128::from(*amount) * u128::from(refill_ms);
            if level > most {
                let (stands, capacity) = (level / u128::from(refill_ms), self.capacity);
                let what =
                    format!("bucket {id}, at {at}: {stands} above what has leaked, and it holds {capacity}");
                return Err(Violation { id: "I12", what });
            }
            before = *at;
        }
        Ok(())
    }
}

fn is_bucket(budget: &Budget) -> bool {
    budget.spec().kind.refill().is_some()
}
