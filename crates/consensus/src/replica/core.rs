//! What the handle and all tasks of a replica share.

use super::compared::Compared;
use super::entries::Group;
use super::freshness::Freshness;
use super::outlook::Outlook;
use super::proposer::Pending;
use super::settings::{MachineLimits, Timings};
use super::vitals::Vitals;
use crate::host::Disk;
use crate::machine::State;
use crate::metrics::Metrics;
use crate::raft::Types;
use crate::store::{LogStore, StateStore, StoreError};
use crate::transport::{LeaderHint, Link, Links};
use crate::trust::{Keyring, Register};
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver as _;
use parking_lot::Mutex;
use quorate_domain::{BootId, Clock, ClusterId, NodeId, Span};
use quorate_membership::Profile;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, mpsc, watch};

/// What the handle and all tasks of a replica share.
pub(crate) struct Core {
    pub(super) node: NodeId,
    pub(super) cluster: ClusterId,
    pub(super) boot: BootId,
    /// What this node says of itself.
    pub(super) profile: Profile,
    pub(super) register: Arc<Register>,
    pub(super) keyring: Arc<Keyring>,
    /// For how long the certificates are good that this node signs while it leads.
    pub(super) certificates: Span,
    pub(super) timings: Timings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: Arc<State>,
    pub(super) raft: Raft<Types, StateStore>,
    pub(super) log: LogStore,
    /// Why the state applies nothing more.
    pub(super) refused: Arc<OnceLock<StoreError>>,
    pub(super) links: Arc<Links>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) metrics: Metrics,
    pub(super) applied: watch::Receiver<u64>,
    pub(super) leader: watch::Sender<Option<NodeId>>,
    /// How the voters' histories were found beside this node's.
    pub(super) compared: watch::Sender<Compared>,
    /// Operations of this boot, counted.
    pub(super) sequence: AtomicU64,
    /// Operations that may be under way, so that none is forgotten while it is.
    pub(super) operations: Arc<Semaphore>,
    pub(super) pending: mpsc::Sender<Pending>,
    pub(super) groups: mpsc::Sender<Group>,
    pub(super) freshness: Freshness,
    pub(super) outlook: Mutex<Outlook>,
    /// Where everything is stored.
    pub(super) dir: PathBuf,
    pub(super) limits: MachineLimits,
    pub(super) vitals: Mutex<Vitals>,
}

impl Core {
    /// The leader as this node knows it.
    pub(super) fn leader(&self) -> Option<NodeId> {
        *self.leader.borrow()
    }

    /// Whether this node leads, as far as it knows.
    pub(super) fn leads(&self) -> bool {
        self.leader() == Some(self.node)
    }

    /// Where a node listens, by Raft's membership.
    pub(super) fn address_of(&self, node: NodeId) -> Option<String> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.get_node(&node.get()).map(|peer| peer.address.clone())
    }

    /// Of all nodes that were ever given an id, those that belong to the cluster, or did until a change that is not committed
    /// yet; and those that are gone. An id that is given later is given after what this node has applied by now.
    pub(super) fn here_and_gone(&self) -> (BTreeSet<NodeId>, BTreeSet<NodeId>) {
        let (ever, table) = {
            let members = self.state.membership.read();
            (
                members.ever().collect::<BTreeSet<_>>(),
                members.iter().map(|(id, _)| id).collect::<BTreeSet<_>>(),
            )
        };
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let memberships = [&metrics.membership_config, &metrics.committed_membership_config];
        let members = memberships.into_iter().flat_map(|membership| membership.nodes());
        let here: BTreeSet<NodeId> = members.map(|(id, _)| NodeId::new(*id)).chain(table).collect();
        let gone = ever.difference(&here).copied().collect();
        (here, gone)
    }

    /// The way to a node.
    pub(super) fn link(&self, node: NodeId) -> Option<Arc<Link>> {
        Some(self.links.to(node, &self.address_of(node)?))
    }

    /// What to tell a peer that took this node for the leader.
    pub(super) fn leader_hint(&self) -> Option<LeaderHint> {
        let node = self.leader().filter(|leader| *leader != self.node)?;
        Some(LeaderHint { node, address: self.address_of(node)? })
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("node", &self.node)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}
