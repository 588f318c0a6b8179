//! The revocation bound, and the lengths of time that follow from it.

use quorate_domain::{MonoTime, Span};

/// For how long after its revocation a key may be admitted by a node that hears nothing of it. The same on all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RevocationBound(Span);

/// A renewal is tried so often in the life of a lease: one that is lost, and one that is late, do not end it.
const BEATS: u64 = 4;
/// The leader's rounds are no further apart than this: short against a beat, so that an answer comes well before the next
/// question, and never so short that rounds are all that a leader does.
const PACES_PER_BEAT: u64 = 4;
const PACE_MAX_MS: u64 = 100;
/// Clocks may run fast or slow by one part in so many. A lease ends this much early and a wait takes twice this much
/// longer, so that no pair of such clocks can disagree.
const DRIFT: u64 = 1_000;

impl RevocationBound {
    /// A shorter one would leave no time for a round to the leader and back on a busy machine.
    pub const MIN: Span = Span::from_millis(500);
    /// Whoever revokes a key waits for as long, and tools do not wait for ever.
    pub const MAX: Span = Span::from_millis(20_000);
    /// Twice as long as it takes to elect a leader.
    pub const DEFAULT: Self = Self(Span::from_millis(2_000));

    /// A bound of this length; `None` if it is not between [`Self::MIN`] and [`Self::MAX`].
    #[must_use]
    pub fn new(span: Span) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&span).then_some(Self(span))
    }

    /// Its length.
    #[must_use]
    pub const fn span(self) -> Span {
        self.0
    }

    /// Between two renewals.
    #[must_use]
    pub const fn beat(self) -> Span {
        Span::from_millis(self.0.millis() / BEATS)
    }

    /// From one round of the leader to the next. A question waits for as long.
    #[must_use]
    pub const fn pace(self) -> Span {
        let millis = self.beat().millis() / PACES_PER_BEAT;
        Span::from_millis(if millis < PACE_MAX_MS { millis } else { PACE_MAX_MS })
    }

    /// The end of a lease that was asked for at `sent`: T(1−ρ) later.
    #[must_use]
    pub const fn lease_end(self, sent: MonoTime) -> MonoTime {
        MonoTime::from_micros(sent.micros().saturating_add(self.micros() - self.drift()))
    }

    /// When every lease has ended that was asked for before `since`, on whatever node: T(1+2ρ) later.
    #[must_use]
    pub const fn waited_out(self, since: MonoTime) -> MonoTime {
        MonoTime::from_micros(since.micros().saturating_add(self.micros() + 2 * self.drift()))
    }

    const fn micros(self) -> u64 {
        self.0.millis() * 1_000
    }

    const fn drift(self) -> u64 {
        self.micros() / DRIFT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_early_and_a_wait_ends_late_by_the_drift_of_clocks() {
        let sent = MonoTime::from_micros(5);
        let bound = RevocationBound::DEFAULT;
        assert_eq!(bound.lease_end(sent), MonoTime::from_micros(5 + 1_998_000));
        assert_eq!(bound.waited_out(sent), MonoTime::from_micros(5 + 2_004_000));
        assert_eq!(bound.beat(), Span::from_millis(500));
    }

    #[test]
    fn rounds_keep_pace_with_the_shortest_leases_and_are_ten_a_second_at_most_for_the_others() {
        let pace = |millis| RevocationBound::new(Span::from_millis(millis)).unwrap().pace().millis();
        assert_eq!([500, 1_000, 1_600, 2_000, 20_000].map(pace), [31, 62, 100, 100, 100]);
    }

    #[test]
    fn a_bound_that_is_no_bound_is_refused() {
        let new = |millis| RevocationBound::new(Span::from_millis(millis)).map(RevocationBound::span);
        assert_eq!(new(499), None);
        assert_eq!(new(500), Some(Span::from_millis(500)));
        assert_eq!(new(20_000), Some(Span::from_millis(20_000)));
        assert_eq!(new(20_001), None);
        assert_eq!(new(u64::MAX), None);
    }
}
