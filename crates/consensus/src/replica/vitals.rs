//! What a node knows of its machine and of its peers': the room on its disk, how long a write takes, how far its clock is off
//! (docs/adr/0027-machine-faults.md). Told and asked, it does nothing by itself.

use super::settings::MachineLimits;
use quorate_domain::{LogTime, MonoTime, NodeId, Span};
use quorate_membership::{DiskUse, Fill, Unfit};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A peer that was silent for so long is taken to be gone, as far as this node can tell.
const SILENT: Span = Span::from_millis(5_000);
/// A disk that took seconds for one write is not trusted with the lead again before it was well for so long.
const STALL_COOLS: Span = Span::from_millis(30_000);
/// A clock that is off by more is worth a warning.
pub(super) const SKEW_WARN_MS: u64 = 250;

/// What a node says of its machine to a peer that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pulse {
    pub(crate) wall: LogTime,
    pub(crate) unfit: Option<Unfit>,
    pub(crate) disk: Option<DiskUse>,
}

/// What was heard of a peer last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) at: MonoTime,
    /// By how many milliseconds its clock is ahead of this node's.
    pub(super) ahead_ms: i64,
    pub(super) pulse: Pulse,
}

/// What a node knows of its machine and of its peers'.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    pub(super) disk: Option<DiskUse>,
    stalled_at: Option<MonoTime>,
    /// By how many milliseconds this node's clock is ahead of most others'. `None` without a majority.
    pub(super) skew_ms: Option<i64>,
    peers: BTreeMap<NodeId, Heard>,
}

impl Vitals {
    /// Notes an answer of a peer's.
    pub(super) fn heard(&mut self, peer: NodeId, heard: Heard) {
        self.peers.insert(peer, heard);
    }

    /// Notes that a write took seconds.
    pub(super) fn stalled(&mut self, now: MonoTime) {
        self.stalled_at = Some(now);
    }

    /// Forgets who has left, and looks at the clocks again.
    pub(super) fn look(&mut self, now: MonoTime, members: &BTreeSet<NodeId>) {
        self.peers.retain(|peer, _| members.contains(peer));
        let clocks: Vec<i64> = self.recent(now).map(|(_, heard)| heard.ahead_ms).collect();
        self.skew_ms = skew(clocks, members.len());
    }

    /// What was heard of a peer last.
    pub(super) fn last(&self, peer: NodeId) -> Option<&Heard> {
        self.peers.get(&peer)
    }

    /// Why this node should not lead while another one can.
    pub(super) fn unfit(&self, now: MonoTime, limits: &MachineLimits) -> Option<Unfit> {
        let is_skewed = self.skew_ms.is_some_and(|ms| ms.unsigned_abs() > limits.clock_skew_max.millis());
        let cooled = |at: MonoTime| now >= at.plus(STALL_COOLS);
        match self.disk {
            Some(DiskUse { fill: Fill::ReadOnly, .. }) => Some(Unfit::Disk),
            Some(_) | None if self.stalled_at.is_some_and(|at| !cooled(at)) => Some(Unfit::Stall),
            Some(_) | None => is_skewed.then_some(Unfit::Clock),
        }
    }

    /// Peers that were heard of lately and said nothing against leading.
    pub(super) fn fit_peers(&self, now: MonoTime) -> BTreeSet<NodeId> {
        self.recent(now).filter(|(_, heard)| heard.pulse.unfit.is_none()).map(|(peer, _)| peer).collect()
    }

    fn recent(&self, now: MonoTime) -> impl Iterator<Item = (NodeId, &Heard)> {
        let is_recent = move |heard: &Heard| now < heard.at.plus(SILENT);
        self.peers.iter().filter(move |(_, heard)| is_recent(heard)).map(|(peer, heard)| (*peer, heard))
    }
}

/// By how much this clock is ahead of the median of all that were heard of and itself. Needs a majority: of two clocks that
/// differ nobody knows which is wrong.
fn skew(mut ahead_ms: Vec<i64>, n_members: usize) -> Option<i64> {
    ahead_ms.push(0);
    if ahead_ms.len() < 3 || 2 * ahead_ms.len() <= n_members {
        return None;
    }
    ahead_ms.sort_unstable();
    let (lower, upper) = (ahead_ms.get((ahead_ms.len() - 1) / 2)?, ahead_ms.get(ahead_ms.len() / 2)?);
    Some(-i64::midpoint(*lower, *upper))
}

