//! The handle: what the rest of the node does with the cluster.

use super::core::Core;
use super::error::{ChangeError, ProposeError, ReadError};
use super::status::{self, Status};
use super::{everywhere, outlook, proposer, runner};
use crate::host;
use crate::machine::{Command, Outcome, State};
use crate::store::Underway;
use crate::transport::{Lane, Request, Response};
use crate::trust;
use openraft::ReadPolicy;
use quorate_domain::{BootId, ClusterId, MonoTime, NodeId, Secret, Span};
use quorate_lease::{Lease, Standing};
use quorate_membership::{self as membership, Ask, By, JoinToken, NewToken, Plan, Rejection, Sight, TokenId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a proposal is tried unless the caller says otherwise: two elections.
const PROPOSE_PATIENCE: Duration = Duration::from_secs(5);
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);
/// The leader waits a second for the other to lead.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(2);
/// More than any cluster has voters: one that is reached is enough.
const SEEDS_MAX: usize = 16;
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
        &self.0.profile.peer_address
    }

    /// Since when a write to the log has been under way.
    #[must_use]
    pub fn underway(&self) -> Underway {
        self.0.log.underway().clone()
    }

    /// Notes that a write to one of this node's databases took seconds: it should not lead for a while.
    pub fn note_stall(&self) {
        self.0.metrics.machine.stalls.inc();
        self.0.vitals.lock().stalled(self.0.clock.mono());
    }

    /// This node's view of the cluster.
    #[must_use]
    pub fn status(&self) -> Status {
        status::status(&self.0)
    }

    /// Makes a join token that is good for so long and so many nodes. Its secret is nowhere else.
    ///
    /// # Errors
    /// When it cannot be written, or there are too many.
    pub async fn create_token(&self, ttl: Span, uses: u32, actor: String) -> Result<JoinToken, ChangeError> {
        let core = &self.0;
        self.until_founded().await?;
        let (root, seeds) = {
            let members = core.state.membership.read();
            let root = members.authority().map(|authority| authority.newest().id());
            let seeds =
                members.iter().map(|(_, record)| record.address().to_owned()).take(SEEDS_MAX).collect();
            (root.ok_or(Rejection::NotFounded)?, seeds)
        };
        let drawn =
            |bytes: &mut [u8]| host::fill(bytes).map_err(|error| ChangeError::Random(error.to_string()));
        let (mut id, mut secret) = ([0; 8], [0; 32]);
        drawn(&mut id)?;
        drawn(&mut secret)?;
        let id = TokenId::new(u64::from_le_bytes(id));
        let token = JoinToken { cluster: core.cluster, root, id, secret: Secret::new(secret), seeds };
        let until = core.state.time().plus(ttl);
        let new = NewToken { token: id, digest: token.digest(), until, uses, actor };
        self.change(membership::Command::CreateToken(new)).await?;
        Ok(token)
    }

    /// Begins to replace the root of the cluster's authority. Nodes follow by themselves.
    ///
    /// # Errors
    /// When it cannot be written, or one is being replaced already.
    pub async fn rotate_root(&self) -> Result<(), ChangeError> {
        let key = trust::draw().map_err(|error| ChangeError::Random(error.to_string()))?;
        let root = trust::root(self.0.cluster, key, self.0.clock.wall());
        let root = root.map_err(|error| ChangeError::Certificate(error.to_string()))?;
        self.change(membership::Command::Rotate { root }).await
    }

    /// Takes a join token back.
    ///
    /// # Errors
    /// When it cannot be written, or there is none.
    pub async fn withdraw_token(&self, token: TokenId) -> Result<(), ChangeError> {
        self.change(membership::Command::WithdrawToken { token }).await
    }

    async fn change(&self, command: membership::Command) -> Result<(), ChangeError> {
        match self.propose(Command::Membership(command)).await? {
            Outcome::Membership(membership::Outcome::Rejected(rejection)) => Err(rejection.into()),
            Outcome::Membership(_) => Ok(()),
            // Nobody answers a command with the outcome of another, and no answer is forgotten while one waits for it.
            Outcome::Catalog(_) | Outcome::Ledger(_) | Outcome::Idempotency(_) | Outcome::Forgotten => {
                Err(ChangeError::TimedOut)
            }
        }
    }

    /// A founder enters its cluster some moments after it leads.
    async fn until_founded(&self) -> Result<(), ChangeError> {
        self.read_barrier(PROPOSE_PATIENCE).await.map_err(|_| ChangeError::TimedOut)?;
        let mut applied = self.0.applied.clone();
        let founded = applied.wait_for(|_| self.0.state.membership.read().cluster().is_some());
        tokio::time::timeout(PROPOSE_PATIENCE, founded).await.map(drop).map_err(|_| ChangeError::TimedOut)
    }

    /// What the leader sees of the members: what plans are made from.
    ///
    /// # Errors
    /// When no leader answers in time.
    pub async fn sight(&self, within: Duration) -> Result<Sight, ReadError> {
        let seen = async {
            loop {
                match self.ask_sight().await {
                    Some(sight) => return Ok(sight),
                    None if self.0.pending.is_closed() => return Err(ReadError::Stopped),
                    None => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        tokio::time::timeout(within, seen).await.unwrap_or(Err(ReadError::Unavailable))
    }

    async fn ask_sight(&self) -> Option<Sight> {
        let core = &self.0;
        let leader = core.leader()?;
        if leader == core.node {
            return outlook::sight(core);
        }
        let answer =
            core.link(leader)?.ask(Lane::Control, &Request::Sight, core.timings.election_max * 2).await;
        if let Ok(Response::Sight(sight)) = answer { Some(sight) } else { None }
    }

    /// Takes a node out of the cluster for good whatever plans would say of it, and waits until it no longer counts.
    ///
    /// # Errors
    /// When there is no such node, when it is the last voter, or when it takes too long.
    pub async fn remove(&self, node: NodeId) -> Result<(), ChangeError> {
        self.until_founded().await?;
        loop {
            let sight = self.sight(PROPOSE_PATIENCE).await.map_err(|_| ChangeError::TimedOut)?;
            self.read_barrier(PROPOSE_PATIENCE).await.map_err(|_| ChangeError::TimedOut)?;
            let plan = Plan::of(&self.0.state.membership.read(), &sight, &Ask::Remove(node));
            let plan = plan.map_err(|_| ChangeError::UnknownNode(node))?;
            if plan.voters_after.is_empty() {
                return Err(ChangeError::LastVoter(node));
            }
            let change = membership::Change::Remove { node, voters: plan.voters_after };
            let by = By { actor: format!("node {}", self.0.node), reason: None };
            let order = membership::Order { expected: plan.revision, by, change };
            match self.change(membership::Command::Change(order)).await {
                Err(ChangeError::Rejected(Rejection::Conflict { .. })) => {}
                done => break done?,
            }
        }
        let wait = self.0.raft.wait(Some(CHANGE_PATIENCE));
        let left = wait.metrics(
            |metrics| metrics.committed_membership_config.get_node(&node.get()).is_none(),
            "the node has left the membership",
        );
        left.await.map(drop).map_err(|_| ChangeError::TimedOut)
    }

    /// Has leadership handed to a node, or to the one that is furthest if `None`, and waits until it was.
    ///
    /// # Errors
    /// When nobody leads, when the other does not vote, or when it takes too long.
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<(), ChangeError> {
        let core = &self.0;
        let leader = core.leader().ok_or(ChangeError::NotLeader(None))?;
        if leader == core.node {
            return runner::hand_over_to_any(core, to).await;
        }
        if Some(leader) == to {
            return Ok(());
        }
        let link = core.link(leader).ok_or(ChangeError::NotLeader(None))?;
        match link.ask(Lane::Control, &Request::HandOver { to }, HAND_OVER_PATIENCE).await {
            Ok(Response::HandedOver) => Ok(()),
            Ok(Response::NotLeader(hint)) => Err(ChangeError::NotLeader(hint.map(|hint| hint.node))),
            Ok(Response::Failed(cause)) => Err(ChangeError::Refused(cause)),
            Ok(_) | Err(_) => Err(ChangeError::TimedOut),
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
