//! Raft's own notions as we store and send them. A new openraft must not change a byte of ours.

use crate::machine::Batch;
use crate::raft;
use openraft::EntryPayload;
use openraft::vote::RaftVote as _;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A vote: who is followed in which term, and whether a majority does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VoteV1 {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) committed: bool,
}

/// The place of an entry in the log, and the leader that put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogIdV1 {
    pub(crate) term: u64,
    pub(crate) node: u64,
    pub(crate) index: u64,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct EntryV1 {
    pub(crate) log_id: LogIdV1,
    pub(crate) payload: PayloadV1,
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum PayloadV1 {
    Blank,
    Batch(Batch),
    Membership(MembershipV1),
}

/// Who votes (two sets while the membership changes) and where every member listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MembershipV1 {
    pub(crate) voters: Vec<BTreeSet<u64>>,
    pub(crate) addresses: BTreeMap<u64, String>,
}

/// What a snapshot covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotMetaV1 {
    pub(crate) last: Option<LogIdV1>,
    pub(crate) membership_at: Option<LogIdV1>,
    pub(crate) membership: MembershipV1,
}

/// A line of the watermark journal as it was before overrun was kept; still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarkV1 {
    pub(crate) spent_bound: u64,
    pub(crate) settled: u64,
}

/// A line of the watermark journal; session, budget and window are in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MarkV2 {
    pub(crate) spent_bound: u64,
    pub(crate) settled: u64,
    pub(crate) overrun: u64,
}

/// Up to which log time, in milliseconds, windows had begun for a session of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BegunV1 {
    pub(crate) session: u64,
    pub(crate) upto: u64,
}

impl From<MarkV1> for MarkV2 {
    fn from(MarkV1 { spent_bound, settled }: MarkV1) -> Self {
        Self { spent_bound, settled, overrun: 0 }
    }
}

/// Why a stored membership is not one.
#[derive(Debug, thiserror::Error)]
#[error("a stored membership makes no sense: {0}")]
pub(crate) struct BadMembership(String);

impl From<BadMembership> for std::io::Error {
    fn from(error: BadMembership) -> Self {
        Self::new(std::io::ErrorKind::InvalidData, error)
    }
}

impl From<&raft::Vote> for VoteV1 {
    fn from(vote: &raft::Vote) -> Self {
        let leader = vote.leader_id();
        Self { term: leader.term, node: leader.node_id, committed: vote.is_committed() }
    }
}

impl From<VoteV1> for raft::Vote {
    fn from(vote: VoteV1) -> Self {
        Self::from_leader_id(raft::LeaderId { term: vote.term, node_id: vote.node }, vote.committed)
    }
}

impl From<&raft::LogId> for LogIdV1 {
    fn from(id: &raft::LogId) -> Self {
        let leader = id.committed_leader_id();
        Self { term: leader.term, node: leader.node_id, index: id.index() }
    }
}

impl From<LogIdV1> for raft::LogId {
    fn from(id: LogIdV1) -> Self {
        Self::new(raft::LeaderId { term: id.term, node_id: id.node }, id.index)
    }
}

impl From<&raft::Membership> for MembershipV1 {
    fn from(membership: &raft::Membership) -> Self {
        let addresses = membership.nodes().map(|(id, peer)| (*id, peer.address.clone())).collect();
        Self { voters: membership.get_joint_config().clone(), addresses }
    }
}

impl TryFrom<MembershipV1> for raft::Membership {
    type Error = BadMembership;

    fn try_from(stored: MembershipV1) -> Result<Self, BadMembership> {
        let peers: BTreeMap<u64, raft::Peer> =
            stored.addresses.into_iter().map(|(id, address)| (id, raft::Peer { address })).collect();
        if stored.voters.is_empty() && peers.is_empty() {
            return Ok(Self::default());
        }
        Self::new(stored.voters, peers).map_err(|error| BadMembership(error.to_string()))
    }
}

impl From<&raft::Entry> for EntryV1 {
    fn from(entry: &raft::Entry) -> Self {
        let payload = match &entry.payload {
            EntryPayload::Blank => PayloadV1::Blank,
            EntryPayload::Normal(batch) => PayloadV1::Batch(batch.clone()),
            EntryPayload::Membership(membership) => PayloadV1::Membership(membership.into()),
        };
        Self { log_id: (&entry.log_id).into(), payload }
    }
}

impl TryFrom<EntryV1> for raft::Entry {
    type Error = BadMembership;

    fn try_from(stored: EntryV1) -> Result<Self, BadMembership> {
        let payload = match stored.payload {
            PayloadV1::Blank => EntryPayload::Blank,
            PayloadV1::Batch(batch) => EntryPayload::Normal(batch),
            PayloadV1::Membership(membership) => EntryPayload::Membership(membership.try_into()?),
        };
        Ok(Self { log_id: stored.log_id.into(), payload })
    }
}

impl From<&raft::SnapshotMeta> for SnapshotMetaV1 {
    fn from(meta: &raft::SnapshotMeta) -> Self {
        Self {
            last: meta.last_log_id.as_ref().map(Into::into),
            membership_at: meta.last_membership.log_id().as_ref().map(Into::into),
            membership: meta.last_membership.membership().into(),
        }
    }
}

impl TryFrom<SnapshotMetaV1> for raft::SnapshotMeta {
    type Error = BadMembership;

    fn try_from(stored: SnapshotMetaV1) -> Result<Self, BadMembership> {
        let membership = stored.membership.try_into()?;
        Ok(Self {
            last_log_id: stored.last.map(Into::into),
            last_membership: raft::StoredMembership::new(stored.membership_at.map(Into::into), membership),
        })
    }
}
