//! Why nothing was restored or recovered.

use crate::store::StoreError;
use quorate_domain::NodeId;
use std::path::PathBuf;

/// Why nothing was restored or recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// What is on the disk, or the disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is something already where a node is to begin.
    #[error("{} is not empty", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// No node has its data there.
    #[error("{} holds no node of a cluster", dir.display())]
    NoNode {
        /// The directory.
        dir: PathBuf,
    },
    /// The directories do not belong together.
    #[error("{} is of cluster {found}, {} of cluster {expected}", other.display(), dir.display())]
    OtherCluster {
        /// The first directory.
        dir: PathBuf,
        /// Its cluster.
        expected: String,
        /// The other one.
        other: PathBuf,
        /// Its cluster.
        found: String,
    },
    /// Two copies of one directory: nobody can say which is the node.
    #[error("{} and {} both are node {node}", dir.display(), other.display())]
    Twice {
        /// The node.
        node: NodeId,
        /// One directory.
        dir: PathBuf,
        /// The other one.
        other: PathBuf,
    },
    /// The directories are of different lineages: the cluster was recovered already, without some of them.
    #[error("{} is of lineage {found}, and the cluster was recovered without it: it is at {newest}", dir.display())]
    LeftBehind {
        /// The directory.
        dir: PathBuf,
        /// Its lineage.
        found: u32,
        /// The newest lineage of all.
        newest: u32,
    },
    /// Nothing is lost for good.
    #[error("these are {given} of {voters} voters, which is a majority: they need no recovery")]
    Majority {
        /// Voters whose directories were given.
        given: usize,
        /// All voters.
        voters: usize,
    },
    /// The node is no member, so that the cluster cannot go on with it.
    #[error("node {0} is no member of the cluster by its own copy of the state")]
    NoMember(NodeId),
    /// The directory is not as it was planned.
    #[error("{} is not what was planned: {why}", dir.display())]
    NotAsPlanned {
        /// The directory.
        dir: PathBuf,
        /// What differs.
        why: String,
    },
    /// The plan was not written by a program that this one understands.
    #[error("the plan cannot be used: {0}")]
    Plan(String),
    /// The state does not hold together.
    #[error("{} cannot be used: {why}", dir.display())]
    Unsound {
        /// The directory.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The machine has no randomness to give.
    #[error("no random numbers: {0}")]
    Random(String),
    /// A certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Certificate(String),
}
