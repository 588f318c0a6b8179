//! Who belongs to the cluster. Raft's own membership follows this table (see `replica::steward`).

use super::{NodeCommand, NodeOutcome};
use quorate_domain::{ClusterId, LogTime, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One data directory, drawn at random when it is first used. It tells a node that lost its disk from one that did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StorageId(u64);

impl StorageId {
    /// Names the storage with this number.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number itself.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its storage.
    pub storage: StorageId,
    /// Where it listens for its peers.
    pub address: String,
    /// When it was admitted.
    pub since: LogTime,
}

/// The table of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nodes {
    cluster: Option<ClusterId>,
    last_id: u64,
    members: BTreeMap<NodeId, NodeRecord>,
}

impl Nodes {
    /// The cluster, once it is founded.
    #[must_use]
    pub const fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// The node with this id.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<&NodeRecord> {
        self.members.get(&node)
    }

    /// All ids that were ever given, also to nodes that have left.
    pub fn ever(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..=self.last_id).map(NodeId::new)
    }

    /// All nodes, by id.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &NodeRecord)> {
        self.members.iter().map(|(id, record)| (*id, record))
    }

    pub(super) fn apply(&mut self, at: LogTime, command: NodeCommand) -> NodeOutcome {
        match command {
            NodeCommand::Found { cluster, storage, address } => self.found(at, cluster, storage, address),
            NodeCommand::Admit { storage, address } => self.admit(at, storage, address),
            NodeCommand::Readdress { node, address } => self.readdress(node, address),
            NodeCommand::Remove { node } => match self.members.remove(&node) {
                Some(_) => NodeOutcome::Removed,
                None => NodeOutcome::Unknown(node),
            },
        }
    }

    fn found(&mut self, at: LogTime, cluster: ClusterId, storage: StorageId, address: String) -> NodeOutcome {
        if let Some(existing) = self.cluster {
            return NodeOutcome::Founded(existing);
        }
        self.cluster = Some(cluster);
        self.enter(at, storage, address);
        NodeOutcome::Founded(cluster)
    }

    fn admit(&mut self, at: LogTime, storage: StorageId, address: String) -> NodeOutcome {
        if self.cluster.is_none() {
            return NodeOutcome::NotFounded;
        }
        let known = self.members.iter_mut().find(|(_, record)| record.storage == storage);
        if let Some((id, record)) = known {
            record.address = address;
            return NodeOutcome::Admitted(*id);
        }
        NodeOutcome::Admitted(self.enter(at, storage, address))
    }

    fn enter(&mut self, since: LogTime, storage: StorageId, address: String) -> NodeId {
        self.last_id += 1;
        let id = NodeId::new(self.last_id);
        self.members.insert(id, NodeRecord { storage, address, since });
        id
    }

    fn readdress(&mut self, node: NodeId, address: String) -> NodeOutcome {
        match self.members.get_mut(&node) {
            Some(record) => {
                record.address = address;
                NodeOutcome::Readdressed
            }
            None => NodeOutcome::Unknown(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(nodes: &mut Nodes, storage: u64) -> NodeOutcome {
        let address = format!("127.0.0.1:{storage}");
        nodes.apply(LogTime::default(), NodeCommand::Admit { storage: StorageId::new(storage), address })
    }

    fn founded() -> Nodes {
        let mut nodes = Nodes::default();
        let found = NodeCommand::Found {
            cluster: ClusterId::new(9),
            storage: StorageId::new(100),
            address: "127.0.0.1:100".to_owned(),
        };
        assert_eq!(nodes.apply(LogTime::default(), found), NodeOutcome::Founded(ClusterId::new(9)));
        nodes
    }

    #[test]
    fn a_storage_is_given_one_id_and_a_removed_id_never_comes_back() {
        let mut nodes = founded();
        assert_eq!(admit(&mut nodes, 200), NodeOutcome::Admitted(NodeId::new(2)));
        assert_eq!(admit(&mut nodes, 200), NodeOutcome::Admitted(NodeId::new(2)));
        let gone = nodes.apply(LogTime::default(), NodeCommand::Remove { node: NodeId::new(2) });
        assert_eq!(gone, NodeOutcome::Removed);
        assert_eq!(admit(&mut nodes, 200), NodeOutcome::Admitted(NodeId::new(3)));
        assert_eq!(nodes.ever().collect::<Vec<_>>(), [1, 2, 3].map(NodeId::new));
    }

    #[test]
    fn nobody_is_admitted_before_the_cluster_is_founded() {
        assert_eq!(admit(&mut Nodes::default(), 1), NodeOutcome::NotFounded);
    }
}
