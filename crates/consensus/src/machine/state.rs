//! The state itself. One writer applies entries; everybody reads under short locks.

use super::dedup::Dedup;
use super::{Batch, Command, Nodes, Outcome, Proposal};
use crate::codec::{self, CodecError, Kind, LogIdV1};
use crate::raft;
use parking_lot::{Mutex, RwLock};
use quorate_catalog::Catalog;
use quorate_domain::LogTime;
use quorate_ledger::Ledger;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Everything the cluster agrees on. Take a read lock for a moment; never hold two while doing slow work.
#[derive(Debug, Default)]
pub struct State {
    /// Keys, tenants, providers, routes, prices.
    pub catalog: RwLock<Catalog>,
    /// Budgets, sessions, grants.
    pub ledger: RwLock<Ledger>,
    /// Who belongs to the cluster.
    pub nodes: RwLock<Nodes>,
    /// Taken before any of the locks above by whoever changes the state or needs all of it at one index.
    progress: Mutex<Progress>,
}

/// How far the state has come, and what only its writer needs.
#[derive(Debug, Default)]
struct Progress {
    time: LogTime,
    applied: Option<raft::LogId>,
    membership: raft::StoredMembership,
    dedup: Dedup,
}

/// A fingerprint of the state at an index of the log: equal on all nodes that applied that index (invariant I9).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StateHash {
    /// The last applied entry.
    pub applied: u64,
    /// SHA-256 over the stored form of the state.
    pub sha256: [u8; 32],
}

/// All of the state at one index, as it stands in a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frozen {
    time: LogTime,
    applied: Option<LogIdV1>,
    nodes: Nodes,
    dedup: Dedup,
    catalog: Catalog,
    ledger: Ledger,
}

impl State {
    /// Applies a batch. Total and deterministic; outcomes come in the order of the proposals.
    pub(crate) fn apply(&self, at: raft::LogId, batch: &Batch) -> Vec<Outcome> {
        let mut progress = self.progress.lock();
        progress.time = progress.time.max(batch.at);
        progress.applied = Some(at);
        batch.proposals.iter().map(|proposal| self.apply_one(&mut progress, proposal)).collect()
    }

    /// Notes an entry that changes nothing here.
    pub(crate) fn pass(&self, at: raft::LogId) {
        self.progress.lock().applied = Some(at);
    }

    /// Notes a new membership of the Raft group.
    pub(crate) fn apply_membership(&self, at: raft::LogId, membership: raft::Membership) {
        let mut progress = self.progress.lock();
        progress.applied = Some(at);
        progress.membership = raft::StoredMembership::new(Some(at), membership);
    }

    /// The last applied entry and the membership in force there.
    pub(crate) fn progress(&self) -> (Option<raft::LogId>, raft::StoredMembership) {
        let progress = self.progress.lock();
        (progress.applied, progress.membership.clone())
    }

    /// Log time of the last applied entry.
    #[must_use]
    pub fn time(&self) -> LogTime {
        self.progress.lock().time
    }

    /// A copy of everything at one index. Applying waits while it is made; readers do not.
    pub(crate) fn freeze(&self) -> (raft::SnapshotMeta, Frozen) {
        let progress = self.progress.lock();
        let meta = raft::SnapshotMeta {
            last_log_id: progress.applied,
            last_membership: progress.membership.clone(),
        };
        let frozen = Frozen {
            time: progress.time,
            applied: progress.applied.as_ref().map(Into::into),
            nodes: self.nodes.read().clone(),
            dedup: progress.dedup.clone(),
            catalog: self.catalog.read().clone(),
            ledger: self.ledger.read().clone(),
        };
        (meta, frozen)
    }

    /// Becomes what a snapshot holds.
    pub(crate) fn restore(&self, meta: &raft::SnapshotMeta, frozen: Frozen) {
        let mut progress = self.progress.lock();
        progress.time = frozen.time;
        progress.applied = meta.last_log_id;
        progress.membership = meta.last_membership.clone();
        progress.dedup = frozen.dedup;
        *self.nodes.write() = frozen.nodes;
        *self.catalog.write() = frozen.catalog;
        *self.ledger.write() = frozen.ledger;
    }

    /// The fingerprint of the state as it is now. Costs a copy of the state: for tests, audits and comparisons.
    #[must_use]
    pub fn hash(&self) -> StateHash {
        let (_, frozen) = self.freeze();
        let applied = frozen.applied.map_or(0, |id| id.index);
        StateHash { applied, sha256: Sha256::digest(frozen.encode()).into() }
    }

    fn apply_one(&self, progress: &mut Progress, proposal: &Proposal) -> Outcome {
        let Some(op) = proposal.origin else {
            return self.execute(progress.time, proposal.command.clone());
        };
        if let Some(earlier) = progress.dedup.recall(op) {
            return earlier;
        }
        let outcome = self.execute(progress.time, proposal.command.clone());
        progress.dedup.remember(op, outcome.clone());
        outcome
    }

    fn execute(&self, at: LogTime, command: Command) -> Outcome {
        match command {
            Command::Catalog(command) => Outcome::Catalog(self.catalog.write().apply(at, command)),
            Command::Ledger(command) => Outcome::Ledger(self.ledger.write().apply(at, command)),
            Command::Node(command) => Outcome::Node(self.nodes.write().apply(at, command)),
        }
    }
}

impl Frozen {
    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(Kind::State, self)
    }

    /// Reads the stored form.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(Kind::State, bytes)
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "@{}", self.applied)
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
