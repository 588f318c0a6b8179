//! What may be asked of the membership, and what comes of it.
//!
//! The order of variants and fields is a stored format: add at the end, never reorder.

use crate::{Certificate, Order, PlanId, Profile, Report, Root, RootId, StorageId, TokenId};
use quorate_domain::{BootId, ClusterId, LogTime, NodeId};
use serde::{Deserialize, Serialize};

/// A change to the membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Enters the first node of a new cluster.
    Found(Founding),
    /// Gives a fresh node an id. The same storage is always given the same one.
    Admit(Admission),
    /// A node says that it started, or that it listens elsewhere now.
    Introduce(Introduction),
    /// Makes a join token.
    CreateToken(NewToken),
    /// Takes a join token back.
    WithdrawToken {
        /// The token.
        token: TokenId,
    },
    /// Notes the certificate that was made for a node.
    Certify {
        /// The node.
        node: NodeId,
        /// What it holds now.
        certificate: Certificate,
    },
    /// A node says that it trusts a root from now on.
    Trust {
        /// The node.
        node: NodeId,
        /// The root.
        root: RootId,
    },
    /// Begins to replace the root.
    Rotate {
        /// The one that comes.
        root: Root,
    },
    /// Raises the level of what is written. It never goes back.
    Raise {
        /// What it is.
        from: u32,
        /// What it is to be.
        to: u32,
        /// Who wants it.
        actor: String,
        /// Why.
        reason: Option<String>,
    },
    /// A change by an operator or by the autopilot. Retried as an operation with an id: its compare-and-set succeeds once.
    Change(Order),
    /// A node says how far its drain is.
    Report {
        /// The node.
        node: NodeId,
        /// The start of it that says so.
        boot: BootId,
        /// How far.
        report: Report,
    },
    /// The cluster has lost its quorum for good and goes on from the copy of one node, in the next lineage.
    Recover(Recovery),
    /// Another cluster begins with a copy of this one's state.
    Refound(Founding),
}

impl Command {
    /// The lowest level of a cluster in which it may be written (docs/adr/0025-levels.md).
    #[must_use]
    pub const fn level(&self) -> u32 {
        match self {
            Self::Found(_)
            | Self::Admit(_)
            | Self::Introduce(_)
            | Self::CreateToken(_)
            | Self::WithdrawToken { .. }
            | Self::Certify { .. }
            | Self::Trust { .. }
            | Self::Raise { .. }
            | Self::Change(_)
            | Self::Report { .. }
            | Self::Recover(_)
            | Self::Refound(_) => 1,
            Self::Rotate { .. } => 2,
        }
    }

    /// Whether applying it twice is the same as applying it once, so that retries need no operation id.
    #[must_use]
    pub const fn is_idempotent(&self) -> bool {
        match self {
            Self::Found(_)
            | Self::Admit(_)
            | Self::Introduce(_)
            | Self::CreateToken(_)
            | Self::Certify { .. }
            | Self::Trust { .. }
            | Self::Rotate { .. }
            | Self::Raise { .. }
            | Self::Report { .. }
            | Self::Recover(_)
            | Self::Refound(_) => true,
            // The second time there is nothing left to take out, or another revision.
            Self::Change(_) | Self::WithdrawToken { .. } => false,
        }
    }
}

/// The first node of a new cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founding {
    /// The cluster, drawn at random by the founder.
    pub cluster: ClusterId,
    /// The founder's storage.
    pub storage: StorageId,
    /// What it says of itself.
    pub profile: Profile,
    /// The root of its authority.
    pub root: Root,
    /// How often its directory was started.
    pub starts: u64,
    /// This start.
    pub boot: BootId,
}

/// A cluster that goes on from one copy of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The node whose copy it is. It is the only member from now on.
    pub keeper: NodeId,
    /// The plan that says so. The same plan changes nothing twice.
    pub plan: PlanId,
}

