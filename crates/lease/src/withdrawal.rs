//! When what was withdrawn, as by the revocation of a key, is withdrawn on every node.

use crate::RevocationBound;
use quorate_domain::{MonoTime, NodeId};
use std::collections::BTreeSet;

/// The wait of whoever withdrew something, from its commit on.
#[derive(Clone, Debug)]
pub struct Withdrawal {
    silent: BTreeSet<NodeId>,
    due: MonoTime,
}

/// Whether a node may still go by what was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Some node may, until then at the latest.
    Open(MonoTime),
    /// No node does: each has said that it has applied the withdrawal.
    Acknowledged,
    /// No node can: these said nothing, and their leases have ended.
    WaitedOut(BTreeSet<NodeId>),
}

impl Withdrawal {
    /// A withdrawal that was committed at `since` or before, and the members that have not said yet that they applied
    /// it. `bound` is the longest that any of them may keep to.
    #[must_use]
    pub const fn new(members: BTreeSet<NodeId>, bound: RevocationBound, since: MonoTime) -> Self {
        Self { silent: members, due: bound.waited_out(since) }
    }

    /// A node has applied it.
    pub fn acknowledged(&mut self, node: NodeId) {
        self.silent.remove(&node);
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self, now: MonoTime) -> Standing {
        if self.silent.is_empty() {
            Standing::Acknowledged
        } else if now >= self.due {
            Standing::WaitedOut(self.silent.clone())
        } else {
            Standing::Open(self.due)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_micros(millis * 1_000)
    }

    #[test]
    fn it_holds_when_all_have_said_so_or_when_the_silent_can_have_no_lease_any_more() {
        let [two, three] = [2, 3].map(NodeId::new);
        let mut withdrawal = Withdrawal::new([two, three].into(), RevocationBound::DEFAULT, at(10));
        withdrawal.acknowledged(two);
        assert_eq!(withdrawal.standing(at(2_013)), Standing::Open(at(2_014)));
        assert_eq!(withdrawal.standing(at(2_014)), Standing::WaitedOut([three].into()));
        withdrawal.acknowledged(three);
        assert_eq!(withdrawal.standing(at(11)), Standing::Acknowledged);
    }
}
