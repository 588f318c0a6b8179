//! What was admitted of every bucket, and when: between any two instants no more than it holds, and what leaks meanwhile (I12). What
//! requests used beyond what they had reserved comes on top only as far as the ledger had not heard of it when it last granted.

use crate::campaign::Violation;
use quorate_domain::{Amount, BudgetId, LogTime, SessionId};
use quorate_ledger::{Budget, Ledger};
use std::collections::BTreeMap;

/// What was admitted of every bucket.
#[derive(Debug, Default)]
pub struct Rates {
    buckets: BTreeMap<BudgetId, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// The most that it was ever allowed to hold.
    capacity: u64,
    /// What was billed, by when it was reserved.
    admitted: BTreeMap<LogTime, Admitted>,
    /// What was ever granted to each session.
    granted: BTreeMap<SessionId, Amount>,
    /// What the ledger knows of all that was used beyond reservations; and what it knew before it last granted.
    heard: u64,
    heard_first: u64,
}

/// What was billed of reservations that were made at one log time.
#[derive(Debug)]
struct Admitted {
    within: u64,
    beyond: u64,
    /// Not billed, and yet charged beyond reservations.
    assumed: u64,
    /// The least that the ledger had heard of when it granted what they reserved.
    heard: u64,
}

/// When a reservation was made, and what the ledger had heard of then: see [`Rates::reserved`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Reserved {
    at: LogTime,
    heard: u64,
}

impl Rates {
    /// After an entry of the log, or several: the more at once, the less is held against them.
    pub fn follow(&mut self, ledger: &Ledger) {
        for (id, budget) in ledger.budgets().filter(|(_, budget)| is_bucket(budget)) {
            self.buckets.entry(id).or_default().follow(budget);
        }
    }

    /// Whether a budget is a bucket.
    #[must_use]
    pub fn has(&self, budget: BudgetId) -> bool {
        self.buckets.contains_key(&budget)
    }

    /// Something is reserved of a budget now. Other budgets than buckets do not count.
    #[must_use]
    pub fn reserved(&self, budget: BudgetId, at: LogTime) -> Reserved {
        let heard = self.buckets.get(&budget).map_or(0, |bucket| bucket.heard_first);
        Reserved { at, heard }
    }

    /// So much was billed of a reservation, and so much beyond it.
    pub fn billed(&mut self, budget: BudgetId, reserved: Reserved, (within, beyond): (u64, u64)) {
        let Some(bucket) = self.buckets.get_mut(&budget) else { return };
        let admitted = bucket.admitted(reserved);
        admitted.within += within;
        admitted.beyond += beyond;
    }

    /// So much beyond a reservation may be told to the ledger that nobody billed: whoever does not hear what a request cost charges
    /// the most that it can have.
    pub fn assumed(&mut self, budget: BudgetId, reserved: Reserved, amount: u64) {
        if let Some(bucket) = self.buckets.get_mut(&budget) {
            bucket.admitted(reserved).assumed += amount;
        }
    }

    /// I12, when everything is over.
    ///
    /// # Errors
    /// The promise that is broken.
    pub fn check(&self, ledger: &Ledger) -> Result<(), Violation> {
        self.buckets.iter().try_for_each(|(id, bucket)| {
            let refill = ledger.budget(*id).and_then(|budget| budget.spec().kind.refill());
            refill.map_or(Ok(()), |refill| bucket.check(*id, refill.span().millis()))
        })
    }
}

impl Bucket {
    /// What was billed of all that was reserved at this log time.
    fn admitted(&mut self, reserved: Reserved) -> &mut Admitted {
        let none = Admitted { within: 0, beyond: 0, assumed: 0, heard: reserved.heard };
        let admitted = self.admitted.entry(reserved.at).or_insert(none);
        admitted.heard = admitted.heard.min(reserved.heard);
        admitted
    }

    fn follow(&mut self, budget: &Budget) {
        self.capacity = self.capacity.max(budget.spec().limit.get());
        let mut is_granted = false;
        for (session, holding) in budget.current().holdings() {
            let before = self.granted.insert(session, holding.granted);
            is_granted |= holding.granted > before.unwrap_or_default();
        }
        if is_granted {
            // What the same entry tells may have come after what it grants.
            self.heard_first = self.heard;
        }
        self.heard = budget.current().overrun().get();
    }

    /// The largest excess over all intervals that end now is what stands in a bucket that leaks at the rate.
    fn check(&self, id: BudgetId, refill_ms: u64) -> Result<(), Violation> {
        let whole = |amount: u64| u128::from(amount) * u128::from(refill_ms);
        let (mut reserved, mut used, mut beyond) = (0_u128, 0_u128, 0_u64);
        let mut before = LogTime::default();
        for (at, admitted) in &self.admitted {
            let leaked = u128::from(at.since(before).millis()) * u128::from(self.capacity);
            before = *at;
            beyond += admitted.beyond + admitted.assumed;
            reserved = reserved.saturating_sub(leaked) + whole(admitted.within);
            used = used.saturating_sub(leaked) + whole(admitted.within + admitted.beyond);
            let unheard = beyond.saturating_sub(admitted.heard);
            let most = [(reserved, self.capacity), (used, self.capacity + unheard)];
            if let Some((level, most)) = most.into_iter().find(|(level, most)| *level > whole(*most)) {
                let stands = level / u128::from(refill_ms);
                let what = format!("bucket {id}, at {at}: {stands} above what has leaked, of at most {most}");
                return Err(Violation { id: "I12".to_owned(), what });
            }
        }
        Ok(())
    }
}

fn is_bucket(budget: &Budget) -> bool {
    budget.spec().kind.refill().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a bucket of 10 that is refilled in a second: when, how much within reservations and beyond, and what was heard then.
    fn judged(admitted: &[(u64, u64, u64, u64)]) -> bool {
        let mut bucket = Bucket { capacity: 10, ..Bucket::default() };
        for (at_ms, within, beyond, heard) in admitted.iter().copied() {
            let admitted = bucket.admitted(Reserved { at: LogTime::from_millis(at_ms), heard });
            admitted.within += within;
            admitted.beyond += beyond;
        }
        bucket.check(BudgetId::new(1), 1_000).is_ok()
    }

    #[test]
    fn what_was_not_heard_of_when_it_was_granted_may_be_used_beyond() {
        assert!(judged(&[(5_000, 10, 3, 0)]));
        assert!(judged(&[(5_000, 5, 3, 0), (5_100, 5, 0, 0)]));
        assert!(
            !judged(&[(5_000, 5, 3, 0), (5_100, 5, 0, 3)]),
            "it was heard of, and as much granted as before"
        );
    }

    #[test]
    fn what_was_assumed_and_never_billed_was_told_to_the_ledger_all_the_same() {
        let mut bucket = Bucket { capacity: 10, ..Bucket::default() };
        let reserved = |heard| Reserved { at: LogTime::from_millis(5_000 + heard), heard };
        bucket.admitted(reserved(0)).assumed += 4;
        bucket.admitted(reserved(4)).within += 10;
        bucket.admitted(reserved(4)).beyond += 2;
        assert!(bucket.check(BudgetId::new(1), 1_000).is_ok());
    }
}
