//! The leader's pen: puts groups of proposals into entries of the log, a few entries at a time.

use super::core::Core;
use crate::machine::{Batch, Outcome, Proposal};
use crate::transport::LeaderHint;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use openraft::errors::{ClientWriteError, ForwardToLeader, RaftError};
use quorate_domain::NodeId;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Groups that may wait: some from every node.
pub(super) const GROUPS_MAX: usize = 256;
/// Entries under way: with four, the log, the network and the followers' disks are all busy, and entries still fill.
const ENTRIES_MAX: usize = 4;
/// An entry takes no more than this, so that it fits into an append.
pub(super) const ENTRY_BYTES: usize = 512 << 10;
/// Nor more proposals than this, so that applying one does not keep readers waiting.
pub(super) const ENTRY_PROPOSALS: usize = 1_024;

/// Proposals that came together and are answered together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(super) proposals: Vec<Proposal>,
    pub(super) bytes: usize,
    pub(super) reply: oneshot::Sender<Result<Vec<Outcome>, NotWritten>>,
}

/// Why a group has no outcomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotWritten {
    /// This node does not lead. Nothing was written.
    NotLeader(Option<LeaderHint>),
    /// It is not known whether it was written.
    Unknown,
}

/// Runs until the replica stops.
pub(super) async fn run(core: Arc<Core>, mut groups: mpsc::Receiver<Group>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = under_way.next(), if !under_way.is_empty() => {}
            group = groups.recv(), if under_way.len() < ENTRIES_MAX => match group {
                Some(group) => under_way.push(write(core.clone(), fill(group, &mut groups))),
                None => return,
            },
        }
    }
}

/// Takes what else waits, as long as it fits. A group that no longer fits makes the entry a little larger.
fn fill(first: Group, groups: &mut mpsc::Receiver<Group>) -> Vec<Group> {
    let (mut bytes, mut proposals) = (first.bytes, first.proposals.len());
    let mut filled = vec![first];
    while bytes < ENTRY_BYTES
        && proposals < ENTRY_PROPOSALS
        && let Ok(group) = groups.try_recv()
    {
        bytes += group.bytes;
        proposals += group.proposals.len();
        filled.push(group);
    }
    filled
}

async fn write(core: Arc<Core>, groups: Vec<Group>) {
    let mut proposals = Vec::new();
    let mut waiting = Vec::with_capacity(groups.len());
    for group in groups {
        waiting.push((group.proposals.len(), group.reply));
        proposals.extend(group.proposals);
    }
    let batch = Batch { at: core.clock.wall(), proposals: proposals.into() };
    match core.raft.client_write(batch).await {
        Ok(response) => {
            let mut outcomes = response.data.into_iter();
            for (count, reply) in waiting {
                let _ = reply.send(Ok(outcomes.by_ref().take(count).collect()));
            }
        }
        Err(error) => {
            let why = not_written(error);
            for (_, reply) in waiting {
                let _ = reply.send(Err(why.clone()));
            }
        }
    }
}

type WriteError = RaftError<crate::raft::Types, ClientWriteError<crate::raft::Types>>;

fn not_written(error: WriteError) -> NotWritten {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            NotWritten::NotLeader(hint(forward))
        }
        RaftError::APIError(
            ClientWriteError::LogEntryDiscarded(_)
            | ClientWriteError::ChangeMembershipError(_)
            | ClientWriteError::PreconditionFailed(_),
        )
        | RaftError::Fatal(_) => NotWritten::Unknown,
    }
}

fn hint(forward: ForwardToLeader<crate::raft::Types>) -> Option<LeaderHint> {
    let (node, peer) = (forward.leader_id?, forward.leader_node?);
    Some(LeaderHint { node: NodeId::new(node), address: peer.address })
}
