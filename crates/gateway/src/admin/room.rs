//! Whether there is room for what operators change. What requests need goes on while there is any.

use super::AdminError;
use crate::replica::ClusterStatus;
use quorate_domain::NodeId;
use quorate_membership::{DiskUse, Fill};

/// Refuses while this node's disk is almost full, or the leader's, of which a leader without an heir can be the only one.
pub(super) fn for_changes(status: &ClusterStatus) -> Result<(), AdminError> {
    let is_full = |disk: Option<DiskUse>| disk.is_some_and(|disk| disk.fill == Fill::ReadOnly);
    let leader = status.members.iter().find(|member| Some(member.node) == status.leader);
    let full: Option<NodeId> = if is_full(status.disk) {
        Some(status.node)
    } else {
        leader.filter(|leader| is_full(leader.disk)).map(|leader| leader.node)
    };
    full.map_or(Ok(()), |node| Err(AdminError::DiskAlmostFull(node)))
}
