//! What the directory of a stopped node holds: who it is, its log, and the state at the end of it.

use super::backup::readable;
use super::error::RecoveryError;
use super::plan::At;
use crate::codec::{self, EntryV1, Kind};
use crate::host::Host;
use crate::journal::Journal;
use crate::machine::State;
use crate::raft;
use crate::replica::{Identity, Place};
use crate::store::{Database, LOG, META, Snapshots, StoreError, StoredLog};
use quorate_ledger::Mark;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The directory of the log, in a data directory.
pub(super) const RAFT: &str = "raft";
/// That of the node's journal.
const JOURNAL: &str = "journal";
/// That of the snapshots.
pub(super) const SNAPSHOTS: &str = "snapshots";
/// What `RocksDB` writes when it has made a database.
const CURRENT: &str = "CURRENT";

/// A copy of the cluster's state and log.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) dir: PathBuf,
    pub(super) place: Place,
    pub(super) log: StoredLog,
    /// The state after all entries, also those that are not known to be committed.
    pub(super) state: State,
    /// What the node may have spent, by its journal.
    pub(super) marks: Vec<Mark>,
    /// The last entry.
    pub(super) last: raft::LogId,
    /// The last entry that is known to be committed.
    pub(super) committed: Option<raft::LogId>,
    /// Of all that the directory says.
    pub(super) digest: [u8; 32],
}

impl Copy {
    /// Reads a directory and changes nothing in it. Refuses one that is in use.
    pub(super) fn look(dir: &Path) -> Result<Self, RecoveryError> {
        let known = known(dir)?;
        let database = Database::look(&dir.join(RAFT), StoredLog::PURPOSE, &[LOG, META])?;
        Self::read(dir, known, &database)
    }

    /// Opens the log of a directory to change it, and reads all of it first.
    pub(super) fn open(dir: &Path) -> Result<(Self, Database), RecoveryError> {
        let known = known(dir)?;
        let (disk, tables) = (Host::machine().disk, [LOG, META]);
        let database = Database::open(&*disk, &dir.join(RAFT), StoredLog::PURPOSE, &tables)?;
        Ok((Self::read(dir, known, &database)?, database))
    }

    fn read(
        dir: &Path,
        (identity, place): (Identity, Place),
        database: &Database,
    ) -> Result<Self, RecoveryError> {
        let log = StoredLog::read(database)?;
        let state = State::default();
        let mut digest = Sha256::new();
        digest.update(codec::encode(Kind::Identity, &identity));
        digest.update(codec::encode(Kind::Vote, &log.vote));
        let snapshot = Snapshots::look(&dir.join(SNAPSHOTS))?;
        let mut snapshot_end = None;
        if let Some(file) = snapshot {
            let (meta, frozen) = file.read()?;
            snapshot_end = meta.last_log_id;
            digest.update(frozen.encode());
            state.restore(&meta, frozen);
        }
        for entry in &log.entries {
            digest.update(codec::encode(Kind::Entry, &EntryV1::from(entry)));
            if Some(entry.log_id) > snapshot_end {
                follows(dir, &state, entry)?;
                state.take(entry.clone());
            }
        }
        readable(state.membership.read().level(), dir)?;
        let marks = Journal::look(&dir.join(JOURNAL))?;
        let last = state.progress().0.ok_or_else(|| RecoveryError::NoNode { dir: dir.to_owned() })?;
        let committed = log.committed.max(snapshot_end).map(|id| id.min(last));
        let (dir, digest) = (dir.to_owned(), digest.finalize().into());
        Ok(Self { dir, place, log, state, marks, last, committed, digest })
    }
}

/// Whether the next entry is the next one: a snapshot that ends before the log begins leaves a gap.
fn follows(dir: &Path, state: &State, entry: &raft::Entry) -> Result<(), StoreError> {
    let expected = state.progress().0.map_or(0, |applied| applied.index + 1);
    if entry.log_id.index == expected {
        return Ok(());
    }
    let cause = format!("entry {} follows where {expected} belongs", entry.log_id.index);
    Err(StoreError::Corrupt { dir: dir.to_owned(), cause })
}

/// Who the directory is. What is no node's is not touched: opening it would make it one's.
fn known(dir: &Path) -> Result<(Identity, Place), RecoveryError> {
    let no_node = || RecoveryError::NoNode { dir: dir.to_owned() };
    let identity = Identity::load(dir)?.ok_or_else(no_node)?;
    let place = identity.place.ok_or_else(no_node)?;
    if !dir.join(RAFT).join(CURRENT).exists() {
        let cause = "its log is missing".to_owned();
        return Err(StoreError::Corrupt { dir: dir.to_owned(), cause }.into());
    }
    Ok((identity, place))
}

impl From<raft::LogId> for At {
    fn from(id: raft::LogId) -> Self {
        Self { term: id.leader_id.term, index: id.index }
    }
}
