//! What this node does for its peers beyond Raft: writes for them, confirms their reads, lets newcomers in.

use super::certificates;
use super::core::Core;
use super::entries::NotWritten;
use super::error::ChangeError;
use super::everywhere::APPLY_PATIENCE;
use super::{outlook, proposer, pulse, runner};
use crate::codec;
use crate::machine::{Command, Outcome, Proposal};
use crate::transport::{Joined, Response};
use crate::trust::PublicKey;
use openraft::ReadPolicy;
use quorate_domain::{NodeId, Secret, Span};
use quorate_membership::{self as membership, Admission, Profile, Rejection, StorageId, TokenId};
use std::sync::Arc;
use std::time::Duration;

/// A newcomer waits for one entry of the log.
const ADMIT_PATIENCE: Duration = Duration::from_secs(4);

/// Answers peers' questions.
#[derive(Clone, Debug)]
pub(crate) struct Service(pub(super) Arc<Core>);

impl Service {
    /// Writes a peer's proposals, if this node leads.
    pub(crate) async fn propose(&self, proposals: Vec<Proposal>) -> Response {
        if !self.0.leads() {
            return Response::NotLeader(self.0.leader_hint());
        }
        let bytes = codec::size_of(&proposals);
        match proposer::write_here(&self.0, proposals, bytes).await {
            Ok(outcomes) => Response::Proposed(outcomes),
            Err(NotWritten::NotLeader(hint)) => Response::NotLeader(hint),
            Err(NotWritten::Unknown) => Response::Unknown,
        }
    }

    /// The index up to which a peer must have applied to read linearizably, if this node leads.
    pub(crate) async fn read_index(&self) -> Response {
        match self.0.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Response::ReadIndex(linearizer.read_log_id().index()),
            Err(_) => Response::NotLeader(self.0.leader_hint()),
        }
    }

    /// Renews a member's lease, if this node leads: says what is committed once a majority has confirmed it.
    pub(crate) async fn renew(&self, node: NodeId, bound: Span) -> Response {
        let freshness = &self.0.freshness;
        freshness.heard(node, bound);
        let Some(index) = freshness.confirmed().await else {
            return Response::NotLeader(self.0.leader_hint());
        };
        // After the round: who is removed later asked before that, and whoever hears that it is gone hears it later still.
        if self.0.address_of(node).is_none() {
            return Response::Failed(format!("node {node} is no member"));
        }
        Response::Renewed { index, bound: freshness.bound.span() }
    }

    /// What this node sees of the members, if it leads.
    pub(crate) fn sight(&self) -> Response {
        outlook::sight(&self.0).map_or_else(|| Response::NotLeader(self.0.leader_hint()), Response::Sight)
    }

    /// Leaves the lead to another voter, if this node leads.
    pub(crate) async fn hand_over(&self, to: Option<NodeId>) -> Response {
        match runner::hand_over_to_any(&self.0, to).await {
            Ok(()) => Response::HandedOver,
            Err(ChangeError::NotLeader(_)) => Response::NotLeader(self.0.leader_hint()),
            Err(error) => Response::Failed(error.to_string()),
        }
    }

    /// What this node says of its machine.
    pub(crate) fn pulse(&self) -> Response {
        Response::Pulse(pulse::pulse(&self.0))
    }

    /// Says so once this node has applied the log up to there.
    pub(crate) async fn applied(&self, index: u64) -> Response {
        let mut applied = self.0.applied.clone();
        let reached = applied.wait_for(|applied| *applied >= index);
        match tokio::time::timeout(APPLY_PATIENCE, reached).await {
            Ok(Ok(_)) => Response::Applied,
            Ok(Err(_)) | Err(_) => Response::Failed(format!("entry {index} is not applied yet")),
        }
    }

    /// Tells the digest of the history up to there, once this node has applied it.
    pub(crate) async fn history(&self, version: u32, index: u64) -> Response {
        let mut applied = self.0.applied.clone();
        let reached = applied.wait_for(|applied| *applied >= index);
        let _ = tokio::time::timeout(APPLY_PATIENCE, reached).await;
        Response::History(self.0.state.history_at(version, index))
    }

    /// Gives a newcomer its id and a certificate, if this node leads and the token is good. The steward does the rest.
    pub(crate) async fn join(
        &self,
        (token, secret): (TokenId, Secret<[u8; 32]>),
        (storage, profile): (StorageId, Profile),
        key: PublicKey,
    ) -> Response {
        let core = &self.0;
        if !core.leads() {
            return Response::NotLeader(core.leader_hint());
        }
        // A new leader may not have applied yet that the token was made.
        if core.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.is_err() {
            return Response::NotLeader(core.leader_hint());
        }
        if !core.state.membership.read().tokens().is_secret(token, &secret) {
            return Response::NotAdmitted(Rejection::TokenUnknown);
        }
        let admission = Admission { token, storage, profile };
        let admit = Command::Membership(membership::Command::Admit(admission));
        let node = match proposer::propose(core, admit, ADMIT_PATIENCE).await {
            Ok(Outcome::Membership(membership::Outcome::Admitted(node))) => node,
            Ok(Outcome::Membership(membership::Outcome::Rejected(rejection))) => {
                return Response::NotAdmitted(rejection);
            }
            Ok(other) => return Response::Failed(format!("not admitted: {other:?}")),
            Err(error) => return Response::Failed(error.to_string()),
        };
        match certificates::certify(core, node, key).await {
            Ok(certified) => {
                let (roots, wall) = (self.roots(), core.clock.wall());
                let lineage = self.0.state.membership.read().lineage();
                Response::Joined(Joined { node, certified, roots, wall, lineage })
            }
            Err(cause) => Response::Failed(cause),
        }
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        let members = self.0.state.membership.read();
        let trusted = members.authority().into_iter().flat_map(membership::Authority::trusted);
        trusted.map(|root| root.certificate.clone()).collect()
    }

    /// Gives a member a new certificate, if this node leads.
    pub(crate) async fn certify(&self, node: NodeId, key: PublicKey) -> Response {
        if !self.0.leads() {
            return Response::NotLeader(self.0.leader_hint());
        }
        match certificates::certify(&self.0, node, key).await {
            Ok(certified) => Response::Certified(certified),
            Err(cause) => Response::Failed(cause),
        }
    }

    /// Whether a node that talks to this one has left the cluster meanwhile.
    pub(crate) fn is_gone(&self, node: NodeId) -> bool {
        self.0.register.is_gone(node)
    }
}
