//! What a node can tell about the cluster, for people and for tests.

use super::core::Core;
use crate::machine::Fingerprint;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use quorate_domain::{ClusterId, NodeId, Span};
use quorate_membership::{DiskUse, Unfit};
use serde::Serialize;
use std::collections::BTreeSet;

/// A node's view of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Status {
    /// This node.
    pub node: NodeId,
    /// The cluster.
    pub cluster: ClusterId,
    /// What this node does in it.
    pub role: Role,
    /// The leader it knows of.
    pub leader: Option<NodeId>,
    /// The current term.
    pub term: u64,
    /// Index of the last entry in the log.
    pub last_log: u64,
    /// Index of the last entry known to be committed.
    pub committed: u64,
    /// Index of the last applied entry.
    pub applied: u64,
    /// Index of the last entry in the newest snapshot.
    pub snapshot: Option<u64>,
    /// Index of the last entry that is gone from the log.
    pub purged: Option<u64>,
    /// The fingerprint of all that was applied and of what came of it: at the same index the same on every node (I9).
    /// `None` until something is.
    pub history: Option<Fingerprint>,
    /// Voters on which the same log had other outcomes, also those that are silent since.
    pub differs_from: BTreeSet<NodeId>,
    /// Why it should not lead while another one can.
    pub unfit: Option<Unfit>,
    /// How full its disk is; `None` until it was looked at.
    pub disk: Option<DiskUse>,
    /// By how many milliseconds its clock is ahead of most others'; `None` without a majority.
    pub clock_skew_ms: Option<i64>,
    /// All members.
    pub peers: Vec<PeerStatus>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Decides the order of the log.
    Leader,
    /// Votes and follows.
    Follower,
    /// Stands for election.
    Candidate,
    /// Follows without a vote.
    Learner,
    /// Is stopping.
    Stopped,
}

/// A member of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct PeerStatus {
    /// The node.
    pub node: NodeId,
    /// Where it listens for its peers.
    pub address: String,
    /// Whether it votes, before and after a change of membership that is under way.
    pub votes: bool,
    /// Entries it lacks, as the leader knows; `None` elsewhere, or while nothing was heard of it.
    pub lag: Option<u64>,
    /// Up to which index its history was last found equal to this node's; `None` of this node itself, and while it never was.
    pub equal_at: Option<u64>,
    /// For how long nothing was heard of it by this node; `None` of this node itself, and while nothing ever was.
    pub silent: Option<Span>,
    /// By how many milliseconds its clock is ahead of this node's, when it was heard last.
    pub clock_ahead_ms: Option<i64>,
    /// Why it says that it should not lead.
    pub unfit: Option<Unfit>,
    /// How full it says that its disk is.
    pub disk: Option<DiskUse>,
}

impl From<ServerState> for Role {
    fn from(state: ServerState) -> Self {
        match state {
            ServerState::Learner => Self::Learner,
            ServerState::Follower => Self::Follower,
            ServerState::Candidate => Self::Candidate,
            ServerState::Leader => Self::Leader,
            ServerState::Shutdown => Self::Stopped,
        }
    }
}

pub(super) fn status(core: &Core) -> Status {
    let metrics = core.raft.metrics();
    let seen = metrics.borrow_watched();
    let last_log = seen.last_log_index.unwrap_or(0);
    let membership = &seen.membership_config;
    // A change counts once it is committed: until then, the old voters decide whether it comes about.
    let committed = seen.committed_membership_config.get_joint_config();
    let votes = |id: &u64| !committed.is_empty() && committed.iter().all(|voters| voters.contains(id));
    let lag = |id: &u64| {
        let matching = seen.replication.as_ref()?.get(id)?.as_ref()?;
        Some(last_log.saturating_sub(matching.index))
    };
    let compared = core.compared.borrow().clone();
    let (now, vitals) = (core.clock.mono(), core.vitals.lock());
    let peers = membership.nodes().map(|(id, peer)| {
        let heard = vitals.last(NodeId::new(*id));
        PeerStatus {
            node: NodeId::new(*id),
            address: peer.address.clone(),
            votes: votes(id),
            lag: lag(id),
            equal_at: compared.equal_at(NodeId::new(*id)),
            silent: heard.map(|heard| Span::of(now.since(heard.at))),
            clock_ahead_ms: heard.map(|heard| heard.ahead_ms),
            unfit: heard.and_then(|heard| heard.pulse.unfit),
            disk: heard.and_then(|heard| heard.pulse.disk),
        }
    });
    Status {
        node: core.node,
        cluster: core.cluster,
        role: seen.state.into(),
        leader: seen.current_leader.map(NodeId::new),
        term: seen.current_term,
        last_log,
        committed: seen.local_committed.map_or(0, |id| id.index),
        applied: seen.last_applied.map_or(0, |id| id.index),
        snapshot: seen.snapshot.map(|id| id.index),
        purged: seen.purged.map(|id| id.index),
        history: core.state.history(),
        differs_from: compared.differing(),
        unfit: vitals.unfit(now, &core.limits),
        disk: vitals.disk,
        clock_skew_ms: vitals.skew_ms,
        peers: peers.collect(),
    }
}