/// A fresh node that asks for a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The token it showed. Whoever proposes this has compared the secret.
    pub token: TokenId,
    /// Its storage.
    pub storage: StorageId,
    /// What it says of itself.
    pub profile: Profile,
}

/// A member that started, or moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// The member.
    pub node: NodeId,
    /// Its storage.
    pub storage: StorageId,
    /// How often its directory was started, this time included.
    pub starts: u64,
    /// This start.
    pub boot: BootId,
    /// What it says of itself.
    pub profile: Profile,
}

/// A token that somebody makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// Its id, drawn at random.
    pub token: TokenId,
    /// SHA-256 of its secret.
    pub digest: [u8; 32],
    /// Until when it is good.
    pub until: LogTime,
    /// How many nodes it may let in.
    pub uses: u32,
    /// Who made it.
    pub actor: String,
}

/// What came of a change to the membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The cluster exists, and this is its name.
    Founded(ClusterId),
    /// The node has this id.
    Admitted(NodeId),
    /// It is as was asked.
    Done,
    /// It was not done.
    Rejected(Rejection),
}

/// Why a change was not made. Everybody agreed on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// There is no such node.
    #[error("there is no node {0}")]
    Unknown(NodeId),
    /// There is no cluster yet.
    #[error("there is no cluster yet")]
    NotFounded,
    /// The node, or its storage, was removed.
    #[error("this data directory belonged to a node that was removed from the cluster")]
    Removed,
    /// The node has another storage.
    #[error("node {node} has another data directory: {storage}")]
    OtherStorage {
        /// The node.
        node: NodeId,
        /// Its storage.
        storage: StorageId,
    },
    /// A copy of its directory runs, or ran since.
    #[error("another process has started with this data directory, or with a copy of it")]
    Cloned,
    /// Its directory is older than what the cluster knows of it.
    #[error(
        "this data directory was started {starts} times, but the cluster knows of {known}: an old copy was put back"
    )]
    RolledBack {
        /// How often the directory says it was started.
        starts: u64,
        /// How often it was, as the cluster knows.
        known: u64,
    },
    /// No such token.
    #[error("the join token is not known")]
    TokenUnknown,
    /// Too late.
    #[error("the join token has expired")]
    TokenExpired,
    /// It has let in as many nodes as it may.
    #[error("the join token was used as often as it may be")]
    TokenUsedUp,
    /// No more tokens at a time.
    #[error("there are {0} join tokens already: withdraw some")]
    TooManyTokens(u32),
    /// Another member has the name.
    #[error("node {0} has this name")]
    NameTaken(NodeId),
    /// Another member listens there: this data directory is empty, and that of the member had something in it.
    #[error("node {0} listens at this address with another data directory")]
    AddressTaken(NodeId),
    /// Something else was changed since it was planned.
    #[error("the membership is at revision {revision}, and this was planned at {expected}")]
    Conflict {
        /// The revision it was planned at.
        expected: u64,
        /// The revision now.
        revision: u64,
    },
    /// Votes for nodes that are none, or for nobody, or for too many.
    #[error("{0} voters that are members are needed, from 1 to {1}")]
    Voters(u32, u32),
    /// One rotation at a time.
    #[error("the certificate authority is being rotated already")]
    RotationUnderWay,
    /// The level is another one by now.
    #[error("the cluster is at level {level} by now")]
    LevelMoved {
        /// The cluster's.
        level: u32,
    },
    /// Levels are raised one by one.
    #[error("the level after {level} is {}, not {to}", level + 1)]
    LevelSkipped {
        /// The cluster's.
        level: u32,
        /// What was asked for.
        to: u32,
    },
    /// A member would not be able to go on.
    #[error("node {node} runs {release}, which does not know level {to}")]
    LevelUnknown {
        /// The member.
        node: NodeId,
        /// Its release.
        release: String,
        /// What was asked for.
        to: u32,
    },
    /// The program does not know the cluster's level.
    #[error("the cluster is at level {level}, which this program does not know")]
    Level {
        /// The cluster's.
        level: u32,
    },
}
