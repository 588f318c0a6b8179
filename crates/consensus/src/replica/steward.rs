//! Keeps Raft's membership as the table of nodes says: newcomers are added, caught-up ones vote, removed ones leave.
//!
//! It compares and corrects instead of following steps, so that a new leader goes on where the old one stopped.

use super::core::Core;
use super::proposer;
use super::settings::VOTERS_MAX;
use super::status;
use crate::machine::{Command, NodeCommand, Proposal};
use crate::raft::{Peer, Types};
use crate::transport::{Lane, Request, Response};
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{ChangeMembers, RaftMetrics, ReadPolicy};
use quorate_domain::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How often the two are compared. A newcomer waits for it a few times.
const EVERY: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(5);
/// A learner that lacks no more than this votes without holding up the log.
const CAUGHT_UP: u64 = 1_000;

/// One correction.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    AddLearner(u64, Peer),
    Readdress(u64, Peer),
    Promote(u64),
    RemoveVoter(u64),
    RemoveLearner(u64),
    /// This node is to leave but leads: somebody else must remove it.
    HandOver,
}

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(EVERY).await;
        introduce(&core).await;
        if core.leads()
            && let Err(cause) = correct(&core).await
        {
            tracing::debug!(cause, "membership is not as it should be yet");
        }
    }
}

/// Enters this node into the table if it founded the cluster, or if it listens elsewhere now.
async fn introduce(core: &Core) {
    let Some(command) = introduction(core) else { return };
    if core.leader().is_none() {
        return announce(core, command).await;
    }
    if let Err(error) = proposer::propose(core, Command::Node(command), PATIENCE).await {
        tracing::debug!(%error, "this node could not introduce itself yet");
    }
}

/// The leader looks for this node at its old address, so that this node hears of no leader. Its peers know.
async fn announce(core: &Core, command: NodeCommand) {
    let request = Request::Propose(vec![Proposal { origin: None, command: Command::Node(command) }]);
    let others = status::status(core).peers.into_iter().filter(|peer| peer.node != core.node);
    for peer in others {
        let link = core.links.to(peer.node, &peer.address);
        match link.ask(Lane::Control, &request, PATIENCE).await {
            Ok(Response::NotLeader(Some(hint))) => {
                let leader = core.links.to(hint.node, &hint.address);
                let _ = leader.ask(Lane::Control, &request, PATIENCE).await;
                return;
            }
            Ok(Response::Proposed(_)) => return,
            Ok(_) | Err(_) => {}
        }
    }
}

fn introduction(core: &Core) -> Option<NodeCommand> {
    let nodes = core.state.nodes.read();
    let address = core.address.clone();
    match (nodes.cluster(), nodes.get(core.node)) {
        (None, _) if core.leads() => {
            Some(NodeCommand::Found { cluster: core.cluster, storage: core.storage, address })
        }
        (Some(_), Some(record)) if record.address != address => {
            Some(NodeCommand::Readdress { node: core.node, address })
        }
        (None | Some(_), _) => None,
    }
}

/// Takes the first correction that is due.
async fn correct(core: &Core) -> Result<(), String> {
    if plan(core).is_none() {
        return Ok(());
    }
    // The membership comes into force when it is written, the table when it is applied: without this, a new leader
    // could remove nodes whose admission it has not applied yet.
    core.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map_err(|error| error.to_string())?;
    let Some(step) = plan(core) else { return Ok(()) };
    tracing::info!(?step, "membership follows the table of nodes");
    take(core, step).await
}

fn plan(core: &Core) -> Option<Step> {
    let metrics = core.raft.metrics();
    let metrics = metrics.borrow_watched();
    let nodes = core.state.nodes.read();
    nodes.cluster()?;
    let table: BTreeMap<u64, Peer> =
        nodes.iter().map(|(id, record)| (id.get(), Peer { address: record.address.clone() })).collect();
    next_step(core.node, &table, &metrics)
}

fn next_step(own: NodeId, table: &BTreeMap<u64, Peer>, metrics: &RaftMetrics<Types>) -> Option<Step> {
    let membership = &metrics.membership_config;
    let members: BTreeMap<u64, &Peer> = membership.nodes().map(|(id, peer)| (*id, peer)).collect();
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let newcomer = table.iter().find(|(id, _)| !members.contains_key(id));
    let moved = table.iter().find(|(id, peer)| members.get(id).is_some_and(|known| known != peer));
    let gone = members.keys().find(|id| !table.contains_key(id)).copied();
    if let Some((id, peer)) = newcomer {
        return Some(Step::AddLearner(*id, peer.clone()));
    }
    if let Some((id, peer)) = moved {
        return Some(Step::Readdress(*id, peer.clone()));
    }
    match gone {
        Some(id) if id == own.get() => Some(Step::HandOver),
        Some(id) if voters.contains(&id) => Some(Step::RemoveVoter(id)),
        Some(id) => Some(Step::RemoveLearner(id)),
        None => promotion(&members, &voters, metrics),
    }
}

fn promotion(
    members: &BTreeMap<u64, &Peer>,
    voters: &BTreeSet<u64>,
    metrics: &RaftMetrics<Types>,
) -> Option<Step> {
    if voters.len() >= VOTERS_MAX {
        return None;
    }
    let last = metrics.last_log_index.unwrap_or(0);
    let replication = metrics.replication.as_ref()?;
    let caught_up = |id: &u64| {
        let matching = replication.get(id).and_then(|matching| matching.as_ref());
        matching.is_some_and(|matching| matching.index + CAUGHT_UP >= last)
    };
    members.keys().filter(|id| !voters.contains(id)).find(|id| caught_up(id)).map(|id| Step::Promote(*id))
}

async fn take(core: &Core, step: Step) -> Result<(), String> {
    let raft = &core.raft;
    let one = |id| BTreeSet::from([id]);
    let (change, retain) = match step {
        Step::AddLearner(id, peer) => {
            return raft.add_learner(id, peer, false).await.map(drop).map_err(|error| error.to_string());
        }
        Step::HandOver => return super::runner::hand_over(core).await.map_err(|error| error.to_string()),
        Step::Readdress(id, peer) => (ChangeMembers::SetNodes(BTreeMap::from([(id, peer)])), true),
        Step::Promote(id) => (ChangeMembers::AddVoterIds(one(id)), true),
        Step::RemoveVoter(id) => (ChangeMembers::RemoveVoters(one(id)), false),
        Step::RemoveLearner(id) => (ChangeMembers::RemoveNodes(one(id)), true),
    };
    raft.change_membership(change, retain).await.map(drop).map_err(|error| error.to_string())
}
