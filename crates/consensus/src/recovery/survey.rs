//! Which of some copies is the best one, and what is known of what it holds. Pure.

use crate::raft;
use quorate_domain::NodeId;
use std::collections::BTreeSet;

/// A copy as it is compared with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) node: NodeId,
    pub(super) last: raft::LogId,
    pub(super) committed: Option<raft::LogId>,
}

/// What comes of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Survey {
    /// Which one is the best, by its place in the list.
    pub(super) best: usize,
    pub(super) why: &'static str,
    /// A majority had everything up to here.
    pub(super) proven: Option<raft::LogId>,
    /// Whether the others can have agreed on more by themselves.
    pub(super) others_decide: bool,
}

/// Why a cluster is not recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MajorityIsThere {
    pub(super) given: usize,
    pub(super) voters: usize,
}

/// Compares copies, of which there is at least one; `voters` says of a copy who votes by its log.
///
/// The best one ends furthest, as in an election: by term first, then by index. Whatever a majority had of terms up to that is in it, as far
/// as one of the copies knows of it: who led the later term had it, and its log agrees with every copy's up to there.
pub(super) fn survey(
    seen: &[Seen],
    voters: impl Fn(usize) -> Vec<BTreeSet<u64>>,
) -> Result<Survey, MajorityIsThere> {
    let furthest = |(_, one): &(usize, &Seen), (_, other): &(usize, &Seen)| {
        let order = (one.last, one.committed).cmp(&(other.last, other.committed));
        order.then(other.node.cmp(&one.node))
    };
    let (best, winner) = seen.iter().enumerate().max_by(furthest).expect("there is at least one copy");
    let given: BTreeSet<u64> = seen.iter().map(|copy| copy.node.get()).collect();
    let sets = voters(best);
    let is_majority = |part: usize, of: usize| 2 * part > of;
    let had = |set: &BTreeSet<u64>| set.intersection(&given).count();
    if !sets.is_empty() && sets.iter().all(|set| is_majority(had(set), set.len())) {
        let all: BTreeSet<&u64> = sets.iter().flatten().collect();
        let given = all.iter().filter(|id| given.contains(id)).count();
        return Err(MajorityIsThere { given, voters: all.len() });
    }
    Ok(Survey {
        best,
        why: reason(seen, winner),
        proven: seen.iter().filter_map(|copy| copy.committed).max(),
        others_decide: sets.iter().all(|set| is_majority(set.len() - had(set), set.len())),
    })
}

fn reason(seen: &[Seen], winner: &Seen) -> &'static str {
    let others = || seen.iter().filter(|copy| *copy != winner);
    if others().next().is_none() {
        "the only one"
    } else if others().all(|copy| copy.last < winner.last) {
        "no other ends so far"
    } else if others().all(|copy| (copy.last, copy.committed) < (winner.last, winner.committed)) {
        "no other ends further, and it knows of more that was agreed on"
    } else {
        "no other ends further or knows of more; it has the lowest number"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(term: u64, index: u64) -> raft::LogId {
        raft::LogId::new(raft::LeaderId { term, node_id: 1 }, index)
    }

    fn seen(node: u64, last: (u64, u64), committed: (u64, u64)) -> Seen {
        let committed = (committed.1 > 0).then(|| id(committed.0, committed.1));
        Seen { node: NodeId::new(node), last: id(last.0, last.1), committed }
    }

    fn of(seen: &[Seen], voters: &[&[u64]]) -> Result<Survey, MajorityIsThere> {
        survey(seen, |_| voters.iter().map(|set| set.iter().copied().collect()).collect())
    }

    #[test]
    fn the_best_copy_ends_with_the_latest_term_and_then_furthest() {
        let voters: &[&[u64]] = &[&[1, 2, 3, 4, 5]];
        let later = of(&[seen(1, (2, 90), (2, 80)), seen(2, (3, 50), (3, 40))], voters).unwrap();
        assert_eq!((later.best, later.why), (1, "no other ends so far"));
        let longer = of(&[seen(1, (3, 51), (3, 10)), seen(2, (3, 50), (3, 40))], voters).unwrap();
        assert_eq!(
            (longer.best, longer.proven),
            (0, Some(id(3, 40))),
            "what another copy knows is proven, too"
        );
        let informed = of(&[seen(1, (3, 50), (3, 10)), seen(2, (3, 50), (3, 40))], voters).unwrap();
        assert_eq!(informed.best, 1);
        let alike = of(&[seen(2, (3, 50), (3, 40)), seen(1, (3, 50), (3, 40))], voters).unwrap();
        assert_eq!(alike.best, 1, "the lower number, whatever the order");
        assert_eq!(of(&[seen(1, (1, 5), (0, 0))], voters).unwrap().why, "the only one");
    }

    #[test]
    fn copies_of_a_majority_need_no_recovery() {
        let both = [seen(1, (1, 5), (1, 5)), seen(2, (1, 5), (1, 5))];
        assert_eq!(of(&both, &[&[1, 2, 3]]), Err(MajorityIsThere { given: 2, voters: 3 }));
        assert!(of(&both, &[&[1, 2, 3, 4]]).is_ok(), "half is no majority");
        assert!(of(&both, &[&[1, 2, 3], &[3, 4, 5]]).is_ok(), "both sets of a change must agree");
        assert!(of(&[seen(9, (1, 5), (1, 5))], &[&[1, 2, 3]]).is_ok(), "a learner is no voter");
    }

    #[test]
    fn the_others_can_have_gone_on_only_as_a_majority_of_each_set() {
        let one = [seen(1, (1, 5), (1, 5))];
        let decide = |seen: &[Seen], voters: &[&[u64]]| of(seen, voters).unwrap().others_decide;
        assert!(decide(&one, &[&[1, 2, 3]]));
        assert!(!decide(&one, &[&[1, 2]]), "one of two is no majority");
        let two = [seen(1, (1, 5), (1, 5)), seen(2, (1, 5), (1, 5))];
        assert!(!decide(&two, &[&[1, 2, 3, 4]]));
        assert!(!decide(&one, &[&[1, 2, 3], &[1, 2]]));
    }
}
