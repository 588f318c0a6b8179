//! One node: what it says of itself, and what the cluster knows of it.

use crate::seats::Ballot;
use crate::{Certificate, RootId, Standing, Successor, TokenId};
use quorate_domain::{BootId, LogTime, Name, NodeId};
use serde::{Deserialize, Serialize};
use std::fmt;

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

impl fmt::Display for StorageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The levels of stored formats that a program can read and write (docs/adr/0025-levels.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// The lowest.
    pub min: u32,
    /// The highest.
    pub max: u32,
}

impl Levels {
    /// Those of this program.
    pub const OURS: Self = Self { min: 1, max: 2 };

    /// Whether a cluster of that level can be served.
    #[must_use]
    pub const fn know(self, level: u32) -> bool {
        self.min <= level && level <= self.max
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// What a node says of itself. It may say something else at its next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// What people call it; `None`: `node-ID`.
    pub name: Option<Name>,
    /// Where it stands: what fails together.
    pub zone: Option<Name>,
    /// Where it listens for its peers, `host:port`.
    pub peer_address: String,
    /// Where it listens for operators, `host:port`.
    pub admin_address: String,
    /// The release of its program.
    pub release: String,
    /// The levels its program knows.
    pub levels: Levels,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its storage.
    pub storage: StorageId,
    /// Its name: no two members have the same.
    pub name: Name,
    /// What it says of itself.
    pub profile: Profile,
    /// When it was admitted.
    pub since: LogTime,
    /// The token that let it in; none of the founder.
    pub token: Option<TokenId>,
    /// How often its data directory has been started; 0 until it introduced itself.
    pub starts: u64,
    /// Its latest start.
    pub boot: BootId,
    /// The latest certificate that was made for it, if the built-in authority makes them.
    pub certificate: Option<Certificate>,
    /// The newest root that it said it trusts.
    pub trusts: Option<RootId>,
    /// What it is for.
    pub standing: Standing,
    /// Whether it may vote.
    pub ballot: Ballot,
    /// By whom it is to be replaced, if it is.
    pub replaced: Option<Successor>,
    /// Whose place it takes once it is caught up.
    pub replaces: Option<NodeId>,
}

impl NodeRecord {
    /// Where it listens for its peers.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.profile.peer_address
    }
}
