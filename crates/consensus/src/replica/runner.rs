//! The tasks behind the handle, and how they end.

use super::core::Core;
use super::entries::{self, Group};
use super::error::{ChangeError, RunError};
use super::proposer::{self, Pending};
use super::rounds::{self, Asker};
use super::{certificates, comparison, fencing, freshness, observe, pulse, room, status, steward};
use crate::host::{Socket, run_blocking};
use crate::transport::{LinkTask, Listener, Told};
use quorate_domain::NodeId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A hand-over takes a round trip and a vote; without it, an election would take longer than this.
const HAND_OVER: Duration = Duration::from_secs(1);

/// The work of a replica. Its owner spawns [`Runner::run`].
#[derive(Debug)]
pub struct Runner {
    pub(super) core: Arc<Core>,
    pub(super) socket: Box<dyn Socket>,
    pub(super) listener: Listener,
    pub(super) told: Told,
    pub(super) links: mpsc::Receiver<LinkTask>,
    pub(super) pending: mpsc::Receiver<Pending>,
    pub(super) groups: mpsc::Receiver<Group>,
    pub(super) rounds: mpsc::Receiver<Asker>,
}

impl Runner {
    /// Runs until `stop`, then hands leadership over, writes what waits and closes the files.
    ///
    /// # Errors
    /// When the storage or Raft fails: then it returns without being asked to stop.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let core = self.core.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(entries::run(core.clone(), self.groups));
        tasks.spawn(proposer::run(core.clone(), self.pending));
        tasks.spawn(steward::run(core.clone()));
        tasks.spawn(certificates::run(core.clone()));
        tasks.spawn(fencing::run(core.clone()));
        tasks.spawn(rounds::run(core.clone(), self.rounds));
        tasks.spawn(freshness::run(core.clone()));
        tasks.spawn(pulse::run(core.clone()));
        tasks.spawn(room::run(core.clone()));
        tasks.spawn(run_links(self.links));
        tasks.spawn(self.listener.run(self.socket));
        let result = tokio::select! {
            failure = observe::run(core.clone()) => Err(failure),
            (at, from) = comparison::run(core.clone()) => Err(RunError::Diverged { applied: at.applied, from }),
            refusal = self.told.refused() => Err(RunError::Expelled(refusal)),
            () = stop.cancelled() => Ok(()),
        };
        if result.is_ok() {
            retire(&core).await;
        }
        // Raft first: it uses the links, and its last write must find the storage thread.
        let _ = core.raft.shutdown().await;
        tasks.shutdown().await;
        let log = core.log.clone();
        let _ = run_blocking(&*core.disk, move || log.close()).await;
        result
    }
}

async fn run_links(mut started: mpsc::Receiver<LinkTask>) {
    let mut links = JoinSet::new();
    while let Some(link) = started.recv().await {
        links.spawn(link.run());
    }
}

/// Leaves the lead to somebody else before going.
async fn retire(core: &Arc<Core>) {
    if !core.leads() {
        return;
    }
    let watching = observe::run(core.clone());
    tokio::select! {
        _ = watching => {}
        handed = hand_over(core) => {
            if let Err(error) = handed {
                tracing::info!(%error, "leadership was not handed over");
            }
        }
    }
}

/// Hands leadership to this voter, or to the one that has most of the log.
pub(super) async fn hand_over_to_any(core: &Core, to: Option<NodeId>) -> Result<(), ChangeError> {
    match to {
        Some(node) => hand_over_to(core, node).await,
        None => hand_over(core).await,
    }
}

/// Hands leadership to the voter that has most of the log.
async fn hand_over(core: &Core) -> Result<(), ChangeError> {
    let others = status::status(core).peers.into_iter().filter(|peer| peer.votes && peer.node != core.node);
    let nearest = others.min_by_key(|peer| peer.lag.unwrap_or(u64::MAX));
    match nearest {
        Some(peer) => hand_over_to(core, peer.node).await,
        None => Err(ChangeError::LastVoter(core.node)),
    }
}

/// Hands leadership to a node and waits until this one does not lead.
pub(super) async fn hand_over_to(core: &Core, node: NodeId) -> Result<(), ChangeError> {
    if !core.leads() {
        return Err(ChangeError::NotLeader(core.leader()));
    }
    let peers = status::status(core).peers;
    let peer = peers.iter().find(|peer| peer.node == node).ok_or(ChangeError::UnknownNode(node))?;
    if !peer.votes {
        return Err(ChangeError::NotVoter(node));
    }
    let mut leader = core.leader.subscribe();
    core.raft.trigger().transfer_leader(node.get()).await.map_err(|_| ChangeError::TimedOut)?;
    let handed = leader.wait_for(|leader| leader.is_some_and(|leader| leader != core.node));
    let handed = tokio::time::timeout(HAND_OVER, handed).await;
    handed.map(drop).map_err(|_| ChangeError::TimedOut)
}
