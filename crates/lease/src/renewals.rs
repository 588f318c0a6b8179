//! How a node keeps its lease: it asks, is answered with an index of the log, and is fresh once it has applied it.

use crate::{Lease, RevocationBound};
use quorate_domain::{MonoTime, Span};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many answers may wait for their entries. More wait only on a node that is far behind; the earliest come true first.
const AWAITED_MAX: usize = 64;

/// A question to the leader that has been sent, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(MonoTime);

/// The leader's answer: a majority confirmed it as the leader after the question had come, and by then this was
/// committed. No time of day and no point in time is in it: they would be another clock's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// The last entry that was committed then.
    pub index: u64,
    /// The bound that the leader keeps to.
    pub bound: Span,
}

/// The renewals of one node's lease.
#[derive(Debug)]
pub struct Renewals {
    bound: RevocationBound,
    lease: Arc<Lease>,
    applied: u64,
    awaited: VecDeque<Awaited>,
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    index: u64,
    end: MonoTime,
}

impl Renewals {
    /// Renewals of a lease, none of them made yet.
    #[must_use]
    pub const fn new(bound: RevocationBound, lease: Arc<Lease>) -> Self {
        Self { bound, lease, applied: 0, awaited: VecDeque::new() }
    }

    /// Begins a renewal. Must be called before the question is sent: the lease counts from here.
    #[must_use]
    pub const fn ask(&self, now: MonoTime) -> Asked {
        Asked(now)
    }

    /// Takes an answer, however late. A leader with another bound gives the shorter lease of the two.
    pub fn answered(&mut self, asked: Asked, confirmed: Confirmed) {
        let bound = RevocationBound::new(confirmed.bound.min(self.bound.span()));
        let Some(bound) = bound else { return };
        let awaited = Awaited { index: confirmed.index, end: bound.lease_end(asked.0) };
        if awaited.index <= self.applied {
            self.lease.extend(awaited.end);
        } else if self.awaited.len() < AWAITED_MAX {
            self.awaited.push_back(awaited);
        }
    }

    /// Notes that the node has applied the log up to here, and its catalogue shows it.
    pub fn applied(&mut self, index: u64) {
        self.applied = self.applied.max(index);
        let (applied, lease) = (self.applied, &self.lease);
        self.awaited.retain(|awaited| {
            let is_reached = awaited.index <= applied;
            if is_reached {
                lease.extend(awaited.end);
            }
            !is_reached
        });
    }

    /// Whether an answer waits for entries that are still to be applied.
    #[must_use]
    pub fn awaits_entries(&self) -> bool {
        !self.awaited.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MS: u64 = 1_000;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_micros(millis * MS)
    }

    fn confirmed(index: u64) -> Confirmed {
        Confirmed { index, bound: RevocationBound::DEFAULT.span() }
    }

    fn renewals() -> (Renewals, Arc<Lease>) {
        let lease = Arc::new(Lease::default());
        (Renewals::new(RevocationBound::DEFAULT, Arc::clone(&lease)), lease)
    }

    #[test]
    fn a_lease_counts_from_the_question_and_begins_when_the_entries_are_applied() {
        let (mut renewals, lease) = renewals();
        assert!(!lease.is_fresh(at(0)), "a node that asked nobody knows nothing");
        let asked = renewals.ask(at(100));
        renewals.answered(asked, confirmed(7));
        renewals.applied(6);
        assert!(!lease.is_fresh(at(200)) && renewals.awaits_entries());
        renewals.applied(7);
        assert!(lease.is_fresh(at(200)) && !renewals.awaits_entries());
        assert!(lease.is_fresh(at(100 + 1_997)));
        assert!(!lease.is_fresh(at(100 + 1_998)), "however late the answer came");
        assert_eq!(lease.left(at(2_097)), Duration::from_millis(1));
    }

    #[test]
    fn a_pause_of_the_node_ends_the_lease_by_itself() {
        let (mut renewals, lease) = renewals();
        let asked = renewals.ask(at(0));
        renewals.answered(asked, confirmed(0));
        assert!(lease.is_fresh(at(1_000)));
        assert!(!lease.is_fresh(at(31_000)), "no timer has to fire for it");
    }

    #[test]
    fn what_was_seen_before_a_pause_is_not_fresh_by_a_renewal_after_it() {
        let (mut renewals, lease) = renewals();
        renewals.answered(renewals.ask(at(0)), confirmed(0));
        let held = lease.hold();
        renewals.answered(renewals.ask(at(10_000)), confirmed(0));
        assert!(lease.is_fresh(at(10_001)));
        assert!(!held.lasts(at(10_001)));
    }

    #[test]
    fn an_answer_that_comes_after_its_lease_would_have_ended_is_worth_nothing() {
        let (mut renewals, lease) = renewals();
        let asked = renewals.ask(at(0));
        renewals.answered(asked, confirmed(0));
        assert!(!lease.is_fresh(at(5_000)));
    }

    #[test]
    fn lost_renewals_end_a_lease_and_late_ones_do_not_shorten_it() {
        let (mut renewals, lease) = renewals();
        let (first, second) = (renewals.ask(at(0)), renewals.ask(at(500)));
        renewals.answered(second, confirmed(0));
        renewals.answered(first, confirmed(0));
        assert_eq!(lease.end(), at(500 + 1_998));
    }

    #[test]
    fn of_two_bounds_the_shorter_counts_and_one_that_is_none_counts_for_nothing() {
        let (mut renewals, lease) = renewals();
        let asked = renewals.ask(at(0));
        renewals.answered(asked, Confirmed { index: 0, bound: Span::from_millis(0) });
        assert_eq!(lease.end(), at(0));
        renewals.answered(asked, Confirmed { index: 0, bound: Span::from_millis(1_000) });
        assert_eq!(lease.end(), at(999));
        renewals.answered(asked, Confirmed { index: 0, bound: Span::FOREVER });
        assert_eq!(lease.end(), at(1_998));
    }

    #[test]
    fn a_node_that_lags_for_ever_becomes_fresh_by_its_earliest_answers() {
        let (mut renewals, lease) = renewals();
        for beat in 0..200 {
            let asked = renewals.ask(at(beat));
            renewals.answered(asked, confirmed(beat + 1));
        }
        renewals.applied(5);
        assert_eq!(lease.end(), at(4 + 1_998));
    }
}
