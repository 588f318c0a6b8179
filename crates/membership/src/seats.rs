//! Seats: how sets of voters are judged and chosen. What the autopilot and the plans have in common.

use crate::{Membership, NodeRecord, Sight};
use quorate_domain::NodeId;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Whether a node may have a vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ballot {
    /// It may.
    #[default]
    Free,
    /// Not until somebody promotes it.
    KeptOut,
}

/// How many of so many voters must agree.
#[must_use]
pub const fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// How many more voters may fail at the same time, of those that are reachable; below zero there is no quorum.
#[must_use]
pub fn spare(voters: &BTreeSet<NodeId>, sight: &Sight) -> i64 {
    let reachable = voters.iter().filter(|voter| sight.reaches(**voter)).count();
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    number(reachable) - number(quorum(voters.len()))
}

/// Whether a node can be given a seat, as far as the table says.
pub(crate) fn may_vote(record: &NodeRecord) -> bool {
    record.ballot == Ballot::Free
        && record.standing.is_serving()
        && record.replaced.is_none()
        && record.replaces.is_none()
}

/// The learner that should have the next seat: of the zone with the fewest voters, then the oldest.
pub(crate) fn best(
    table: &Membership,
    voters: &BTreeSet<NodeId>,
    is_candidate: impl Fn(NodeId, &NodeRecord) -> bool,
) -> Option<NodeId> {
    let learners = table.iter().filter(|(id, _)| !voters.contains(id) && !table.voters().contains(id));
    let learners = learners.filter(|(id, record)| is_candidate(*id, record));
    learners.min_by_key(|(id, record)| (crowd(table, voters, record), *id)).map(|(id, _)| id)
}

/// How many voters stand in the zone of this node. Nodes that name no zone stand together.
fn crowd(table: &Membership, voters: &BTreeSet<NodeId>, record: &NodeRecord) -> usize {
    let zones = voters.iter().filter_map(|voter| table.get(*voter)).map(|voter| &voter.profile.zone);
    zones.filter(|zone| **zone == record.profile.zone).count()
}

/// The voter that should give its seat up first: one that is not reachable, that does not serve, of the fullest zone, the youngest.
/// Never the leader.
pub(crate) fn weakest(table: &Membership, sight: &Sight, voters: &BTreeSet<NodeId>) -> Option<NodeId> {
    let others = voters.iter().copied().filter(|voter| *voter != sight.leader);
    others.max_by_key(|voter| {
        let record = table.get(*voter);
        let serves = record.is_some_and(may_vote);
        let crowd = record.map_or(usize::MAX, |record| crowd(table, voters, record));
        (Reverse(sight.reaches(*voter)), Reverse(serves), crowd, *voter)
    })
}

/// Fewer voters, an odd number of at most so many. `None` if nobody can be left out.
pub(crate) fn shrunk(
    table: &Membership,
    sight: &Sight,
    mut voters: BTreeSet<NodeId>,
    most: usize,
) -> Option<BTreeSet<NodeId>> {
    while voters.len() > most || (voters.len().is_multiple_of(2) && !voters.is_empty()) {
        let weakest = weakest(table, sight, &voters)?;
        voters.remove(&weakest);
    }
    (!voters.is_empty()).then_some(voters)
}

/// The same voters, or one fewer if their number is even.
pub(crate) fn odd(table: &Membership, sight: &Sight, voters: BTreeSet<NodeId>) -> Option<BTreeSet<NodeId>> {
    let all = voters.len();
    shrunk(table, sight, voters, all)
}
