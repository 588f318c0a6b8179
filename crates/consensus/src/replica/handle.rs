//! The handle: what the rest of the node does with the cluster.

use super::core::Core;
use super::error::{ChangeError, ProposeError, ReadError};
use super::status::{self, Status};
use super::{everywhere, proposer, runner};
use crate::machine::{Command, NodeCommand, Outcome, State};
use crate::transport::{Lane, Request, Response};
use openraft::ReadPolicy;
use quorate_domain::{BootId, ClusterId, MonoTime, NodeId, Span};
use quorate_lease::{Lease, Standing};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a proposal is tried unless the caller says otherwise: two elections.
const PROPOSE_PATIENCE: Duration = Duration::from_secs(5);
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts to have a read confirmed.
const PAUSE: Duration = Duration::from_millis(25);

/// A cheap handle on this node's part in the cluster. Every call works on every node.
#[derive(Clone, Debug)]
pub struct Replica(pub(super) Arc<Core>);

impl Replica {
    /// Proposes a command and waits for its outcome, for five seconds at most.
    ///
    /// # Errors
    /// See [`ProposeError`]: each tells whether the command may have been applied.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        self.propose_within(command, PROPOSE_PATIENCE).await
    }

    /// Proposes a command and waits for its outcome, for this long at most.
    ///
    /// # Errors
    /// See [`ProposeError`]: each tells whether the command may have been applied.
    pub async fn propose_within(&self, command: Command, within: Duration) -> Result<Outcome, ProposeError> {
        proposer::propose(&self.0, command, within).await
    }

    /// Waits until this node has applied everything that was acknowledged anywhere before the call. What is read
    /// from [`Replica::state`] afterwards is linearizable.
    ///
    /// # Errors
    /// When no leader with a majority confirms in time.
    pub async fn read_barrier(&self, within: Duration) -> Result<(), ReadError> {
        tokio::time::timeout(within, self.barrier()).await.unwrap_or(Err(ReadError::Unavailable))
    }

    /// Until when this node may go by what it has applied, and for how long a lease lasts at most.
    #[must_use]
    pub fn lease(&self) -> (&Arc<Lease>, Span) {
        (&self.0.freshness.lease, self.0.freshness.bound.span())
    }

    /// Waits until no node goes by what was withdrawn any more, as by the revocation of a key: every member has applied it,
    /// or its lease has ended. It was committed at `since` or before, on this node's clock, and this node has applied it.
    pub async fn everywhere(&self, since: MonoTime) -> Standing {
        everywhere::everywhere(&self.0, since).await
    }

    /// The replicated state as far as this node has applied it.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.0.state
    }

    /// The index of the last applied entry. Changes after the state did.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.0.applied.clone()
    }

    /// The leader, as this node knows it.
    #[must_use]
    pub fn leader(&self) -> watch::Receiver<Option<NodeId>> {
        self.0.leader.subscribe()
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.0.cluster
    }

    /// This start of the process.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.0.boot
    }

    /// Where peers dial this node.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.address
    }

    /// This node's view of the cluster.
    #[must_use]
    pub fn status(&self) -> Status {
        status::status(&self.0)
    }

    /// Takes a node out of the cluster for good, and waits until it no longer counts.
    ///
    /// # Errors
    /// When there is no such node, when it is the last voter, or when it takes too long.
    pub async fn remove(&self, node: NodeId) -> Result<(), ChangeError> {
        let members = self.status().peers;
        if !members.iter().any(|peer| peer.node == node) && self.0.state.nodes.read().get(node).is_none() {
            return Err(ChangeError::UnknownNode(node));
        }
        if members.iter().filter(|peer| peer.votes).all(|peer| peer.node == node) {
            return Err(ChangeError::LastVoter(node));
        }
        self.propose(Command::Node(NodeCommand::Remove { node })).await?;
        let wait = self.0.raft.wait(Some(CHANGE_PATIENCE));
        let left = wait.metrics(
            |metrics| metrics.committed_membership_config.get_node(&node.get()).is_none(),
            "the node has left the membership",
        );
        left.await.map(drop).map_err(|_| ChangeError::TimedOut)
    }

    /// Hands leadership to a node, or to the one that is furthest if `None`, and waits until somebody else leads.
    ///
    /// # Errors
    /// When this node does not lead, when the other does not vote, or when it takes too long.
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<(), ChangeError> {
        match to {
            Some(node) => runner::hand_over_to(&self.0, node).await,
            None => runner::hand_over(&self.0).await,
        }
    }

    async fn barrier(&self) -> Result<(), ReadError> {
        let mut leader = self.0.leader.subscribe();
        let index = loop {
            leader.mark_unchanged();
            if let Some(index) = self.read_index().await {
                break index;
            }
            if self.0.pending.is_closed() {
                return Err(ReadError::Stopped);
            }
            let _ = tokio::time::timeout(PAUSE, leader.changed()).await;
        };
        let mut applied = self.0.applied.clone();
        applied.wait_for(|applied| *applied >= index).await.map(drop).map_err(|_| ReadError::Stopped)
    }

    async fn read_index(&self) -> Option<u64> {
        let core = &self.0;
        let leader = core.leader()?;
        if leader == core.node {
            let linearizer = core.raft.get_read_linearizer(ReadPolicy::ReadIndex).await.ok()?;
            return Some(linearizer.read_log_id().index());
        }
        // One round of heartbeats by the leader; a little more than its lease lasts, and it is asked again.
        let within = core.timings.election_max * 2;
        let answer = core.link(leader)?.ask(Lane::Control, &Request::ReadIndex, within).await.ok()?;
        if let Response::ReadIndex(index) = answer { Some(index) } else { None }
    }
}
