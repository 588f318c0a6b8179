//! Keeps Raft's membership as the table of nodes says: newcomers are added, who has a seat votes, removed ones leave. When it is so,
//! the autopilot may wish for another table.
//!
//! It compares and corrects instead of following steps, so that a new leader goes on where the old one stopped.

use super::core::Core;
use super::proposer;
use super::{outlook, status};
use crate::machine::{Command, Outcome, Proposal};
use crate::raft::{Peer, Types};
use crate::transport::{Lane, Request, Response};
use crate::trust::Myself;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{ChangeMembers, RaftMetrics, ReadPolicy};
use quorate_domain::NodeId;
use quorate_membership::{self as membership, By, Founding, Introduction, Order, Rejection, Wish};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How often the two are compared. A newcomer waits for it a few times.
const EVERY: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(5);
/// Who changes the table when the autopilot wishes for it.
const AUTOPILOT: &str = "autopilot";

/// One correction.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    AddLearner(u64, Peer),
    Readdress(u64, Peer),
    /// One change, by joint consensus, whoever comes and goes.
    Seat(BTreeSet<u64>),
    RemoveLearner(u64),
    /// This node has lost its seat but leads: another voter must see to it.
    HandOver(u64),
}

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(rejection) = introduce(&core).await {
            // Not the end of the node: one that was removed is still needed for the change of voters that lets it go. What is
            // final, peers say at the next handshake. A name that another member has is not: it stays as it was, and this is said.
            tracing::error!(%rejection, "the cluster does not know this node as the one it says it is");
        }
        if !core.leads() {
            continue;
        }
        if let Err(cause) = lead(&core).await {
            tracing::debug!(cause, "membership is not as it should be yet");
        }
    }
}

/// Corrects what is due; if nothing is, changes the table as the autopilot wishes.
async fn lead(core: &Core) -> Result<(), String> {
    let Some(sight) = outlook::sight(core) else { return Ok(()) };
    if plan(core).is_some() {
        return correct(core).await;
    }
    let wished = {
        let table = core.state.membership.read();
        membership::wish(&table, &sight).map(|wish| (wish, table.revision()))
    };
    let Some((Wish { change, why }, expected)) = wished else { return Ok(()) };
    let by = By { actor: AUTOPILOT.to_owned(), reason: Some(why) };
    tracing::info!(?change, %by, "the autopilot changes the table of nodes");
    let order = membership::Command::Change(Order { expected, by, change });
    // Refused if somebody was faster: then it looks again.
    proposer::propose(core, Command::Membership(order), PATIENCE)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

/// Enters this node into the table if it founded the cluster; says that it started, or that it listens elsewhere now.
async fn introduce(core: &Core) -> Result<(), Rejection> {
    let Some(command) = introduction(core) else { return Ok(()) };
    if core.leader().is_none() {
        announce(core, command).await;
        return Ok(());
    }
    match proposer::propose(core, Command::Membership(command), PATIENCE).await {
        Ok(Outcome::Membership(membership::Outcome::Rejected(rejection))) => Err(rejection),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::debug!(%error, "this node could not introduce itself yet");
            Ok(())
        }
    }
}

/// The leader looks for this node at its old address, so that this node hears of no leader. Its peers know.
async fn announce(core: &Core, command: membership::Command) {
    let request = Request::Propose(vec![Proposal { origin: None, command: Command::Membership(command) }]);
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

fn introduction(core: &Core) -> Option<membership::Command> {
    let members = core.state.membership.read();
    let Myself { cluster, lineage: _, node, storage, starts, boot, levels: _ } = core.register.myself;
    let profile = core.profile.clone();
    match (members.cluster(), members.get(node)) {
        (None, _) if core.leads() => {
            let root = core.keyring.held().founding?;
            let founding = Founding { cluster, storage, profile, root, starts, boot };
            Some(membership::Command::Found(founding))
        }
        (Some(_), Some(known)) if known.profile != profile || known.boot != boot => {
            Some(membership::Command::Introduce(Introduction { node, storage, starts, boot, profile }))
        }
        (None | Some(_), _) => None,
    }
}

/// Takes the first correction that is due.
async fn correct(core: &Core) -> Result<(), String> {
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
    let members = core.state.membership.read();
    members.cluster()?;
    let table: BTreeMap<u64, Peer> = members
        .iter()
        .map(|(id, record)| (id.get(), Peer { address: record.address().to_owned() }))
        .collect();
    let seats = members.voters().iter().map(|voter| voter.get()).collect();
    next_step(core.node, &table, &seats, &metrics)
}

fn next_step(
    own: NodeId,
    table: &BTreeMap<u64, Peer>,
    seats: &BTreeSet<u64>,
    metrics: &RaftMetrics<Types>,
) -> Option<Step> {
    let membership = &metrics.membership_config;
    let members: BTreeMap<u64, &Peer> = membership.nodes().map(|(id, peer)| (*id, peer)).collect();
    let newcomer = table.iter().find(|(id, _)| !members.contains_key(id));
    let moved = table.iter().find(|(id, peer)| members.get(id).is_some_and(|known| known != peer));
    if let Some((id, peer)) = newcomer {
        return Some(Step::AddLearner(*id, peer.clone()));
    }
    if let Some((id, peer)) = moved {
        return Some(Step::Readdress(*id, peer.clone()));
    }
    if membership.get_joint_config().as_slice() != std::slice::from_ref(seats) {
        return Some(seat(own.get(), seats, &membership.voter_ids().collect()));
    }
    let gone = members.keys().find(|id| !table.contains_key(id)).copied();
    gone.map(Step::RemoveLearner)
}

/// A leader without a seat hands over to one that keeps its own; if there is none, it makes the change and steps down.
fn seat(own: u64, seats: &BTreeSet<u64>, voters: &BTreeSet<u64>) -> Step {
    match voters.iter().find(|voter| seats.contains(voter)) {
        Some(heir) if !seats.contains(&own) => Step::HandOver(*heir),
        Some(_) | None => Step::Seat(seats.clone()),
    }
}

async fn take(core: &Core, step: Step) -> Result<(), String> {
    let raft = &core.raft;
    let (change, retain) = match step {
        Step::AddLearner(id, peer) => {
            return raft.add_learner(id, peer, false).await.map(drop).map_err(|error| error.to_string());
        }
        Step::HandOver(heir) => {
            let handed = super::runner::hand_over_to(core, NodeId::new(heir)).await;
            return handed.map_err(|error| error.to_string());
        }
        Step::Readdress(id, peer) => (ChangeMembers::SetNodes(BTreeMap::from([(id, peer)])), true),
        Step::Seat(voters) => (ChangeMembers::ReplaceAllVoters(voters), true),
        Step::RemoveLearner(id) => (ChangeMembers::RemoveNodes(BTreeSet::from([id])), true),
    };
    raft.change_membership(change, retain).await.map(drop).map_err(|error| error.to_string())
}
