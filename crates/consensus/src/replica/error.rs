//! Why a replica did not do what it was asked.

use crate::store::StoreError;
use crate::transport::Refusal;
use quorate_domain::{ClusterId, NodeId, Span};
use quorate_membership::Rejection;
use std::collections::BTreeSet;
use std::time::Duration;

/// Why a replica could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address to listen on.
    #[error("cannot listen for peers on {address}: {cause}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        cause: String,
    },
    /// There is no identity to resume with.
    #[error("this node has neither founded nor joined a cluster yet")]
    NoIdentity,
    /// A node that was asked will not have this one.
    #[error("node at {seed} refuses: {refusal}")]
    Refused {
        /// The node that was asked.
        seed: String,
        /// Why.
        refusal: Refusal,
    },
    /// The leader will not have this node.
    #[error("the cluster at {seed} does not let this node in: {rejection}")]
    NotAdmitted {
        /// The node that was asked.
        seed: String,
        /// Why.
        rejection: Rejection,
    },
    /// The token is for another cluster than the data directory.
    #[error("the data directory belongs to cluster {own:016x}, the join token to cluster {other:016x}", own = own.get(), other = other.get())]
    OtherCluster {
        /// The cluster of the directory.
        own: ClusterId,
        /// That of the token.
        other: ClusterId,
    },
    /// A node with such a clock should not lead, and is better set right before it belongs to a cluster.
    #[error("the clock of this machine is off by {} ms from that of the leader at {seed}, and may be by {} ms", off.millis(), max.millis())]
    ClockOff {
        /// The leader.
        seed: String,
        /// By how much, at the least.
        off: Span,
        /// By how much it may be.
        max: Span,
    },
    /// A certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Certificate(String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// None of the seeds let this node in.
    #[error("no cluster could be joined in {within:?}; last asked {seed}: {cause}")]
    NotJoined {
        /// How long it was tried.
        within: Duration,
        /// The node asked last.
        seed: String,
        /// What came of it.
        cause: String,
    },
    /// Settings that contradict each other.
    #[error("raft settings: {0}")]
    Settings(String),
    /// The machine has no randomness to give.
    #[error("no random numbers: {0}")]
    Random(String),
    /// Raft did not start.
    #[error("raft did not start: {0}")]
    Raft(String),
}

/// Why a proposal has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No leader could be reached. The command was not applied, and will not be.
    #[error("no leader could be reached")]
    Unavailable,
    /// The outcome is not known in time. The command may have been applied, or still be.
    #[error("no outcome in time; the command may still be applied")]
    TimedOut,
    /// The node is stopping, or its storage failed.
    #[error("the node is stopping")]
    Stopped,
    /// The cluster does not write this yet. Nothing was written.
    #[error("the cluster is at level {level}, and this needs level {needs}")]
    Level {
        /// The cluster's.
        level: u32,
        /// The lowest at which it is written.
        needs: u32,
    },
    /// No entry takes so much.
    #[error("a command of {bytes} bytes is larger than {max}")]
    TooLarge {
        /// The size of the command.
        bytes: usize,
        /// The largest allowed.
        max: usize,
    },
}

/// Why a linearizable read is not possible now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader with a majority confirmed the read in time.
    #[error("no leader confirmed the read in time")]
    Unavailable,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

/// Why the cluster was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such node.
    #[error("there is no node {0}")]
    UnknownNode(NodeId),
    /// Somebody must vote.
    #[error("node {0} is the only one that votes")]
    LastVoter(NodeId),
    /// Only a voter can lead.
    #[error("node {0} does not vote")]
    NotVoter(NodeId),
    /// Only the leader can do this.
    #[error("this node does not lead; ask node {0:?}")]
    NotLeader(Option<NodeId>),
    /// The leader could not do it.
    #[error("{0}")]
    Refused(String),
    /// It did not come about in time; it may still.
    #[error("not done in time; it may still come about")]
    TimedOut,
    /// The membership does not take it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The machine has no randomness to give.
    #[error("no random numbers: {0}")]
    Random(String),
    /// A certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Certificate(String),
    /// The command could not be written.
    #[error(transparent)]
    Propose(#[from] ProposeError),
}

/// Why a replica stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its storage failed. Nothing is retried: what the disk holds is not known.
    #[error(transparent)]
    Storage(#[from] StoreError),
    /// openraft stopped.
    #[error("raft stopped: {0}")]
    Raft(String),
    /// A peer says that this node has no place in the cluster any more.
    #[error("{0}")]
    Expelled(Refusal),
    /// This replica has gone another way than most others (I9): what it holds cannot be trusted.
    #[error(
        "most voters ({}) had other outcomes of the log up to entry {applied} than this node",
        list(from)
    )]
    Diverged {
        /// The entry up to which histories were compared.
        applied: u64,
        /// Who went the other way.
        from: BTreeSet<NodeId>,
    },
}

fn list(nodes: &BTreeSet<NodeId>) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl From<rcgen::Error> for StartError {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate(error.to_string())
    }
}
