//! The lease itself: one number that every request looks at; and log time as it goes on once the lease has ended.

use quorate_domain::{LogTime, MonoTime, Span};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const MICROS_PER_MILLI: u64 = 1_000;
/// Stands for no difference: log time, which counts from 1970, is decades ahead of a process's own.
const NEVER_RENEWED: u64 = u64::MAX;

/// Until when, on its own clock, a node may admit requests by what it knows of keys. It only ever gets longer.
#[derive(Debug)]
pub struct Lease {
    end: AtomicU64,
    /// Log time less the node's own time, in microseconds, when the lease was last renewed.
    ahead: AtomicU64,
}

/// A lease as it was when somebody took hold of it. A later renewal does not lengthen it: what was read under it may be
/// older than what the renewal stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held(MonoTime);

impl Held {
    /// Whether it has lasted until now, so that what was read since was fresh.
    #[must_use]
    pub fn lasts(self, now: MonoTime) -> bool {
        now < self.0
    }
}

impl Lease {
    /// A lease that never ends, for a world in which nobody else can revoke anything.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { end: AtomicU64::new(MonoTime::NEVER.micros()), ahead: AtomicU64::new(NEVER_RENEWED) }
    }

    /// Takes hold of it as it is now, to see later whether it has lasted all the while. One load.
    #[must_use]
    pub fn hold(&self) -> Held {
        Held(self.end())
    }

    /// Whether it lasts. One load.
    #[must_use]
    pub fn is_fresh(&self, now: MonoTime) -> bool {
        self.hold().lasts(now)
    }

    /// How much of it is left; nothing once it has ended.
    #[must_use]
    pub fn left(&self, now: MonoTime) -> Duration {
        self.end().since(now)
    }

    /// When it ends, as things are.
    #[must_use]
    pub fn end(&self) -> MonoTime {
        MonoTime::from_micros(self.end.load(Ordering::Acquire))
    }

    /// Lets it last until then, unless it lasts longer anyway: answers may come in any order.
    pub(crate) fn extend(&self, end: MonoTime) {
        self.end.fetch_max(end.micros(), Ordering::AcqRel);
    }

    /// Notes what log time is at a renewal, read before `now`. Nothing is learned from it once the lease has ended.
    pub fn saw(&self, log: LogTime, now: MonoTime) {
        if self.is_fresh(now) {
            let ahead = log.millis().saturating_mul(MICROS_PER_MILLI).wrapping_sub(now.micros());
            self.ahead.store(ahead, Ordering::Release);
        }
    }

    /// What log time is, as far as this node can tell that has applied the log up to `applied`. While the lease lasts nothing else counts. After that the log may
    /// stand still here, and time goes on by the node's own clock: what expires by itself expires on a node that is cut off, too. The time of day is
    /// looked at nowhere.
    #[must_use]
    pub fn log_time(&self, applied: LogTime, now: MonoTime) -> LogTime {
        let ahead = self.ahead.load(Ordering::Acquire);
        if ahead == NEVER_RENEWED || self.is_fresh(now) {
            return applied;
        }
        let passed = Span::from_millis(ahead.wrapping_add(now.micros()) / MICROS_PER_MILLI);
        applied.max(LogTime::default().plus(passed))
    }
}

impl Default for Lease {
    /// One that has ended already: of a node that asked nobody yet.
    fn default() -> Self {
        Self { end: AtomicU64::default(), ahead: AtomicU64::new(NEVER_RENEWED) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_micros(millis * MICROS_PER_MILLI)
    }

    fn renewed_at(millis: u64, log: LogTime) -> Lease {
        let lease = Lease::default();
        lease.extend(at(millis + 2_000));
        lease.saw(log, at(millis));
        lease
    }

    #[test]
    fn on_a_node_that_is_cut_off_log_time_goes_on_by_its_own_clock() {
        let applied = LogTime::from_millis(1_000_000);
        let lease = renewed_at(50_000, applied);
        let seen = |now| lease.log_time(applied, at(now)).millis();
        assert_eq!([50_000, 51_999].map(seen), [1_000_000; 2], "while the lease lasts the log is followed");
        assert_eq!([52_000, 60_000].map(seen), [1_002_000, 1_010_000]);
        let hours = 10 * 3_600_000;
        assert_eq!(seen(50_000 + hours), 1_000_000 + hours);
        let moved = LogTime::from_millis(1_030_000);
        assert_eq!(lease.log_time(moved, at(60_000)), moved, "what the log says is not doubted");
    }

    #[test]
    fn each_renewal_begins_anew_and_what_comes_after_the_end_counts_for_nothing() {
        let lease = renewed_at(0, LogTime::from_millis(9_000_000));
        let ahead = LogTime::from_millis(1_000_000);
        lease.extend(at(4_000));
        lease.saw(ahead, at(2_000));
        assert_eq!(
            lease.log_time(ahead, at(5_000)).millis(),
            1_003_000,
            "a clock that was wrong is forgotten"
        );
        lease.saw(ahead, at(70_000));
        assert_eq!(lease.log_time(ahead, at(72_000)).millis(), 1_070_000, "what stood still says nothing");
    }

    #[test]
    fn a_node_that_never_had_a_lease_knows_what_the_log_says_and_a_log_may_be_younger_than_its_process() {
        let log = LogTime::from_millis(5);
        assert_eq!(Lease::default().log_time(log, at(1_000)), log);
        assert_eq!(Lease::unlimited().log_time(log, at(1_000)), log);
        assert_eq!(renewed_at(1_000, log).log_time(log, at(4_000)).millis(), 3_005);
    }
}
