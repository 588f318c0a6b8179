//! Follows openraft's own account of itself: who leads, how far the log is, and whether it still runs.

use super::core::Core;
use super::error::RunError;
use crate::raft::Types;
use openraft::RaftMetrics;
use openraft::async_runtime::watch::WatchReceiver as _;
use quorate_domain::NodeId;
use std::sync::Arc;

/// Runs until openraft stops, and says why it did.
pub(super) async fn run(core: Arc<Core>) -> RunError {
    let mut metrics = core.raft.metrics();
    let mut membership = None;
    loop {
        let stopped = {
            let seen = metrics.borrow_watched();
            publish(&core, &seen);
            let before = membership.replace(seen.membership_config.clone());
            if before.as_ref() != Some(&seen.membership_config) {
                follow_addresses(&core, &seen);
            }
            seen.running_state.as_ref().err().map(ToString::to_string)
        };
        if let Some(cause) = stopped {
            return why(&core, cause);
        }
        if metrics.changed().await.is_err() {
            return why(&core, "its core is gone".to_owned());
        }
    }
}

fn why(core: &Core, cause: String) -> RunError {
    match (core.log.check(), core.refused.get()) {
        (Err(error), _) => RunError::Storage(error),
        (Ok(()), Some(error)) => RunError::Storage(error.clone()),
        (Ok(()), None) => RunError::Raft(cause),
    }
}

/// Ways that exist keep their peer even if it moved.
fn follow_addresses(core: &Core, seen: &RaftMetrics<Types>) {
    for (id, peer) in seen.membership_config.nodes() {
        core.links.readdress(NodeId::new(*id), &peer.address);
    }
}

fn publish(core: &Core, seen: &RaftMetrics<Types>) {
    let leader = seen.current_leader.map(NodeId::new);
    let gauges = &core.metrics.raft;
    let changed = core.leader.send_if_modified(|known| {
        let changed = *known != leader;
        *known = leader;
        changed
    });
    if changed {
        gauges.leader_changes.inc();
        tracing::info!(leader = leader.map(NodeId::get), term = seen.current_term, "the leader changed");
    }
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let committed = seen.local_committed.map_or(0, |id| id.index);
    let applied = seen.last_applied.map_or(0, |id| id.index);
    gauges.is_leader.set(i64::from(leader == Some(core.node)));
    gauges.leader.set(number(leader.map_or(0, NodeId::get)));
    gauges.term.set(number(seen.current_term));
    gauges.last_log.set(number(seen.last_log_index.unwrap_or(0)));
    gauges.committed.set(number(committed));
    gauges.applied.set(number(applied));
    gauges.lag.set(number(committed.saturating_sub(applied)));
}
