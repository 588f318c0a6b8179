//! Who this node is, and what its replica knows of others: shows its own card, judges theirs.

use crate::machine::State;
use crate::raft::Types;
use crate::store::{LogStore, StateStore};
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver as _;
use quorate_domain::{BootId, ClusterId, NodeId};
use quorate_membership::{Card, Levels, Mismatch, StorageId, judge};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// What is so from the start of a process to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Myself {
    pub(crate) cluster: ClusterId,
    /// The lineage that its data directory is of.
    pub(crate) lineage: u32,
    pub(crate) node: NodeId,
    pub(crate) storage: StorageId,
    pub(crate) starts: u64,
    pub(crate) boot: BootId,
    pub(crate) levels: Levels,
}

/// Shows the card of this node and judges those of others.
pub(crate) struct Register {
    pub(crate) myself: Myself,
    state: Arc<State>,
    log: LogStore,
    raft: OnceLock<Raft<Types, StateStore>>,
}

impl Register {
    /// Raft itself is [attached](Register::attach) when it runs; it needs the way to its peers first.
    pub(crate) const fn new(myself: Myself, state: Arc<State>, log: LogStore) -> Self {
        Self { myself, state, log, raft: OnceLock::new() }
    }

    pub(crate) fn attach(&self, raft: Raft<Types, StateStore>) {
        // It is attached once.
        let _ = self.raft.set(raft);
    }

    /// This node's card as it is now.
    pub(crate) fn card(&self) -> Card {
        let Myself { cluster, lineage: _, node, storage, starts, boot, levels } = self.myself;
        let applied = self.state.history().map_or(0, |at| at.applied);
        Card {
            cluster,
            lineage: self.lineage(),
            node,
            storage,
            starts,
            boot,
            // A snapshot may be further than the log that it replaces.
            last_log: self.log.last_index().max(applied),
            levels,
            release: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Whether to believe a card that was made after this was noted.
    pub(crate) fn judge(&self, card: &Card, noted: &OnDisks) -> Result<(), Mismatch> {
        if card.cluster == self.myself.cluster && card.lineage < self.lineage() {
            return Err(Mismatch::Lineage { expected: card.lineage, actual: self.lineage() });
        }
        let members = self.state.membership.read();
        let is_gone = members.is_gone(card.node) && !self.is_in_raft(card.node);
        judge(card, self.myself.cluster, &members, (is_gone, noted.0.get(&card.node).copied()))
    }

    /// The newest lineage that this node knows of: a replica comes to it only at the end of an old log.
    fn lineage(&self) -> u32 {
        self.myself.lineage.max(self.state.membership.read().lineage())
    }

    /// Whether the node has left: it is neither in the table nor in Raft's membership.
    pub(crate) fn is_gone(&self, node: NodeId) -> bool {
        self.state.membership.read().is_gone(node) && !self.is_in_raft(node)
    }

    fn is_in_raft(&self, node: NodeId) -> bool {
        let Some(raft) = self.raft.get() else { return true };
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let memberships = [&metrics.membership_config, &metrics.committed_membership_config];
        memberships.into_iter().any(|membership| membership.get_node(&node.get()).is_some())
    }

    /// What this node, if it leads, knows to be on the disks of others, and never to be taken back: what is not committed may
    /// have been replaced by another leader. To be noted before a peer can make its card: meanwhile its log grows.
    pub(crate) fn on_disks(&self) -> OnDisks {
        let Some(raft) = self.raft.get() else { return OnDisks::default() };
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let committed = metrics.local_committed.as_ref().map_or(0, |id| id.index);
        let matching = metrics.replication.iter().flatten();
        let known = matching.filter_map(|(node, matching)| {
            Some((NodeId::new(*node), matching.as_ref()?.index.min(committed)))
        });
        OnDisks(known.collect())
    }
}

/// The last entry on the disk of each node, as a leader knew it at some time.
#[derive(Clone, Debug, Default)]
pub(crate) struct OnDisks(BTreeMap<NodeId, u64>);

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").field("myself", &self.myself).finish_non_exhaustive()
    }
}
