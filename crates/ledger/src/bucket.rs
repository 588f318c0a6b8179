//! Buckets: what was spent leaks out again, at an even rate.
//!
//! A bucket has one account for ever. What it lets be spent in all is its capacity C and all that has leaked, `C + leaked`, and only
//! what is known as spent leaks. So, however much of it nodes hold, and however late they report, what is admitted between
//! two instants of log time is no more than `C + rate · Δ` (I12): when the interval begins, no more has leaked than was
//! spent; of what is spent in it nothing leaks before an entry of the log tells of it, and from then on at the rate. (The
//! arrival curve of a leaky bucket, <https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>.)

use quorate_domain::{Amount, LogTime, Refill, Span};
use serde::{Deserialize, Serialize};

/// What has leaked out of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leak {
    refill: Refill,
    /// In whole units.
    leaked: Amount,
    /// What has leaked beyond it, in parts of a unit: one of so many as the refill has milliseconds.
    parts: u64,
    as_of: LogTime,
}

/// What a bucket is measured by: how much it holds, and how much was spent of it since it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub(crate) capacity: Amount,
    pub(crate) spent: Amount,
}

impl Leak {
    pub(crate) const fn new(refill: Refill, at: LogTime) -> Self {
        Self { refill, leaked: Amount::ZERO, parts: 0, as_of: at }
    }

    /// Whole units that have leaked.
    pub(crate) const fn leaked(&self) -> Amount {
        self.leaked
    }

    /// The same at a later time: what leaks is what was known as spent until then, and no more.
    #[must_use]
    pub(crate) fn at(self, at: LogTime, measure: Measure) -> Self {
        let whole = u128::from(self.refill.span().millis());
        let passed = u128::from(at.since(self.as_of).millis());
        let before = u128::from(self.leaked.get()) * whole + u128::from(self.parts);
        let most = u128::from(measure.spent.get()) * whole;
        let gained = passed * u128::from(measure.capacity.get());
        let after = before.saturating_add(gained).min(most).max(before);
        Self {
            leaked: Amount::new(u64::try_from(after / whole).unwrap_or(u64::MAX)),
            parts: u64::try_from(after % whole).unwrap_or(0),
            as_of: self.as_of.max(at),
            ..self
        }
    }

    /// The same, if ever more is spent until then: the most that can have leaked.
    #[must_use]
    pub(crate) fn at_most(self, at: LogTime, measure: Measure) -> Self {
        self.at(at, Measure { spent: Amount::new(u64::MAX), ..measure })
    }

    /// How long it takes until `more` has leaked, if so much is known as spent; `None` if never.
    pub(crate) fn time_for(self, more: Amount, measure: Measure) -> Option<Span> {
        if more.is_zero() {
            return Some(Span::default());
        }
        let is_there = self.leaked.checked_add(more).is_some_and(|all| all <= measure.spent);
        if !is_there || measure.capacity.is_zero() {
            return None;
        }
        let missing =
            u128::from(more.get()) * u128::from(self.refill.span().millis()) - u128::from(self.parts);
        let millis = missing.div_ceil(u128::from(measure.capacity.get()));
        Some(Span::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn measure(capacity: u64, spent: u64) -> Measure {
        Measure { capacity: Amount::new(capacity), spent: Amount::new(spent) }
    }

    fn at(millis: u64) -> LogTime {
        LogTime::from_millis(millis)
    }

    #[test]
    fn an_empty_bucket_is_full_again_after_its_refill() {
        let leak = Leak::new(Refill::Minute, at(0));
        let full = measure(30, 30);
        let leaked = |millis| leak.at(at(millis), full).leaked().get();
        assert_eq!([0, 1_999, 2_000, 59_999, 60_000, 90_000].map(leaked), [0, 0, 1, 29, 30, 30]);
    }

    #[test]
    fn what_was_not_spent_does_not_leak_and_time_is_not_saved_up() {
        let leak = Leak::new(Refill::Minute, at(0)).at(at(59_000), measure(60, 0));
        assert_eq!(leak.leaked(), Amount::ZERO);
        assert_eq!(leak.at(at(59_999), measure(60, 5)).leaked(), Amount::ZERO);
        assert_eq!(leak.at(at(60_000), measure(60, 5)).leaked(), Amount::new(1));
    }

    #[test]
    fn it_is_known_how_long_a_shortage_lasts() {
        let leak = Leak::new(Refill::Minute, at(0));
        let for_more = |more, spent| leak.time_for(Amount::new(more), measure(60, spent));
        assert_eq!(for_more(0, 0), Some(Span::default()));
        assert_eq!(for_more(3, 60), Some(Span::from_millis(3_000)));
        assert_eq!(for_more(3, 2), None, "no more leaks than was spent");
        assert_eq!(leak.time_for(Amount::new(1), measure(0, 1)), None);
    }

    #[test]
    fn the_largest_bucket_does_not_overflow() {
        let leak = Leak::new(Refill::Day, at(0)).at(at(u64::MAX), measure(u64::MAX, u64::MAX));
        assert_eq!(leak.leaked(), Amount::new(u64::MAX));
    }

    proptest! {
        #[test]
        fn how_often_it_is_looked_at_changes_nothing(
            capacity in 1_u64..10_000, spent in 0_u64..10_000, steps in prop::collection::vec(0_u64..5_000, 1..40)
        ) {
            let mut often = Leak::new(Refill::Minute, at(0));
            let mut now = 0;
            for step in steps {
                now += step;
                often = often.at(at(now), measure(capacity, spent));
            }
            let once = Leak::new(Refill::Minute, at(0)).at(at(now), measure(capacity, spent));
            prop_assert_eq!(often, once);
        }

        #[test]
        fn after_the_time_that_was_told_so_much_has_leaked_and_not_before(
            capacity in 1_u64..10_000, more in 1_u64..500, begun in 0_u64..60_000
        ) {
            let full = measure(capacity, 20_000);
            let leak = Leak::new(Refill::Minute, at(0)).at(at(begun), full);
            let span = leak.time_for(Amount::new(more), full).unwrap().millis();
            let gained = |millis| leak.at(at(begun + millis), full).leaked().get() - leak.leaked().get();
            prop_assert!(gained(span) >= more);
            prop_assert!(gained(span - 1) < more);
        }
    }
}
