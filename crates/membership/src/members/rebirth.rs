//! How a cluster goes on from one copy of its state: recovered as itself in the next lineage, or founded anew as another.

use super::{FIRST_LINEAGE, Membership};
use crate::seats::Ballot;
use crate::{Fence, Fenced, Founding, NodeRecord, Outcome, Recovery, Rejection, Standing, Tokens, What};
use quorate_domain::{LogTime, NodeId};

/// So many ids are given to nobody: those that were given after the copy was made are among them.
const IDS_LEFT_OUT: u64 = 100;

impl Membership {
    /// Leaves everybody behind but one, who serves and votes.
    pub(super) fn recover(&mut self, at: LogTime, recovery: Recovery) -> Result<(), Rejection> {
        let Recovery { keeper, plan } = recovery;
        if self.fence.plan == Some(plan) {
            return Ok(());
        }
        let record = self.nodes.get_mut(&keeper).ok_or(Rejection::Unknown(keeper))?;
        (record.standing, record.ballot) = (Standing::Serving, Ballot::Free);
        (record.replaced, record.replaces) = (None, None);
        self.lineage += 1;
        self.fence.plan = Some(plan);
        let lineage = self.lineage;
        for (id, record) in self.leave_behind(Some(keeper)) {
            let address = record.profile.peer_address;
            self.fence.nodes.insert(id, Fenced { storage: record.storage, address, lineage });
        }
        self.note_own(at, keeper, |named| What::Recovered(named, lineage));
        Ok(())
    }

    /// Becomes another cluster, with one fresh node. What is written stays at its level: the state was.
    pub(super) fn refound(&mut self, at: LogTime, founding: Founding) -> Outcome {
        if self.cluster == Some(founding.cluster) {
            return Outcome::Founded(founding.cluster);
        }
        self.leave_behind(None);
        (self.cluster, self.lineage, self.fence) = (None, FIRST_LINEAGE, Fence::default());
        let level = self.level;
        let founded = self.found(at, founding);
        self.level = level;
        founded
    }

    /// Takes the others out of the table for good. Tokens go too: one that was withdrawn or used up since would let somebody in.
    fn leave_behind(&mut self, keeper: Option<NodeId>) -> Vec<(NodeId, NodeRecord)> {
        let left: Vec<_> = self.nodes.extract_if(.., |id, _| Some(*id) != keeper).collect();
        self.retired.extend(left.iter().map(|(_, record)| record.storage));
        self.tokens = Tokens::default();
        self.voters = keeper.into_iter().collect();
        self.revision += 1;
        self.last_id += IDS_LEFT_OUT;
        left
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOW, admit, founded, root};
    use super::*;
    use crate::{Card, Command, Levels, Mismatch, PlanId, StorageId, judge};
    use quorate_domain::{BootId, ClusterId};
    use std::collections::BTreeSet;

    fn recover(members: &mut Membership, plan: u64) -> Outcome {
        let (keeper, plan) = (NodeId::new(2), PlanId::new(plan));
        members.apply(NOW, Command::Recover(Recovery { keeper, plan }))
    }

    fn three() -> Membership {
        let mut members = founded();
        admit(&mut members, 200);
        admit(&mut members, 300);
        members
    }

    fn ids(members: &Membership) -> Vec<u64> {
        members.iter().map(|(id, _)| id.get()).collect()
    }

    #[test]
    fn who_is_left_behind_is_fenced_and_never_comes_back() {
        let mut members = three();
        assert_eq!(recover(&mut members, 7), Outcome::Done);
        assert_eq!((members.lineage(), ids(&members)), (2, vec![2]));
        assert_eq!(members.voters(), &BTreeSet::from([NodeId::new(2)]));
        let fenced: Vec<_> = members.fence().nodes().iter().map(|(id, f)| (id.get(), f.lineage)).collect();
        assert_eq!(fenced, [(1, 2), (3, 2)]);
        assert_eq!(admit(&mut members, 300), Outcome::Rejected(Rejection::Removed));
        assert_eq!(admit(&mut members, 400), Outcome::Rejected(Rejection::TokenUnknown), "tokens are gone");
        let card = Card {
            cluster: ClusterId::new(9),
            lineage: 1,
            node: NodeId::new(3),
            storage: StorageId::new(300),
            starts: 0,
            boot: BootId::default(),
            last_log: 0,
            levels: Levels::OURS,
            release: String::new(),
        };
        let judged = judge(&card, ClusterId::new(9), &members, (true, None));
        assert_eq!(judged, Err(Mismatch::Lineage { expected: 1, actual: 2 }));
    }

    #[test]
    fn the_same_plan_changes_nothing_twice_and_a_second_recovery_keeps_the_first_fence() {
        let mut members = three();
        recover(&mut members, 7);
        let once = members.clone();
        assert_eq!(recover(&mut members, 7), Outcome::Done);
        assert_eq!(members, once);
        assert_eq!(recover(&mut members, 8), Outcome::Done);
        assert_eq!((members.lineage(), members.fence().nodes().len()), (3, 2));
    }

    #[test]
    fn a_node_that_is_no_member_cannot_be_the_one_to_go_on() {
        let mut members = founded();
        let before = members.clone();
        assert_eq!(recover(&mut members, 7), Outcome::Rejected(Rejection::Unknown(NodeId::new(2))));
        assert_eq!(members, before);
    }

    #[test]
    fn a_copy_that_becomes_another_cluster_has_one_fresh_node_above_all_ids() {
        let mut members = three();
        let founding = Founding {
            cluster: ClusterId::new(77),
            storage: StorageId::new(900),
            profile: members.get(NodeId::new(1)).unwrap().profile.clone(),
            root: root(3),
            starts: 0,
            boot: BootId::default(),
        };
        let refound = Command::Refound(founding);
        assert_eq!(members.apply(NOW, refound.clone()), Outcome::Founded(ClusterId::new(77)));
        assert_eq!((members.cluster(), members.lineage()), (Some(ClusterId::new(77)), 1));
        assert!(ids(&members).iter().all(|id| *id > 3) && ids(&members).len() == 1);
        assert_eq!(members.voters().iter().map(|id| id.get()).collect::<Vec<_>>(), ids(&members));
        assert_eq!(members.authority().unwrap().signer(), &root(3));
        let once = members.clone();
        members.apply(NOW, refound);
        assert_eq!(members, once);
    }
}