impl MachineLimits {
    /// What follows from how full the disk is. A level is left again only a hundredth below where it began, so that nothing flaps.
    /// None is reached while there is headroom: on a large disk a few hundredths are more than a node needs.
    pub(super) fn fill(&self, used_permille: u16, left: u64, before: Fill) -> Fill {
        if left > self.headroom_bytes {
            return Fill::Ample;
        }
        let levels = [
            (Fill::ReadOnly, self.read_only_percent),
            (Fill::Scarce, self.scarce_percent),
            (Fill::Filling, self.warn_percent),
        ];
        let is_reached = |(fill, percent): &(Fill, u8)| {
            let slack = if *fill <= before { 10 } else { 0 };
            used_permille + slack >= u16::from(*percent) * 10
        };
        levels.iter().find(|level| is_reached(level)).map_or(Fill::Ample, |(fill, _)| *fill)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: MachineLimits = MachineLimits::DEFAULT;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_micros(millis * 1_000)
    }

    fn heard(at: MonoTime, ahead_ms: i64, unfit: Option<Unfit>) -> Heard {
        Heard { at, ahead_ms, pulse: Pulse { wall: LogTime::from_millis(0), unfit, disk: None } }
    }

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    #[test]
    fn a_clock_is_judged_by_most_of_the_others() {
        assert_eq!(skew(vec![3_000, 3_010], 3), Some(-3_000), "this one is behind both");
        assert_eq!(skew(vec![3_000, 10], 3), Some(-10), "another one is wrong");
        assert_eq!(skew(vec![3_000], 2), None, "of two nobody knows which");
        assert_eq!(skew(vec![3_000, 3_000], 7), None, "no majority was heard");
        assert_eq!(skew(vec![], 1), None);
    }

    #[test]
    fn a_node_whose_clock_is_off_is_unfit_until_it_is_right_or_nobody_can_tell() {
        let (mut vitals, members) = (Vitals::default(), nodes(&[1, 2, 3]));
        vitals.heard(NodeId::new(2), heard(at(1_000), -2_500, None));
        vitals.heard(NodeId::new(3), heard(at(1_000), -2_400, None));
        vitals.look(at(1_100), &members);
        assert_eq!((vitals.skew_ms, vitals.unfit(at(1_100), &LIMITS)), (Some(2_400), Some(Unfit::Clock)));
        vitals.look(at(7_000), &members);
        assert_eq!((vitals.skew_ms, vitals.unfit(at(7_000), &LIMITS)), (None, None), "all are silent");
    }

    #[test]
    fn a_disk_that_stalled_is_fit_again_after_a_while() {
        let mut vitals = Vitals::default();
        vitals.stalled(at(1_000));
        let unfit = |now| vitals.unfit(at(now), &LIMITS);
        assert_eq!([2_000, 30_999, 31_000].map(unfit), [Some(Unfit::Stall), Some(Unfit::Stall), None]);
    }

    #[test]
    fn who_is_silent_or_unfit_is_not_handed_the_lead() {
        let mut vitals = Vitals::default();
        vitals.heard(NodeId::new(2), heard(at(1_000), 0, Some(Unfit::Disk)));
        vitals.heard(NodeId::new(3), heard(at(1_000), 0, None));
        assert_eq!(vitals.fit_peers(at(2_000)), nodes(&[3]));
        assert_eq!(vitals.fit_peers(at(6_000)), nodes(&[]));
    }

    #[test]
    fn a_disk_goes_through_its_levels_and_leaves_each_a_hundredth_below_its_beginning() {
        use Fill::{Ample, Filling, ReadOnly, Scarce};
        let (mut fill, mut seen) = (Ample, Vec::new());
        for used in [849, 850, 845, 920, 970, 961, 959, 839] {
            fill = LIMITS.fill(used, 0, fill);
            seen.push(fill);
        }
        assert_eq!(seen, [Ample, Filling, Filling, Scarce, ReadOnly, ReadOnly, Scarce, Ample]);
    }

    #[test]
    fn a_large_disk_has_room_left_when_little_of_it_is() {
        assert_eq!(LIMITS.fill(990, LIMITS.headroom_bytes + 1, Fill::Ample), Fill::Ample);
        assert_eq!(LIMITS.fill(990, LIMITS.headroom_bytes, Fill::Ample), Fill::ReadOnly);
    }
}
