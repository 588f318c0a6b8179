//! What was admitted of each bucket, and when: between any two instants of log time no more than it holds, and what leaks
//! meanwhile (I12).

use quorate_domain::{BudgetId, LogTime, Refill};
use std::collections::BTreeMap;

/// All buckets.
#[derive(Debug, Default)]
pub(crate) struct Rates(BTreeMap<BudgetId, Bucket>);

#[derive(Debug)]
struct Bucket {
    capacity: u64,
    refill_ms: u64,
    /// What was billed within reservations, by when they were made.
    admitted: BTreeMap<LogTime, u64>,
}

impl Rates {
    pub(crate) fn add(&mut self, budget: BudgetId, capacity: u64, refill: Refill) {
        let bucket = Bucket { capacity, refill_ms: refill.span().millis(), admitted: BTreeMap::new() };
        self.0.insert(budget, bucket);
    }

    pub(crate) fn has(&self, budget: BudgetId) -> bool {
        self.0.contains_key(&budget)
    }

    /// Of what was reserved at a log time, so much was billed. Other budgets than buckets do not count.
    pub(crate) fn billed(&mut self, budget: BudgetId, reserved_at: LogTime, amount: u64) {
        if let Some(bucket) = self.0.get_mut(&budget) {
            *bucket.admitted.entry(reserved_at).or_default() += amount;
        }
    }

    /// A bucket of which too much was admitted, and how much stood in it.
    pub(crate) fn overfull(&self) -> Option<(BudgetId, String)> {
        self.0.iter().find_map(|(id, bucket)| Some((*id, bucket.overfull()?)))
    }
}

impl Bucket {
    /// The largest excess over all intervals that end at an instant is what stands then in a bucket that leaks at the rate.
    fn overfull(&self) -> Option<String> {
        let most = u128::from(self.capacity) * u128::from(self.refill_ms);
        let (mut level, mut before) = (0_u128, LogTime::default());
        for (at, amount) in &self.admitted {
            let leaked = u128::from(at.since(before).millis()) * u128::from(self.capacity);
            level = level.saturating_sub(leaked) + u128::from(*amount) * u128::from(self.refill_ms);
            if level > most {
                let stands = level / u128::from(self.refill_ms);
                return Some(format!("{stands} above what has leaked at {at}; it holds {}", self.capacity));
            }
            before = *at;
        }
        None
    }
}
