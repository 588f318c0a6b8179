//! What a node shows of itself at every handshake, and whether to believe it.

use crate::{Levels, Membership, StorageId};
use quorate_domain::{BootId, ClusterId, NodeId};
use serde::{Deserialize, Serialize};

/// What a member shows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its cluster.
    pub cluster: ClusterId,
    /// The lineage of it that the node knows.
    pub lineage: u32,
    /// Its id.
    pub node: NodeId,
    /// Its data directory.
    pub storage: StorageId,
    /// How often that was started, this time included.
    pub starts: u64,
    /// This start.
    pub boot: BootId,
    /// The last entry of the log on its disk.
    pub last_log: u64,
    /// The levels its program knows.
    pub levels: Levels,
    /// The release of its program.
    pub release: String,
}

/// Why a card is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Mismatch {
    /// It is of another cluster.
    #[error("it belongs to cluster {actual:016x}, not to {expected:016x}", actual = actual.get(), expected = expected.get())]
    Cluster {
        /// The cluster of the card.
        expected: ClusterId,
        /// The cluster of whoever judges.
        actual: ClusterId,
    },
    /// It is of a cluster that was recovered without it.
    #[error("the cluster was recovered without this node: it is at lineage {actual}, not at {expected}")]
    Lineage {
        /// The lineage of the card.
        expected: u32,
        /// The lineage of whoever judges.
        actual: u32,
    },
    /// It was removed.
    #[error("node {0} was removed from the cluster")]
    Removed(NodeId),
    /// The id is that of another storage.
    #[error("node {node} has another data directory: {storage}")]
    OtherStorage {
        /// The node.
        node: NodeId,
        /// The storage that the cluster knows.
        storage: StorageId,
    },
    /// A copy of the directory has started since.
    #[error("another process has started with the data directory of node {0}, or with a copy of it")]
    Cloned(NodeId),
    /// The directory is older than what the cluster knows of it.
    #[error(
        "the data directory of node {0} is older than what the cluster knows of it: an old copy was put back"
    )]
    RolledBack(NodeId),
    /// Its program does not know what the cluster writes.
    #[error("the cluster is at level {level}, and the program of this node knows {known}")]
    Level {
        /// The cluster's.
        level: u32,
        /// The program's.
        known: Levels,
    },
}

/// Whether a card can be believed, by what a member's replica knows. `on_disk` is the last entry that the leader knows to be on
/// the disk of that node; `is_gone` whether it is out of the table and out of Raft's membership. A node that the replica does not know yet can be.
///
/// # Errors
/// What does not fit.
pub fn judge(
    card: &Card,
    own: ClusterId,
    members: &Membership,
    (is_gone, on_disk): (bool, Option<u64>),
) -> Result<(), Mismatch> {
    let node = card.node;
    if card.cluster != own {
        return Err(Mismatch::Cluster { expected: card.cluster, actual: own });
    }
    if card.lineage < members.lineage() {
        return Err(Mismatch::Lineage { expected: card.lineage, actual: members.lineage() });
    }
    if is_gone {
        return Err(Mismatch::Removed(node));
    }
    if !card.levels.know(members.level()) {
        return Err(Mismatch::Level { level: members.level(), known: card.levels });
    }
    let lacks_entries = on_disk.is_some_and(|known| card.last_log < known);
    let Some(record) = members.get(node) else { return Ok(()) };
    if record.storage != card.storage {
        return Err(Mismatch::OtherStorage { node, storage: record.storage });
    }
    if lacks_entries || card.starts < record.starts {
        return Err(Mismatch::RolledBack(node));
    }
    if card.starts == record.starts && card.boot != record.boot {
        return Err(Mismatch::Cloned(node));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, Founding, Profile, Root};
    use quorate_domain::{LogTime, Secret};

    const CLUSTER: ClusterId = ClusterId::new(9);

    fn members() -> Membership {
        let mut members = Membership::default();
        let at = LogTime::from_millis;
        let profile = Profile {
            name: None,
            zone: None,
            peer_address: "a:1".to_owned(),
            admin_address: "a:2".to_owned(),
            release: String::new(),
            levels: Levels::OURS,
        };
        let root = Root { certificate: vec![1], key: Secret::new([1; 32]), since: at(0), until: at(9) };
        let (storage, starts, boot) = (StorageId::new(5), 3, BootId::new(30));
        let founding = Founding { cluster: CLUSTER, storage, profile, root, starts, boot };
        members.apply(at(1), Command::Found(founding));
        members
    }

    fn card() -> Card {
        Card {
            cluster: CLUSTER,
            lineage: 1,
            node: NodeId::new(1),
            storage: StorageId::new(5),
            starts: 3,
            boot: BootId::new(30),
            last_log: 100,
            levels: Levels::OURS,
            release: String::new(),
        }
    }

    fn judged(change: impl FnOnce(&mut Card)) -> Result<(), Mismatch> {
        let mut card = card();
        change(&mut card);
        judge(&card, CLUSTER, &members(), (false, Some(100)))
    }

    #[test]
    fn a_member_as_it_is_and_after_a_restart_is_believed() {
        assert_eq!(judged(|_| ()), Ok(()));
        assert_eq!(judged(|card| (card.starts, card.boot) = (4, BootId::new(40))), Ok(()));
        assert_eq!(judged(|card| card.last_log = 101), Ok(()));
        assert_eq!(judged(|card| card.lineage = 2), Ok(()), "whoever judges is the one that is behind");
        assert_eq!(judged(|card| card.node = NodeId::new(2)), Ok(()), "this replica may lag behind");
    }

    #[test]
    fn each_way_of_not_being_who_one_was_has_its_name() {
        let (node, cluster) = (NodeId::new(1), ClusterId::new(8));
        let expected = Mismatch::Cluster { expected: cluster, actual: CLUSTER };
        assert_eq!(judged(|card| card.cluster = cluster), Err(expected));
        let lineage = Mismatch::Lineage { expected: 0, actual: 1 };
        assert_eq!(judged(|card| card.lineage = 0), Err(lineage));
        let storage = StorageId::new(5);
        let other = Mismatch::OtherStorage { node, storage };
        assert_eq!(judged(|card| card.storage = StorageId::new(6)), Err(other));
        assert_eq!(judged(|card| card.boot = BootId::new(31)), Err(Mismatch::Cloned(node)));
        assert_eq!(judged(|card| card.starts = 2), Err(Mismatch::RolledBack(node)));
        assert_eq!(judged(|card| card.last_log = 99), Err(Mismatch::RolledBack(node)));
        let known = Levels { min: 1, max: 1 };
        assert_eq!(judged(|card| card.levels = known), Err(Mismatch::Level { level: 2, known }));
        let gone = judge(&card(), CLUSTER, &members(), (true, None));
        assert_eq!(gone, Err(Mismatch::Removed(node)));
    }
}
