//! How a node with an empty data directory becomes part of a cluster. `node` implements it.

use crate::replica::Eventually;
use quorate_domain::{ClusterId, NodeId, Secret};
use quorate_membership::JoinToken;

/// Founds a cluster or joins one. Called only while the node belongs to none.
pub trait Setup: Send + Sync + 'static {
    /// Founds a cluster of this node alone.
    fn init(&self) -> Eventually<'_, Result<Initialised, SetupError>>;

    /// Joins the cluster that the token names.
    fn join(&self, token: JoinToken) -> Eventually<'_, Result<NodeId, SetupError>>;
}

/// A cluster that has just been founded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initialised {
    /// Its id.
    pub cluster: ClusterId,
    /// The node that founded it.
    pub node: NodeId,
    /// The text of the first admin key: to be shown once.
    pub admin_token: Secret<String>,
}

/// Why a node did not become part of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// It is part of one already.
    #[error("this node already belongs to a cluster")]
    AlreadyMember,
    /// None of the addresses led into a cluster.
    #[error("no cluster was joined: {cause}")]
    NoAnswer {
        /// Why not.
        cause: String,
        /// What to do about that.
        next: &'static str,
    },
    /// The node could not start.
    #[error("the node could not start: {0}")]
    Failed(String),
}
