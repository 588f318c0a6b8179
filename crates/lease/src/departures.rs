//! Who has left the cluster, and may be fresh for a while still.

use crate::RevocationBound;
use quorate_domain::{MonoTime, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// Who has left the cluster, and since when this node has known it: nobody is told when a node left, only that it did.
///
/// Whoever left while this node did not run, or did not look, counts as having left when it looked again. Its lease was
/// asked for before, so that it has ended a whole bound later.
#[derive(Debug, Default)]
pub struct Departures {
    gone: BTreeMap<NodeId, MonoTime>,
}

impl Departures {
    /// Notes who is gone now: all who ever belonged to the cluster and do so no more, by entries that are committed.
    pub fn note(&mut self, gone: &BTreeSet<NodeId>, now: MonoTime) {
        self.gone.retain(|node, _| gone.contains(node));
        for node in gone {
            self.gone.entry(*node).or_insert(now);
        }
    }

    /// Those whose leases may last still, if no lease lasts longer than this.
    pub fn maybe_fresh(&self, bound: RevocationBound, now: MonoTime) -> impl Iterator<Item = NodeId> {
        self.gone.iter().filter(move |(_, since)| bound.waited_out(**since) > now).map(|(node, _)| *node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: RevocationBound = RevocationBound::DEFAULT;
    const TWO: NodeId = NodeId::new(2);

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_micros(millis * 1_000)
    }

    fn maybe_fresh(departures: &Departures, millis: u64) -> Vec<NodeId> {
        departures.maybe_fresh(BOUND, at(millis)).collect()
    }

    #[test]
    fn who_left_may_be_fresh_for_a_whole_bound_after_it_was_missed_first() {
        let mut departures = Departures::default();
        departures.note(&BTreeSet::from([TWO]), at(100));
        departures.note(&BTreeSet::from([TWO]), at(1_000));
        assert_eq!(maybe_fresh(&departures, 2_103), [TWO]);
        assert_eq!(maybe_fresh(&departures, 2_104), []);
    }

    #[test]
    fn a_node_that_has_just_started_takes_nobody_for_long_gone() {
        let mut before = Departures::default();
        before.note(&BTreeSet::from([TWO]), at(0));
        assert_eq!(maybe_fresh(&before, 60_000), []);
        let mut after = Departures::default();
        after.note(&BTreeSet::from([TWO]), at(60_000));
        assert_eq!(maybe_fresh(&after, 60_000), [TWO], "G3: it may have left a moment ago");
    }

    #[test]
    fn who_is_back_and_leaves_again_left_the_second_time() {
        let mut departures = Departures::default();
        departures.note(&BTreeSet::from([TWO]), at(0));
        departures.note(&BTreeSet::new(), at(5_000));
        departures.note(&BTreeSet::from([TWO]), at(6_000));
        assert_eq!(maybe_fresh(&departures, 7_000), [TWO]);
    }
}
